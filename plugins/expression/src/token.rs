//! From text to tokens.

use sluicebox_plugin::Micros;

use crate::tree::Operator;

#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    /// A column, a function or a type.
    Name(String),
    /// A name between backticks: a column.
    Quoted(String),
    Keyword(Keyword),
    Int(i64),
    Float(f64),
    Text(String),
    /// Microseconds.
    Interval(i64),
    Operator(Operator),
    Open,
    Close,
    Comma,
    End,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Keyword {
    And,
    Or,
    Not,
    Is,
    In,
    Null,
    True,
    False,
    Case,
    When,
    Then,
    Else,
    End,
    As,
}

const KEYWORDS: [(&str, Keyword); 14] = [
    ("and", Keyword::And),
    ("or", Keyword::Or),
    ("not", Keyword::Not),
    ("is", Keyword::Is),
    ("in", Keyword::In),
    ("null", Keyword::Null),
    ("true", Keyword::True),
    ("false", Keyword::False),
    ("case", Keyword::Case),
    ("when", Keyword::When),
    ("then", Keyword::Then),
    ("else", Keyword::Else),
    ("end", Keyword::End),
    ("as", Keyword::As),
];

fn keyword(word: &str) -> Option<Keyword> {
    KEYWORDS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, keyword)| *keyword)
}

pub fn is_keyword(word: &str) -> bool {
    keyword(word).is_some()
}

/// What is wrong with a text, and the byte where.
#[derive(Debug, PartialEq)]
pub struct Mistake {
    pub at: usize,
    pub what: String,
}

/// The tokens, each with the byte at which it starts; the last is [`Token::End`].
pub fn tokens(text: &str) -> Result<Vec<(usize, Token)>, Mistake> {
    let mut tokens = Vec::new();
    let mut at = 0;
    loop {
        at += text[at..].len() - text[at..].trim_start().len();
        let (token, length) = token(&text[at..]).map_err(|what| Mistake { at, what })?;
        let is_last = token == Token::End;
        tokens.push((at, token));
        if is_last {
            return Ok(tokens);
        }
        at += length;
    }
}

/// The token at the start of a text, and its length in bytes.
fn token(text: &str) -> Result<(Token, usize), String> {
    let Some(first) = text.chars().next() else { return Ok((Token::End, 0)) };
    if let Some(found) = symbol(text) {
        return Ok(found);
    }
    match first {
        '\'' => {
            let (text, length) = quoted(text, '\'').ok_or("a text lacks the `'` at its end")?;
            Ok((Token::Text(text), length))
        }
        '`' => {
            let (name, length) = quoted(text, '`').ok_or("a name lacks the backtick at its end")?;
            Ok((Token::Quoted(name), length))
        }
        '0'..='9' => number(text),
        c if c.is_alphabetic() || c == '_' => {
            let end = text.find(|c: char| !is_part_of_name(c)).unwrap_or(text.len());
            let word = &text[..end];
            Ok((keyword(word).map_or_else(|| Token::Name(word.to_owned()), Token::Keyword), end))
        }
        c => Err(format!("`{c}` means nothing here")),
    }
}

fn is_part_of_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '.'
}

fn symbol(text: &str) -> Option<(Token, usize)> {
    let symbols = [
        ("||", Token::Operator(Operator::Concat)),
        ("==", Token::Operator(Operator::Eq)),
        ("!=", Token::Operator(Operator::Ne)),
        ("<>", Token::Operator(Operator::Ne)),
        ("<=", Token::Operator(Operator::Le)),
        (">=", Token::Operator(Operator::Ge)),
        ("=", Token::Operator(Operator::Eq)),
        ("<", Token::Operator(Operator::Lt)),
        (">", Token::Operator(Operator::Gt)),
        ("+", Token::Operator(Operator::Add)),
        ("-", Token::Operator(Operator::Subtract)),
        ("*", Token::Operator(Operator::Multiply)),
        ("/", Token::Operator(Operator::Divide)),
        ("%", Token::Operator(Operator::Remainder)),
        ("(", Token::Open),
        (")", Token::Close),
        (",", Token::Comma),
    ];
    let (written, token) = symbols.into_iter().find(|(written, _)| text.starts_with(written))?;
    Some((token, written.len()))
}

/// What stands between two quotation marks, of which doubled ones mean single ones, and its length with them.
fn quoted(text: &str, mark: char) -> Option<(String, usize)> {
    let mut content = String::new();
    let mut at = 1;
    loop {
        let end = at + text[at..].find(mark)?;
        content.push_str(&text[at..end]);
        at = end + 1;
        if !text[at..].starts_with(mark) {
            return Some((content, at));
        }
        content.push(mark);
        at += 1;
    }
}

/// An integer, a float or an interval as in `15m`.
fn number(text: &str) -> Result<(Token, usize), String> {
    let digits = |from: usize| from + text[from..].bytes().take_while(u8::is_ascii_digit).count();
    let byte = |at: usize| text.as_bytes().get(at).copied().unwrap_or_default();
    let mut end = digits(0);
    let mut is_float = false;
    if byte(end) == b'.' && byte(end + 1).is_ascii_digit() {
        end = digits(end + 1);
        is_float = true;
    }
    if matches!(byte(end), b'e' | b'E') {
        let sign = usize::from(matches!(byte(end + 1), b'+' | b'-'));
        if byte(end + 1 + sign).is_ascii_digit() {
            end = digits(end + 1 + sign);
            is_float = true;
        }
    }
    let rest = &text[end..];
    let whole = end + rest.find(|c: char| !is_part_of_name(c)).unwrap_or(rest.len());
    let word = &text[..whole];
    if whole > end {
        let interval = if word == "0us" { Some(0) } else { Micros::parse(word).map(|micros| micros.0) };
        return interval.map(|micros| (Token::Interval(micros), whole)).ok_or_else(|| {
            format!("`{word}` is no number, nor an interval such as 15m (units: us, ms, s, m, h, d)")
        });
    }
    if is_float {
        let value = word.parse::<f64>().ok().filter(|value| value.is_finite());
        return value.map(|value| (Token::Float(value), end)).ok_or_else(|| format!("`{word}` is too large"));
    }
    word.parse().map(|value| (Token::Int(value), end)).map_err(|_| format!("`{word}` does not fit 64 bits"))
}
