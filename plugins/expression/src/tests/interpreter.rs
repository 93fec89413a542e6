//! What an expression means, row by row and by the standard library: slow, and easy to check.

use sluicebox_plugin::parse_rfc3339;

use crate::failure::Rule;
use crate::time::{Part, Unit};
use crate::tree::{Form, Literal, Operator, Sense, Tree};

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    /// Timestamps and intervals too.
    Int(i64),
    Float(f64),
    Text(String),
}

use Value::{Bool, Float, Int, Null, Text};

/// The columns of a row, by name.
pub type Row = Vec<(&'static str, Value)>;

/// The value for a row; what fails is added to `failed`.
pub fn interpret(tree: &Tree, row: &Row, failed: &mut Vec<Rule>) -> Value {
    let mut of = |tree: &Tree| interpret(tree, row, failed);
    match &tree.form {
        Form::Column(name) => row.iter().find(|(known, _)| known == name).expect("the column").1.clone(),
        Form::Literal(literal) => match literal {
            Literal::Null => Null,
            Literal::Bool(value) => Bool(*value),
            Literal::Int(value) | Literal::Interval(value) => Int(*value),
            Literal::Float(value) => Float(*value),
            Literal::Text(text) => Text(text.clone()),
        },
        Form::Negate(inner) => match of(inner) {
            Int(value) => checked(value.checked_neg(), failed),
            Float(value) => Float(-value),
            other => other,
        },
        Form::Not(inner) => match of(inner) {
            Bool(value) => Bool(!value),
            other => other,
        },
        Form::Binary(operator, left, right) => binary(*operator, left, right, row, failed),
        Form::IsNull(inner, sense) => Bool((of(inner) == Null) == (*sense == Sense::Plain)),
        Form::In(tested, values, sense) => {
            let tested = of(tested);
            let found: Vec<Value> =
                values.iter().map(|value| compare(Operator::Eq, &tested, &of(value))).collect();
            let any = match found.contains(&Bool(true)) {
                true => Bool(true),
                false if found.contains(&Null) => Null,
                false => Bool(false),
            };
            match any {
                Bool(any) => Bool(any == (*sense == Sense::Plain)),
                other => other,
            }
        }
        Form::Case(branches, otherwise) => {
            for (condition, value) in branches {
                if of(condition) == Bool(true) {
                    return of(value);
                }
            }
            otherwise.as_ref().map_or(Null, |otherwise| of(otherwise))
        }
        Form::Cast(inner, to) => {
            let value = of(inner);
            cast(value, to, failed)
        }
        Form::Call(name, arguments) => call(name, arguments, row, failed),
    }
}

fn checked(value: Option<i64>, failed: &mut Vec<Rule>) -> Value {
    value.map_or_else(
        || {
            failed.push(Rule::Overflow);
            Null
        },
        Int,
    )
}

fn binary(operator: Operator, left: &Tree, right: &Tree, row: &Row, failed: &mut Vec<Rule>) -> Value {
    let a = interpret(left, row, failed);
    let decided = match operator {
        Operator::And => Some(Bool(false)),
        Operator::Or => Some(Bool(true)),
        _ => None,
    };
    if decided.as_ref() == Some(&a) {
        return a;
    }
    let b = interpret(right, row, failed);
    if let Some(decided) = decided {
        return match (a, b) {
            (_, b) if b == decided => b,
            (Null, _) | (_, Null) => Null,
            (a, _) => a,
        };
    }
    match (operator, a, b) {
        (_, Null, _) | (_, _, Null) => Null,
        (Operator::Concat, Text(a), Text(b)) => Text(a + &b),
        (Operator::Add, Int(a), Int(b)) => checked(a.checked_add(b), failed),
        (Operator::Subtract, Int(a), Int(b)) => checked(a.checked_sub(b), failed),
        (Operator::Multiply, Int(a), Int(b)) => checked(a.checked_mul(b), failed),
        (Operator::Remainder, Int(a), Int(b)) => match b {
            0 => divided_by_zero(failed),
            _ => Int(a.wrapping_rem(b)),
        },
        (Operator::Add, a, b) if is_number(&a) => Float(float(&a) + float(&b)),
        (Operator::Subtract, a, b) if is_number(&a) => Float(float(&a) - float(&b)),
        (Operator::Multiply, a, b) if is_number(&a) => Float(float(&a) * float(&b)),
        (Operator::Divide | Operator::Remainder, _, b) if float(&b) == 0.0 => divided_by_zero(failed),
        (Operator::Divide, a, b) => Float(float(&a) / float(&b)),
        (Operator::Remainder, a, b) => Float(float(&a) % float(&b)),
        (comparison, a, b) => compare(comparison, &a, &b),
    }
}

fn divided_by_zero(failed: &mut Vec<Rule>) -> Value {
    failed.push(Rule::DivisionByZero);
    Null
}

fn is_number(value: &Value) -> bool {
    matches!(value, Int(_) | Float(_))
}

fn float(value: &Value) -> f64 {
    match value {
        Int(value) => *value as f64,
        Float(value) => *value,
        other => panic!("{other:?} is no number"),
    }
}

fn compare(operator: Operator, a: &Value, b: &Value) -> Value {
    let order = match (a, b) {
        (Null, _) | (_, Null) => return Null,
        (Int(a), Int(b)) => a.partial_cmp(b),
        (Text(a), Text(b)) => a.partial_cmp(b),
        (Bool(a), Bool(b)) => a.partial_cmp(b),
        (a, b) => float(a).partial_cmp(&float(b)),
    };
    let holds = |accepts: fn(std::cmp::Ordering) -> bool| order.is_some_and(accepts);
    Bool(match operator {
        Operator::Eq => holds(|order| order.is_eq()),
        Operator::Ne => !holds(|order| order.is_eq()),
        Operator::Lt => holds(|order| order.is_lt()),
        Operator::Le => holds(|order| order.is_le()),
        Operator::Gt => holds(|order| order.is_gt()),
        Operator::Ge => holds(|order| order.is_ge()),
        other => panic!("{other:?} compares nothing"),
    })
}

fn cast(value: Value, to: &str, failed: &mut Vec<Rule>) -> Value {
    let result = match (value, to) {
        (Null, _) => return Null,
        (Int(value), "utf8") => Some(Text(value.to_string())),
        (Text(text), "int64") => text.trim().parse().ok().map(Int),
        (Text(text), "timestamp") => parse_rfc3339(text.trim().as_bytes()).map(Int),
        (Bool(value), "int64") => Some(Int(value.into())),
        (value, to) => panic!("{value:?} to {to}"),
    };
    result.unwrap_or_else(|| {
        failed.push(Rule::Cast);
        Null
    })
}

fn call(name: &str, arguments: &[Tree], row: &Row, failed: &mut Vec<Rule>) -> Value {
    match name {
        "if" if interpret(&arguments[0], row, failed) == Bool(true) => {
            return interpret(&arguments[1], row, failed);
        }
        "if" => return interpret(&arguments[2], row, failed),
        "coalesce" => {
            let mut values = arguments.iter().map(|argument| interpret(argument, row, failed));
            return values.find(|value| *value != Null).unwrap_or(Null);
        }
        _ => {}
    }
    let values: Vec<Value> = arguments.iter().map(|argument| interpret(argument, row, failed)).collect();
    if name == "nullif" {
        let is_equal = compare(Operator::Eq, &values[0], &values[1]) == Bool(true);
        return if is_equal { Null } else { values[0].clone() };
    }
    if values.contains(&Null) {
        return Null;
    }
    match (name, &values[..]) {
        ("abs", [Int(value)]) => checked(value.checked_abs(), failed),
        ("abs", [Float(value)]) => Float(value.abs()),
        ("lower", [Text(text)]) => Text(text.to_lowercase()),
        ("upper", [Text(text)]) => Text(text.to_uppercase()),
        ("trim", [Text(text)]) => Text(text.trim().to_owned()),
        ("length", [Text(text)]) => Int(text.chars().count() as i64),
        ("concat", all) => Text(all.iter().map(text_of).collect()),
        ("substring", [Text(text), Int(from)]) => Text(substring(text, *from, i64::MAX)),
        ("substring", [Text(text), Int(from), Int(length)]) => {
            Text(substring(text, *from, from.saturating_add((*length).max(0))))
        }
        ("replace", [Text(text), Text(what), Text(with)]) => {
            Text(if what.is_empty() { text.clone() } else { text.replace(what, with) })
        }
        ("split_part", [Text(text), Text(separator), Int(position)]) => {
            let parts: Vec<&str> =
                if separator.is_empty() { vec![text] } else { text.split(separator.as_str()).collect() };
            let at = position.checked_sub(1).and_then(|at| usize::try_from(at).ok());
            Text(at.and_then(|at| parts.get(at)).copied().unwrap_or_default().to_owned())
        }
        ("starts_with", [Text(text), Text(part)]) => Bool(text.starts_with(part)),
        ("ends_with", [Text(text), Text(part)]) => Bool(text.ends_with(part)),
        ("contains", [Text(text), Text(part)]) => Bool(text.contains(part)),
        ("floor", [value]) => Float(float(value).floor()),
        ("ceil", [value]) => Float(float(value).ceil()),
        ("round", [value]) => Float(float(value).round()),
        ("truncate", [Int(micros), Text(unit)]) => Int(Unit::parse(unit).unwrap().truncate(*micros)),
        (part, [Int(micros)]) => Int(Part::parse(part).unwrap().of(*micros)),
        (name, values) => panic!("{name} of {values:?}"),
    }
}

fn text_of(value: &Value) -> &str {
    if let Text(text) = value { text } else { panic!("{value:?} is no text") }
}

/// The characters whose positions, from 1 on, are in the range.
fn substring(text: &str, from: i64, end: i64) -> String {
    (1..).zip(text.chars()).filter(|(at, _)| (from..end).contains(at)).map(|(_, c)| c).collect()
}
