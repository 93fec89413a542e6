//! The `.env` file beside the pipeline file: `NAME=value` lines, `#` comments, quotes where needed.

/// The variables in order, or the number of the first line that cannot be read. No value is ever part of
/// an error.
pub fn parse(text: &str) -> Result<Vec<(String, String)>, usize> {
    let mut variables = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        variables.push(assignment(line).ok_or(index + 1)?);
    }
    Ok(variables)
}

fn assignment(line: &str) -> Option<(String, String)> {
    let (name, value) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
    let name = name.trim();
    let named = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    named.then_some(())?;
    Some((name.to_owned(), value_of(value.trim())?))
}

/// Single quotes keep everything; double quotes know `\n`, `\"` and `\\`; bare text ends before ` #`.
fn value_of(text: &str) -> Option<String> {
    let (value, rest) = if let Some(quoted) = text.strip_prefix('\'') {
        let (value, rest) = quoted.split_once('\'')?;
        (value.to_owned(), rest)
    } else if let Some(quoted) = text.strip_prefix('"') {
        double_quoted(quoted)?
    } else {
        let bare = text.split_once(" #").map_or(text, |(bare, _)| bare);
        (bare.trim_end().to_owned(), "")
    };
    let rest = rest.trim_start();
    (rest.is_empty() || rest.starts_with('#')).then_some(value)
}

fn double_quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.chars();
    loop {
        match characters.next()? {
            '"' => return Some((value, characters.as_str())),
            '\\' => match characters.next()? {
                'n' => value.push('\n'),
                escaped @ ('"' | '\\' | '$') => value.push(escaped),
                other => value.extend(['\\', other]),
            },
            other => value.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_bare_or_quoted() {
        let text = "# comment\n\nA=1\nexport B = two words # comment\nC='a \"b\" #c'\nD=\"x\\n\\\"y\\\\\" # z\nE=\nF=a#b=c\r\n";
        let expected = [
            ("A", "1"),
            ("B", "two words"),
            ("C", "a \"b\" #c"),
            ("D", "x\n\"y\\"),
            ("E", ""),
            ("F", "a#b=c"),
        ];
        let read = parse(text).unwrap();
        let read: Vec<_> = read.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(read, expected);
    }

    #[test]
    fn a_broken_line_is_named_by_its_number() {
        for broken in ["A", "=1", "A B=1", "A='x", "A=\"x", "A='x' y", "A=\"x\\"] {
            assert_eq!(parse(&format!("OK=1\n{broken}\n")), Err(2), "{broken}");
        }
    }
}
