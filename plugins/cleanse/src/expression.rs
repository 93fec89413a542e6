//! Arithmetic on columns: parsed to postfix order, computed column by column.

use sluicebox_kernels::floats;
use sluicebox_plugin::{Bitmap, Column, Error, Values, change_values, combine_values};

/// Parentheses and signs nest no deeper, so that parsing cannot exhaust the stack.
const MAX_DEPTH: usize = 64;

pub struct Expression {
    postfix: Vec<Token>,
}

enum Token {
    Number(f64),
    /// An operand, by its position.
    Column(usize),
    Operator(u8),
}

impl Expression {
    /// The expression and the names of its operands.
    pub fn parse(written: &str) -> Result<(Expression, Vec<String>), String> {
        let mut parser = Parser { rest: written, postfix: Vec::new(), names: Vec::new() };
        let parsed = parser.sum(0).and_then(|()| match parser.rest.trim_start() {
            "" => Ok(()),
            rest => Err(format!("`{rest}` is left over")),
        });
        parsed.map_err(|error| format!("expression `{written}`: {error}"))?;
        Ok((Expression { postfix: parser.postfix }, parser.names))
    }

    pub fn compute(&self, operands: &[&Column], rows: usize) -> Result<Column, Error> {
        let mut present: Option<Bitmap> = None;
        for validity in operands.iter().filter_map(|column| column.validity.as_deref()) {
            match &mut present {
                Some(present) => present.and(validity),
                None => present = Some(Bitmap::from_bytes(validity, rows)),
            }
        }
        let mut stack: Vec<Operand> = Vec::new();
        for token in &self.postfix {
            let operand = match token {
                Token::Number(number) => Operand::Number(*number),
                Token::Column(at) => Operand::Values(floats(operands[*at])?.into_owned()),
                Token::Operator(operator) => {
                    let (Some(right), Some(left)) = (stack.pop(), stack.pop()) else {
                        return Err(Error::Data("an expression lacks an operand".into()));
                    };
                    if *operator == b'/' {
                        nullify_zeros(&right, &mut present, rows);
                    }
                    combine(*operator, left, right)
                }
            };
            stack.push(operand);
        }
        let values = match stack.pop() {
            Some(Operand::Values(values)) => values,
            Some(Operand::Number(number)) => vec![number; rows],
            None => return Err(Error::Data("an expression is empty".into())),
        };
        let validity = present.filter(|present| !present.all_set()).map(Bitmap::into_bytes);
        Ok(Column { length: rows as u32, validity, values: Values::Float64(values) })
    }
}

enum Operand {
    Number(f64),
    Values(Vec<f64>),
}

/// A division by zero has no value.
fn nullify_zeros(divisor: &Operand, present: &mut Option<Bitmap>, rows: usize) {
    let not_zero = match divisor {
        Operand::Number(number) => Bitmap::filled(rows, *number != 0.0),
        Operand::Values(values) => Bitmap::of_values(values, |value| value != 0.0),
    };
    match present {
        Some(present) => present.and(not_zero.as_bytes()),
        None => *present = Some(not_zero),
    }
}

fn combine(operator: u8, left: Operand, right: Operand) -> Operand {
    match operator {
        b'+' => apply(left, right, |a, b| a + b),
        b'-' => apply(left, right, |a, b| a - b),
        b'*' => apply(left, right, |a, b| a * b),
        _ => apply(left, right, |a, b| a / b),
    }
}

