//! Expressions whose types are known, as they are evaluated.

use sluicebox_kernels::{CastTo, TimeFormat};
use sluicebox_plugin::Kind;

use crate::time::{Part, Unit};

pub enum Node {
    /// A column, by its position among the inputs.
    Input(usize),
    Constant(Constant),
    /// An integer as a float.
    Widen(Box<Node>),
    Arithmetic(Arithmetic, Box<[Node; 2]>, Told),
    Absolute(Box<Node>, Told),
    Compare(Comparison, Box<[Node; 2]>),
    And(Box<[Node; 2]>),
    Or(Box<[Node; 2]>),
    Not(Box<Node>),
    IsNull(Box<Node>),
    In(Box<Node>, Vec<Node>),
    /// The value of the first branch whose condition is true, or else the last one.
    Case(Vec<(Node, Node)>, Box<Node>),
    /// The first that has a value.
    Coalesce(Vec<Node>),
    /// The first, unless it equals the second.
    NullIf(Box<[Node; 2]>),
    Cast(Box<Node>, Kind, CastTo),
    ParseTimestamp(Box<Node>, TimeFormat),
    Truncate(Box<Node>, Unit),
    Part(Box<Node>, Part),
    Call(Function, Vec<Node>),
}

/// What can fail, as it was written: for the reason of a rejection.
pub type Told = Box<str>;

#[derive(Clone, Debug, PartialEq)]
pub enum Constant {
    /// No value, of a type that these values carry.
    Null(Box<Constant>),
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Vec<u8>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    /// Of floats.
    Divide,
    Remainder,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Comparison {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// A function that is null where an argument is, and cannot fail.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Function {
    Lower,
    Upper,
    Trim,
    Length,
    Concat,
    Substring,
    Replace,
    SplitPart,
    StartsWith,
    EndsWith,
    Contains,
    Floor,
    Ceil,
    Round,
}
