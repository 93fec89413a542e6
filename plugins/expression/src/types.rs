//! The types of the language, and the columns that have them.

use sluicebox_plugin::{Kind, timestamp_micros};

/// What an expression is, beside null.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Type {
    /// Of `null` alone: it becomes any other.
    Null,
    Boolean,
    Int,
    Float,
    Text,
    /// Microseconds since the epoch, UTC.
    Timestamp,
    /// Microseconds. No column has this type.
    Interval,
}

impl Type {
    /// The type of a column's values; `None` if the language has none for it.
    pub fn of(kind: &Kind) -> Option<Type> {
        Some(match kind {
            Kind::Boolean => Type::Boolean,
            Kind::Int8 | Kind::Int16 | Kind::Int32 | Kind::Int64 => Type::Int,
            Kind::Uint8 | Kind::Uint16 | Kind::Uint32 => Type::Int,
            Kind::Float32 | Kind::Float64 => Type::Float,
            Kind::Utf8 => Type::Text,
            kind if *kind == timestamp_micros() => Type::Timestamp,
            _ => return None,
        })
    }

    /// The columns that hold its values; `None` for what no column holds.
    pub fn kind(self) -> Option<Kind> {
        Some(match self {
            Type::Boolean => Kind::Boolean,
            Type::Int => Kind::Int64,
            Type::Float => Kind::Float64,
            Type::Text => Kind::Utf8,
            Type::Timestamp => timestamp_micros(),
            Type::Null | Type::Interval => return None,
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            Type::Null => "null",
            Type::Boolean => "boolean",
            Type::Int => "int64",
            Type::Float => "float64",
            Type::Text => "utf8",
            Type::Timestamp => "timestamp",
            Type::Interval => "an interval",
        }
    }

    pub fn is_number(self) -> bool {
        matches!(self, Type::Int | Type::Float)
    }

    /// The type to which values of both become, if there is one.
    pub fn with(self, other: Type) -> Option<Type> {
        match (self, other) {
            (a, b) if a == b => Some(a),
            (Type::Null, other) | (other, Type::Null) => Some(other),
            (Type::Int, Type::Float) | (Type::Float, Type::Int) => Some(Type::Float),
            _ => None,
        }
    }
}