fn apply(left: Operand, right: Operand, compute: impl Fn(f64, f64) -> f64) -> Operand {
    match (left, right) {
        (Operand::Number(a), Operand::Number(b)) => Operand::Number(compute(a, b)),
        (Operand::Values(mut values), Operand::Number(b)) => {
            change_values(&mut values, |a| compute(a, b));
            Operand::Values(values)
        }
        (Operand::Number(a), Operand::Values(mut values)) => {
            change_values(&mut values, |b| compute(a, b));
            Operand::Values(values)
        }
        (Operand::Values(mut values), Operand::Values(others)) => {
            combine_values(&mut values, &others, compute);
            Operand::Values(values)
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
    postfix: Vec<Token>,
    names: Vec<String>,
}

impl Parser<'_> {
    fn next_is(&mut self, any: &[u8]) -> Option<u8> {
        self.rest = self.rest.trim_start();
        let byte = self.rest.bytes().next().filter(|byte| any.contains(byte))?;
        self.rest = &self.rest[1..];
        Some(byte)
    }

    fn sum(&mut self, depth: usize) -> Result<(), String> {
        self.product(depth)?;
        while let Some(operator) = self.next_is(b"+-") {
            self.product(depth)?;
            self.postfix.push(Token::Operator(operator));
        }
        Ok(())
    }

    fn product(&mut self, depth: usize) -> Result<(), String> {
        self.factor(depth)?;
        while let Some(operator) = self.next_is(b"*/") {
            self.factor(depth)?;
            self.postfix.push(Token::Operator(operator));
        }
        Ok(())
    }

    fn factor(&mut self, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err(format!("it nests deeper than {MAX_DEPTH}"));
        }
        if self.next_is(b"-").is_some() {
            self.postfix.push(Token::Number(-1.0));
            self.factor(depth + 1)?;
            self.postfix.push(Token::Operator(b'*'));
            return Ok(());
        }
        if self.next_is(b"(").is_some() {
            self.sum(depth + 1)?;
            return self.next_is(b")").map(|_| ()).ok_or_else(|| "a `)` is missing".to_owned());
        }
        if self.next_is(b"`").is_some() {
            let (name, rest) = self.rest.split_once('`').ok_or("a backtick is missing")?;
            self.rest = rest;
            self.column(name.to_owned());
            return Ok(());
        }
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
        let end = self.rest.find(|c: char| !is_word(c)).unwrap_or(self.rest.len());
        let word = self.rest[..end].to_owned();
        self.rest = &self.rest[end..];
        match word.bytes().next() {
            None => Err(format!("a number, a column or `(` is missing before `{}`", self.rest)),
            Some(b'0'..=b'9' | b'.') => {
                let number = word.parse().map_err(|_| format!("`{word}` is not a number"))?;
                self.postfix.push(Token::Number(number));
                Ok(())
            }
            Some(_) => {
                self.column(word);
                Ok(())
            }
        }
    }

    fn column(&mut self, name: String) {
        let known = self.names.iter().position(|known| *known == name);
        let at = known.unwrap_or_else(|| {
            self.names.push(name);
            self.names.len() - 1
        });
        self.postfix.push(Token::Column(at));
    }
}

#[cfg(test)]
mod tests {
    use super::Expression;
    use sluicebox_plugin::{Column, Values};

    fn compute(written: &str, a: f64, b: f64) -> Option<f64> {
        let (expression, names) = Expression::parse(written).unwrap();
        let column = |name: &String| {
            let value = if name == "a" { a } else { b };
            Column { length: 1, validity: None, values: Values::Float64(vec![value]) }
        };
        let columns: Vec<Column> = names.iter().map(column).collect();
        let result = expression.compute(&columns.iter().collect::<Vec<_>>(), 1).unwrap();
        let Values::Float64(values) = result.values else { panic!("floats") };
        result.validity.is_none_or(|bits| bits[0] & 1 == 1).then_some(values[0])
    }

    #[test]
    fn obeys_precedence_and_order() {
        assert_eq!(compute("a - b - 1", 10.0, 3.0), Some(6.0));
        assert_eq!(compute("a + b * 2 / 4", 1.0, 6.0), Some(4.0));
        assert_eq!(compute("-(a + `b b`) * 2", 1.0, 2.0), Some(-6.0));
        assert_eq!(compute("2*-a", 1.5, 0.0), Some(-3.0));
        assert_eq!(compute("7", 0.0, 0.0), Some(7.0));
    }

    #[test]
    fn a_division_by_zero_has_no_value() {
        assert_eq!(compute("1 / (a - b)", 2.0, 2.0), None);
        assert_eq!(compute("a / 0", 2.0, 2.0), None);
    }

    #[test]
    fn refuses_what_is_no_expression() {
        for written in
            ["", "a +", "(a", "a b", "1.2.3", "a ** b", "`a", &"(".repeat(10_000), &"-".repeat(10_000)]
        {
            assert!(Expression::parse(written).is_err(), "{written}");
        }
    }
}
