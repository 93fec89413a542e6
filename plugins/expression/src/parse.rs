//! From tokens to a tree, by the operators' precedence.

use crate::token::{Keyword, Mistake, Token, tokens};
use crate::tree::{COMPARISON, Form, Literal, NOT, Operator, SIGN, Sense, Tree};

/// Trees nest no deeper, so that neither parsing nor evaluating them can exhaust the stack.
const MAX_DEPTH: usize = 64;

pub fn parse(text: &str) -> Result<Tree, Mistake> {
    let mut parser = Parser { tokens: tokens(text)?, next: 0, open: 0 };
    let tree = parser.expression(0)?;
    match parser.peek() {
        Token::End => Ok(tree),
        _ => Err(parser.expected("an operator or the end")),
    }
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    next: usize,
    /// How many expressions are open, one inside the other.
    open: usize,
}

impl Parser {
    fn at(&self) -> usize {
        self.tokens[self.next].0
    }

    fn peek(&self) -> &Token {
        &self.tokens[self.next].1
    }

    /// Takes the next token; the last one, the end, stays.
    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        if self.next + 1 < self.tokens.len() {
            self.next += 1;
        }
        token
    }

    fn take_if(&mut self, wanted: &Token) -> bool {
        let is_next = self.peek() == wanted;
        if is_next {
            self.take();
        }
        is_next
    }

    fn take_keyword(&mut self, keyword: Keyword) -> bool {
        self.take_if(&Token::Keyword(keyword))
    }

    fn expect(&mut self, wanted: &Token) -> Result<(), Mistake> {
        if self.take_if(wanted) { Ok(()) } else { Err(self.expected(&written(wanted))) }
    }

    fn expected(&self, what: &str) -> Mistake {
        Mistake { at: self.at(), what: format!("expected {what}, found {}", written(self.peek())) }
    }

    fn tree(&self, at: usize, form: Form) -> Result<Tree, Mistake> {
        let tree = Tree::new(at, form);
        if tree.depth > MAX_DEPTH {
            return Err(too_deep(at));
        }
        Ok(tree)
    }

    /// An expression of operators that bind at least as tightly as `least`.
    fn expression(&mut self, least: u8) -> Result<Tree, Mistake> {
        if self.open == MAX_DEPTH {
            return Err(too_deep(self.at()));
        }
        self.open += 1;
        let mut left = self.prefixed(least)?;
        while let Some(precedence) = self.infix().filter(|precedence| *precedence >= least) {
            left = self.continued(left, precedence)?;
            if precedence == COMPARISON && self.infix() == Some(COMPARISON) {
                return Err(self.expected("`and` or `or`: comparisons do not chain"));
            }
        }
        self.open -= 1;
        Ok(left)
    }

    /// How tightly what comes next binds, if it goes on with an expression.
    fn infix(&self) -> Option<u8> {
        match self.peek() {
            Token::Operator(operator) => Some(operator.precedence()),
            Token::Keyword(Keyword::And) => Some(Operator::And.precedence()),
            Token::Keyword(Keyword::Or) => Some(Operator::Or.precedence()),
            Token::Keyword(Keyword::Is | Keyword::In | Keyword::Not) => Some(COMPARISON),
            _ => None,
        }
    }

    fn continued(&mut self, left: Tree, precedence: u8) -> Result<Tree, Mistake> {
        let at = self.at();
        let operator = match self.take() {
            Token::Operator(operator) => operator,
            Token::Keyword(Keyword::And) => Operator::And,
            Token::Keyword(Keyword::Or) => Operator::Or,
            Token::Keyword(Keyword::Is) => {
                let sense = self.sense();
                self.expect(&Token::Keyword(Keyword::Null))?;
                return self.tree(at, Form::IsNull(Box::new(left), sense));
            }
            Token::Keyword(Keyword::In) => return self.values(at, left, Sense::Plain),
            _ => {
                self.expect(&Token::Keyword(Keyword::In))?;
                return self.values(at, left, Sense::Not);
            }
        };
        let right = self.expression(precedence + 1)?;
        self.tree(at, Form::Binary(operator, Box::new(left), Box::new(right)))
    }

    fn sense(&mut self) -> Sense {
        if self.take_keyword(Keyword::Not) { Sense::Not } else { Sense::Plain }
    }

    fn values(&mut self, at: usize, tested: Tree, sense: Sense) -> Result<Tree, Mistake> {
        self.expect(&Token::Open)?;
        let values = self.list()?;
        self.tree(at, Form::In(Box::new(tested), values, sense))
    }

    /// Expressions with commas between them, and the parenthesis that closes them.
    fn list(&mut self) -> Result<Vec<Tree>, Mistake> {
        let mut list = Vec::new();
        if self.take_if(&Token::Close) {
            return Ok(list);
        }
        loop {
            list.push(self.expression(0)?);
            if self.take_if(&Token::Close) {
                return Ok(list);
            }
            if !self.take_if(&Token::Comma) {
                return Err(self.expected("`,` or `)`"));
            }
        }
    }

    fn prefixed(&mut self, least: u8) -> Result<Tree, Mistake> {
        let at = self.at();
        if least <= NOT && self.take_keyword(Keyword::Not) {
            let inner = self.expression(NOT)?;
            return self.tree(at, Form::Not(Box::new(inner)));
        }
        if self.take_if(&Token::Operator(Operator::Subtract)) {
            let inner = self.expression(SIGN)?;
            return self.tree(at, Form::Negate(Box::new(inner)));
        }
        self.atom()
    }

    fn atom(&mut self) -> Result<Tree, Mistake> {
        let at = self.at();
        let literal = |literal| Ok(Tree::new(at, Form::Literal(literal)));
        if !begins_value(self.peek()) {
            return Err(self.expected("a value, a column or a function"));
        }
        match self.take() {
            Token::Int(value) => literal(Literal::Int(value)),
            Token::Float(value) => literal(Literal::Float(value)),
            Token::Text(text) => literal(Literal::Text(text)),
            Token::Interval(micros) => literal(Literal::Interval(micros)),
            Token::Keyword(Keyword::Null) => literal(Literal::Null),
            Token::Keyword(Keyword::True) => literal(Literal::Bool(true)),
            Token::Keyword(Keyword::False) => literal(Literal::Bool(false)),
            Token::Keyword(_) => self.case(at),
            Token::Quoted(name) => Ok(Tree::new(at, Form::Column(name))),
            Token::Name(name) if *self.peek() == Token::Open => self.call(at, &name),
            Token::Name(name) => Ok(Tree::new(at, Form::Column(name))),
            _ => {
                let inner = self.expression(0)?;
                self.expect(&Token::Close)?;
                Ok(inner)
            }
        }
    }

    fn call(&mut self, at: usize, name: &str) -> Result<Tree, Mistake> {
        self.take();
        let name = name.to_ascii_lowercase();
        if name != "cast" {
            let arguments = self.list()?;
            return self.tree(at, Form::Call(name, arguments));
        }
        let inner = self.expression(0)?;
        self.expect(&Token::Keyword(Keyword::As))?;
        let Token::Name(to) = self.peek().clone() else { return Err(self.expected("a type")) };
        self.take();
        self.expect(&Token::Close)?;
        self.tree(at, Form::Cast(Box::new(inner), to.to_ascii_lowercase()))
    }

    fn case(&mut self, at: usize) -> Result<Tree, Mistake> {
        let mut branches = Vec::new();
        while self.take_keyword(Keyword::When) {
            let condition = self.expression(0)?;
            self.expect(&Token::Keyword(Keyword::Then))?;
            branches.push((condition, self.expression(0)?));
        }
        if branches.is_empty() {
            return Err(self.expected("`when`"));
        }
        let otherwise = match self.take_keyword(Keyword::Else) {
            true => Some(Box::new(self.expression(0)?)),
            false => None,
        };
        if !self.take_keyword(Keyword::End) {
            return Err(self.expected("`when`, `else` or `end`"));
        }
        self.tree(at, Form::Case(branches, otherwise))
    }
}

