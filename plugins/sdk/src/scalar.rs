//! One value of a column, for what is done value by value: keys, minima, state.

use std::cmp::Ordering;

use serde::{Serialize, Serializer};

use crate::{Column, Kind, Strings, Values, place::is_present};

/// `Int` holds integers, timestamps and dates; `Float` both widths.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
}

impl Scalar {
    /// `None` for types without a case here: `uint64`, decimals, fixed-size binary, nested ones.
    pub fn read(column: &Column, kind: &Kind, row: usize) -> Option<Scalar> {
        if !is_present(column, row) {
            return Some(Scalar::Null);
        }
        Some(match (&column.values, kind) {
            (Values::Bits(bits), _) => Scalar::Bool(bits[row / 8] >> (row % 8) & 1 == 1),
            (Values::Int8(values), _) => Scalar::Int(values[row].into()),
            (Values::Int16(values), _) => Scalar::Int(values[row].into()),
            (Values::Int32(values), _) => Scalar::Int(values[row].into()),
            (Values::Int64(values), _) => Scalar::Int(values[row]),
            (Values::Uint8(values), _) => Scalar::Int(values[row].into()),
            (Values::Uint16(values), _) => Scalar::Int(values[row].into()),
            (Values::Uint32(values), _) => Scalar::Int(values[row].into()),
            (Values::Float32(values), _) => Scalar::Float(values[row].into()),
            (Values::Float64(values), _) => Scalar::Float(values[row]),
            (Values::Bytes(bytes), Kind::Utf8) => Scalar::Text(Strings::new(bytes).text(row).to_owned()),
            (Values::Bytes(bytes), _) => Scalar::Bytes(Strings::new(bytes).bytes(row).to_vec()),
            _ => return None,
        })
    }

    pub fn is_null(&self) -> bool {
        *self == Scalar::Null
    }

    /// The order of two values of one column: nulls first, NaN last.
    pub fn compare(&self, other: &Scalar) -> Ordering {
        match (self, other) {
            (Scalar::Bool(a), Scalar::Bool(b)) => a.cmp(b),
            (Scalar::Int(a), Scalar::Int(b)) => a.cmp(b),
            (Scalar::Float(a), Scalar::Float(b)) => a.total_cmp(b),
            (Scalar::Text(a), Scalar::Text(b)) => a.cmp(b),
            (Scalar::Bytes(a), Scalar::Bytes(b)) => a.cmp(b),
            (a, b) => b.is_null().cmp(&a.is_null()),
        }
    }
}

impl Serialize for Scalar {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Scalar::Null => serializer.serialize_none(),
            Scalar::Bool(value) => serializer.serialize_bool(*value),
            Scalar::Int(value) => serializer.serialize_i64(*value),
            Scalar::Float(value) => serializer.serialize_f64(*value),
            Scalar::Text(text) => serializer.serialize_str(text),
            Scalar::Bytes(bytes) => serializer.serialize_bytes(bytes),
        }
    }
}
