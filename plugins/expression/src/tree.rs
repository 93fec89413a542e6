//! Expressions as they are written, and their printing.

use std::fmt::{self, Display, Formatter};

/// An expression, and the byte of the text at which it was found. Two are equal if they mean the same.
#[derive(Clone, Debug)]
pub struct Tree {
    pub at: usize,
    /// How deep it nests; a leaf has depth 1.
    pub depth: usize,
    pub form: Form,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Form {
    Column(String),
    Literal(Literal),
    Negate(Box<Tree>),
    Not(Box<Tree>),
    Binary(Operator, Box<Tree>, Box<Tree>),
    IsNull(Box<Tree>, Sense),
    In(Box<Tree>, Vec<Tree>, Sense),
    /// Conditions with their values, and the value where none is true.
    Case(Vec<(Tree, Tree)>, Option<Box<Tree>>),
    /// What is cast, and the name of the type.
    Cast(Box<Tree>, String),
    Call(String, Vec<Tree>),
}

/// Whether a test is as it says or, with `not`, the other way round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sense {
    Plain,
    Not,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// Microseconds.
    Interval(i64),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Operator {
    Or,
    And,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Concat,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// Of `not`, which stands between `and` and the comparisons.
pub const NOT: u8 = 3;
/// Of comparisons, `is null` and `in`.
pub const COMPARISON: u8 = 4;
/// Of a sign.
pub const SIGN: u8 = 8;
/// Of what needs no parentheses anywhere.
const ATOM: u8 = 9;

impl Operator {
    /// How tightly it binds; tighter ones have larger numbers.
    pub fn precedence(self) -> u8 {
        match self {
            Operator::Or => 1,
            Operator::And => 2,
            Operator::Eq | Operator::Ne | Operator::Lt | Operator::Le | Operator::Gt | Operator::Ge => {
                COMPARISON
            }
            Operator::Concat => 5,
            Operator::Add | Operator::Subtract => 6,
            Operator::Multiply | Operator::Divide | Operator::Remainder => 7,
        }
    }

    pub fn symbol(self) -> &'static str {
        match self {
            Operator::Or => "or",
            Operator::And => "and",
            Operator::Eq => "=",
            Operator::Ne => "<>",
            Operator::Lt => "<",
            Operator::Le => "<=",
            Operator::Gt => ">",
            Operator::Ge => ">=",
            Operator::Concat => "||",
            Operator::Add => "+",
            Operator::Subtract => "-",
            Operator::Multiply => "*",
            Operator::Divide => "/",
            Operator::Remainder => "%",
        }
    }
}

impl PartialEq for Tree {
    fn eq(&self, other: &Tree) -> bool {
        self.form == other.form
    }
}

impl Tree {
    pub fn new(at: usize, form: Form) -> Tree {
        let deepest = |trees: &[Tree]| trees.iter().map(|tree| tree.depth).max().unwrap_or(0);
        let inner = match &form {
            Form::Column(_) | Form::Literal(_) => 0,
            Form::Negate(inner) | Form::Not(inner) | Form::IsNull(inner, _) | Form::Cast(inner, _) => {
                inner.depth
            }
            Form::Binary(_, left, right) => left.depth.max(right.depth),
            Form::In(tested, values, _) => tested.depth.max(deepest(values)),
            Form::Call(_, arguments) => deepest(arguments),
            Form::Case(branches, otherwise) => {
                let branches = branches.iter().map(|(condition, value)| condition.depth.max(value.depth));
                branches.chain(otherwise.as_ref().map(|tree| tree.depth)).max().unwrap_or(0)
            }
        };
        Tree { at, depth: inner + 1, form }
    }

    fn precedence(&self) -> u8 {
        match &self.form {
            Form::Binary(operator, ..) => operator.precedence(),
            Form::Not(_) => NOT,
            Form::IsNull(..) | Form::In(..) => COMPARISON,
            Form::Negate(_) => SIGN,
            _ => ATOM,
        }
    }

    /// In parentheses, unless it binds at least as tightly as that.
    fn write(&self, f: &mut Formatter<'_>, least: u8) -> fmt::Result {
        if self.precedence() < least { write!(f, "({self})") } else { write!(f, "{self}") }
    }
}

impl Display for Tree {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.form {
            Form::Column(name) => write_name(f, name),
            Form::Literal(literal) => write!(f, "{literal}"),
            Form::Negate(inner) => {
                f.write_str("-")?;
                inner.write(f, SIGN)
            }
            Form::Not(inner) => {
                f.write_str("not ")?;
                inner.write(f, NOT)
            }
            Form::Binary(operator, left, right) => {
                let precedence = operator.precedence();
                // Comparisons do not chain; the others associate to the left.
                left.write(f, precedence + u8::from(precedence == COMPARISON))?;
                write!(f, " {} ", operator.symbol())?;
                right.write(f, precedence + 1)
            }
            Form::IsNull(inner, sense) => {
                inner.write(f, COMPARISON + 1)?;
                f.write_str(if *sense == Sense::Not { " is not null" } else { " is null" })
            }
            Form::In(tested, values, sense) => {
                tested.write(f, COMPARISON + 1)?;
                f.write_str(if *sense == Sense::Not { " not in " } else { " in " })?;
                write_list(f, values)
            }
            Form::Case(branches, otherwise) => {
                f.write_str("case")?;
                for (condition, value) in branches {
                    write!(f, " when {condition} then {value}")?;
                }
                if let Some(otherwise) = otherwise {
                    write!(f, " else {otherwise}")?;
                }
                f.write_str(" end")
            }
            Form::Cast(inner, to) => write!(f, "cast({inner} as {to})"),
            Form::Call(name, arguments) => {
                f.write_str(name)?;
                write_list(f, arguments)
            }
        }
    }
}

fn write_list(f: &mut Formatter<'_>, trees: &[Tree]) -> fmt::Result {
    f.write_str("(")?;
    for (at, tree) in trees.iter().enumerate() {
        write!(f, "{}{tree}", if at > 0 { ", " } else { "" })?;
    }
    f.write_str(")")
}

fn write_name(f: &mut Formatter<'_>, name: &str) -> fmt::Result {
    let is_plain = name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.');
    if is_plain && !crate::token::is_keyword(name) {
        return f.write_str(name);
    }
    write!(f, "`{}`", name.replace('`', "``"))
}

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Null => f.write_str("null"),
            Literal::Bool(value) => write!(f, "{value}"),
            Literal::Int(value) => write!(f, "{value}"),
            // With a point or an exponent, so that it is read as a float again.
            Literal::Float(value) => write!(f, "{value:?}"),
            Literal::Text(text) => write!(f, "'{}'", text.replace('\'', "''")),
            Literal::Interval(micros) => {
                let units = [
                    ("d", 86_400_000_000),
                    ("h", 3_600_000_000),
                    ("m", 60_000_000),
                    ("s", 1_000_000),
                    ("ms", 1_000),
                ];
                let whole = units.into_iter().find(|(_, unit)| *micros != 0 && micros % unit == 0);
                let (unit, scale) = whole.unwrap_or(("us", 1));
                write!(f, "{}{unit}", micros / scale)
            }
        }
    }
}