fn begins_value(token: &Token) -> bool {
    use Keyword::{Case, False, Null, True};
    match token {
        Token::Keyword(keyword) => matches!(keyword, Null | True | False | Case),
        Token::Operator(_) | Token::Close | Token::Comma | Token::End => false,
        _ => true,
    }
}

fn too_deep(at: usize) -> Mistake {
    let what = format!("it nests deeper than {MAX_DEPTH}; compute a part of it in a column of its own");
    Mistake { at, what }
}

/// A token as people know it.
fn written(token: &Token) -> String {
    match token {
        Token::Name(name) => format!("`{name}`"),
        Token::Quoted(name) => format!("the column `{name}`"),
        Token::Keyword(keyword) => format!("`{}`", format!("{keyword:?}").to_lowercase()),
        Token::Int(value) => format!("`{value}`"),
        Token::Float(value) => format!("`{value}`"),
        Token::Text(text) => format!("the text '{text}'"),
        Token::Interval(micros) => format!("`{}`", Literal::Interval(*micros)),
        Token::Operator(operator) => format!("`{}`", operator.symbol()),
        Token::Open => "`(`".to_owned(),
        Token::Close => "`)`".to_owned(),
        Token::Comma => "`,`".to_owned(),
        Token::End => "the end".to_owned(),
    }
}
