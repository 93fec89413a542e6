//! Keys of several columns as one string of bytes that sorts as the columns do, nulls first.

use std::borrow::Borrow;
use std::rc::Rc;

use crate::{Batch, ColumnBuilder, Error, Field, Ints, Kind, Place, Scalar, Strings, Validity, Values};

/// The values of a row's key columns. Cheap to clone; ordered by the columns from left to right.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Rc<[u8]>);

impl Key {
    /// How many bytes `append_int` appends.
    pub const INT_LENGTH: usize = 9;

    /// Appends an integer column's value to a key in the making.
    pub fn append_int(value: i64, out: &mut Vec<u8>) {
        put_int(value, out);
    }

    /// The value of the first column, if that is an integer's and not null.
    pub fn first_int(&self) -> Option<i64> {
        present_int(self.0.first_chunk()?)
    }

    /// The value of the last column, if that is an integer's and not null.
    pub fn last_int(&self) -> Option<i64> {
        present_int(self.0.last_chunk()?)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for Key {
    fn from(bytes: &[u8]) -> Key {
        Key(bytes.into())
    }
}

/// Whether columns of this type can be part of a key. Floats cannot: equality of floats is not identity.
pub fn is_key_kind(kind: &Kind) -> bool {
    !matches!(kind, Kind::Float32 | Kind::Float64) && ColumnBuilder::new(kind).is_some()
}

const NULL: u8 = 0;
const PRESENT: u8 = 1;

fn put_int(value: i64, out: &mut Vec<u8>) {
    out.push(PRESENT);
    out.extend_from_slice(&((value as u64) ^ 1 << 63).to_be_bytes());
}

fn present_int(bytes: &[u8; Key::INT_LENGTH]) -> Option<i64> {
    let [PRESENT, int @ ..] = bytes else { return None };
    Some(read_int(int))
}

fn read_int(bytes: &[u8; 8]) -> i64 {
    (u64::from_be_bytes(*bytes) ^ 1 << 63) as i64
}

/// A zero byte becomes 0 255, and 0 0 ends the string, so that a prefix sorts before what it begins.
fn put_bytes(value: &[u8], out: &mut Vec<u8>) {
    out.push(PRESENT);
    if value.contains(&0) {
        for byte in value {
            out.push(*byte);
            if *byte == 0 {
                out.push(255);
            }
        }
    } else {
        out.extend_from_slice(value);
    }
    out.extend_from_slice(&[0, 0]);
}

/// Writes the keys of a batch's rows.
pub struct KeyReader<'a> {
    parts: Vec<(Part<'a>, Validity<'a>)>,
}

enum Part<'a> {
    Bits(&'a [u8]),
    Ints(Ints<'a>),
    Strings(Strings<'a>),
}

impl<'a> KeyReader<'a> {
    pub fn new(places: &[Place], batch: &'a Batch) -> Result<KeyReader<'a>, Error> {
        let mut parts = Vec::with_capacity(places.len());
        for place in places {
            let part = match place.kind() {
                Kind::Boolean => Part::Bits(place.bits(batch)?),
                Kind::Utf8 | Kind::Binary => Part::Strings(place.strings(batch)?),
                _ => Part::Ints(place.ints(batch)?),
            };
            parts.push((part, place.validity(batch)));
        }
        Ok(KeyReader { parts })
    }

    /// Appends the row's key. Returns the first part that is null, if any.
    pub fn append(&self, row: usize, out: &mut Vec<u8>) -> Option<usize> {
        let mut null = None;
        for (i, (part, validity)) in self.parts.iter().enumerate() {
            if !validity.is_valid(row) {
                out.push(NULL);
                null = null.or(Some(i));
                continue;
            }
            match part {
                Part::Bits(bits) => out.extend_from_slice(&[PRESENT, bits[row / 8] >> (row % 8) & 1]),
                Part::Ints(values) => put_int(values[row], out),
                Part::Strings(strings) => put_bytes(strings.bytes(row), out),
            }
        }
        null
    }
}

/// The columns of a key.
#[derive(Clone, Debug)]
pub struct KeyShape(pub Vec<Field>);

impl KeyShape {
    /// The values of a key's columns. [`Error::Data`] if it is no key of this shape.
    pub fn decode(&self, key: &Key) -> Result<Vec<Scalar>, Error> {
        let mut rest: &[u8] = &key.0;
        let values: Option<Vec<Scalar>> = self.0.iter().map(|field| take(&field.kind, &mut rest)).collect();
        values
            .ok_or_else(|| Error::Data("a stored key does not have the columns of the configuration".into()))
    }

    /// The key with these values, one for each column.
    pub fn encode(&self, values: &[Scalar]) -> Key {
        let mut out = Vec::new();
        for value in values {
            match value {
                Scalar::Bool(value) => out.extend_from_slice(&[PRESENT, u8::from(*value)]),
                Scalar::Int(value) => put_int(*value, &mut out),
                Scalar::Text(text) => put_bytes(text.as_bytes(), &mut out),
                Scalar::Bytes(bytes) => put_bytes(bytes, &mut out),
                Scalar::Null | Scalar::Float(_) => out.push(NULL),
            }
        }
        Key(out.into())
    }
}

fn take(kind: &Kind, rest: &mut &[u8]) -> Option<Scalar> {
    let (tag, after) = rest.split_first()?;
    *rest = after;
    if *tag == NULL {
        return Some(Scalar::Null);
    }
    match ColumnBuilder::new(kind)?.finish().values {
        Values::Bits(_) => {
            let (bit, after) = rest.split_first()?;
            *rest = after;
            Some(Scalar::Bool(*bit == 1))
        }
        Values::Bytes(_) => {
            let bytes = take_bytes(rest)?;
            Some(match kind {
                Kind::Utf8 => Scalar::Text(String::from_utf8(bytes).ok()?),
                _ => Scalar::Bytes(bytes),
            })
        }
        _ => {
            let (int, after) = rest.split_first_chunk::<8>()?;
            *rest = after;
            Some(Scalar::Int(read_int(int)))
        }
    }
}

fn take_bytes(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        match **rest {
            [0, 0, ..] => {
                *rest = &rest[2..];
                return Some(bytes);
            }
            [0, 255, ..] => {
                bytes.push(0);
                *rest = &rest[2..];
            }
            [byte, ..] => {
                bytes.push(byte);
                *rest = &rest[1..];
            }
            [] => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::KeyShape;
    use crate::{Kind, Scalar, field};
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = (Scalar, Scalar)> {
        let int = prop_oneof![Just(Scalar::Null), any::<i64>().prop_map(Scalar::Int)];
        let bytes = prop::collection::vec(prop_oneof![Just(0u8), Just(255), any::<u8>()], 0..6);
        (int, prop_oneof![Just(Scalar::Null), bytes.prop_map(Scalar::Bytes)])
    }

    proptest! {
        /// The order of keys is the order of their columns, and nothing is lost.
        #[test]
        fn keys_sort_as_their_columns((a, b) in (value(), value())) {
            let shape = KeyShape(vec![field("bytes", Kind::Binary), field("int", Kind::Int64)]);
            let (left, right) = (shape.encode(&[a.1.clone(), a.0.clone()]), shape.encode(&[b.1.clone(), b.0.clone()]));
            if let Scalar::Int(int) = a.0 {
                prop_assert_eq!(left.last_int(), Some(int));
            }
            prop_assert_eq!(left.cmp(&right), a.1.compare(&b.1).then(a.0.compare(&b.0)));
            prop_assert_eq!(shape.decode(&left).unwrap(), vec![a.1, a.0]);
        }
    }
}
