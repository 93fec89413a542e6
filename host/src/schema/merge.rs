//! The least type that holds two types, without loss.
//!
//! Widening is a join semilattice, so that the order in which schemas meet does not matter:
//!
//! | from | to |
//! |---|---|
//! | `intN` | a wider `int` |
//! | `uintN` | a wider `uint`, or an `int` that is wider than itself |
//! | `int8`, `int16`, `int32`, `uint8`, `uint16` | `float64` |
//! | `float32` | `float64` |
//! | `decimal(p,s)` | `decimal` with at least as many digits on either side of the point |
//!
//! There is no way from `int64`, `uint32` or `uint64` to `float64` (64-bit integers are not exact in it,
//! and `uint32` meets the signed integers in `int64`), none from an integer to `float32`, none from
//! anything to `utf8`, and none between `date` and `timestamp`.

use arrow::datatypes::{DataType, Field};

use super::types::{list_type, map_type, map_value_type};

/// The least type that holds both, or `None`. Nested types are joined field by field; the fields that only
/// `right` has come last. Nothing joins with a field whose name differs only by letter case.
pub fn join_types(left: &DataType, right: &DataType) -> Option<DataType> {
    if left == right {
        return Some(left.clone());
    }
    match (left, right) {
        (DataType::List(left), DataType::List(right)) => {
            join_types(left.data_type(), right.data_type()).map(list_type)
        }
        (DataType::Map(left, false), DataType::Map(right, false)) => {
            join_types(map_value_type(left)?, map_value_type(right)?).map(map_type)
        }
        (DataType::Struct(left), DataType::Struct(right)) => {
            let mut fields: Vec<Field> = left.iter().map(|field| field.as_ref().clone()).collect();
            for field in right {
                match fields.iter_mut().find(|mine| same_name(mine.name(), field.name())) {
                    Some(mine) if mine.name() == field.name() => {
                        let joined = join_types(mine.data_type(), field.data_type())?;
                        mine.set_data_type(joined);
                    }
                    Some(_) => return None,
                    None => fields.push(field.as_ref().clone()),
                }
            }
            Some(DataType::Struct(fields.into()))
        }
        (DataType::Decimal128(p1, s1), DataType::Decimal128(p2, s2)) => {
            let scale = (*s1).max(*s2);
            let whole = (*p1 as i8 - s1).max(*p2 as i8 - s2);
            let precision = u8::try_from(whole + scale).ok().filter(|precision| *precision <= 38)?;
            Some(DataType::Decimal128(precision, scale))
        }
        _ => join_numbers(left, right),
    }
}

/// Table formats tell names apart without letter case.
pub fn same_name(left: &str, right: &str) -> bool {
    left == right || left.to_lowercase() == right.to_lowercase()
}

fn join_numbers(left: &DataType, right: &DataType) -> Option<DataType> {
    use DataType::{Float32, Float64};
    match (left, right) {
        (Float32 | Float64, Float32 | Float64) => Some(Float64),
        (Float32 | Float64, integer) | (integer, Float32 | Float64) => {
            let (signed, bits) = integer_kind(integer)?;
            (bits <= if signed { 32 } else { 16 }).then_some(Float64)
        }
        _ => {
            let (left_signed, left_bits) = integer_kind(left)?;
            let (right_signed, right_bits) = integer_kind(right)?;
            if left_signed == right_signed {
                return integer_type(left_signed, left_bits.max(right_bits));
            }
            let room = |signed: bool, bits: u8| if signed { bits } else { bits.saturating_mul(2) };
            integer_type(true, room(left_signed, left_bits).max(room(right_signed, right_bits)))
        }
    }
}

/// Whether it is signed, and its bits.
fn integer_kind(data_type: &DataType) -> Option<(bool, u8)> {
    match data_type {
        DataType::Int8 => Some((true, 8)),
        DataType::Int16 => Some((true, 16)),
        DataType::Int32 => Some((true, 32)),
        DataType::Int64 => Some((true, 64)),
        DataType::UInt8 => Some((false, 8)),
        DataType::UInt16 => Some((false, 16)),
        DataType::UInt32 => Some((false, 32)),
        DataType::UInt64 => Some((false, 64)),
        _ => None,
    }
}

fn integer_type(signed: bool, bits: u8) -> Option<DataType> {
    match (signed, bits) {
        (true, 8) => Some(DataType::Int8),
        (true, 16) => Some(DataType::Int16),
        (true, 32) => Some(DataType::Int32),
        (true, 64) => Some(DataType::Int64),
        (false, 8) => Some(DataType::UInt8),
        (false, 16) => Some(DataType::UInt16),
        (false, 32) => Some(DataType::UInt32),
        (false, 64) => Some(DataType::UInt64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::types::tests::any_type;
    use super::super::types::{format_type, parse_type};
    use super::*;

    fn join(left: &str, right: &str) -> Option<String> {
        let joined = join_types(&parse_type(left).unwrap(), &parse_type(right).unwrap())?;
        Some(format_type(&joined).unwrap())
    }

    /// The type with all fields in the order of their names.
    fn sorted(data_type: &DataType) -> DataType {
        match data_type {
            DataType::List(element) => list_type(sorted(element.data_type())),
            DataType::Map(entries, _) => map_type(sorted(map_value_type(entries).unwrap())),
            DataType::Struct(fields) => {
                let mut fields: Vec<Field> = fields
                    .iter()
                    .map(|field| Field::new(field.name(), sorted(field.data_type()), true))
                    .collect();
                fields.sort_by(|left, right| left.name().cmp(right.name()));
                DataType::Struct(fields.into())
            }
            other => other.clone(),
        }
    }

    #[test]
    fn the_table_of_widenings_holds() {
        for (left, right, joined) in [
            ("int8", "int32", Some("int32")),
            ("uint8", "int8", Some("int16")),
            ("uint16", "int64", Some("int64")),
            ("uint32", "int8", Some("int64")),
            ("uint64", "int8", None),
            ("uint8", "uint64", Some("uint64")),
            ("int32", "float32", Some("float64")),
            ("int64", "float64", None),
            ("uint32", "float64", None),
            ("float32", "float64", Some("float64")),
            ("date", "timestamp", None),
            ("int64", "utf8", None),
            ("decimal(10,2)", "decimal(8,4)", Some("decimal(12,4)")),
            ("decimal(38,0)", "decimal(2,2)", None),
            ("list<int8>", "list<int16>", Some("list<int16>")),
            ("map<utf8, int8>", "map<utf8, int16>", Some("map<utf8, int16>")),
            (
                "struct<a: int8, b: utf8>",
                "struct<c: date, a: int32>",
                Some("struct<a: int32, b: utf8, c: date>"),
            ),
            ("struct<a: int8>", "struct<A: int8>", None),
        ] {
            assert_eq!(join(left, right).as_deref(), joined, "{left} with {right}");
        }
    }

    #[test]
    fn numbers_form_a_semilattice() {
        let names = "int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 boolean utf8";
        let types: Vec<DataType> = names.split(' ').map(|name| parse_type(name).unwrap()).collect();
        for a in &types {
            assert_eq!(join_types(a, a).as_ref(), Some(a));
            for b in &types {
                let ab = join_types(a, b);
                assert_eq!(ab, join_types(b, a), "{a} with {b}");
                for c in &types {
                    let left = ab.as_ref().and_then(|ab| join_types(ab, c));
                    let right = join_types(b, c).and_then(|bc| join_types(a, &bc));
                    assert_eq!(left, right, "{a}, {b}, {c}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn joins_are_associative_up_to_order(a in any_type(), b in any_type(), c in any_type()) {
            let wrap = |t: &DataType, name: &str| DataType::Struct(vec![
                Field::new("same", t.clone(), true), Field::new(name, t.clone(), true)].into());
            for (a, b, c) in [(a.clone(), b.clone(), c.clone()), (wrap(&a, "a"), wrap(&b, "b"), wrap(&c, "c"))] {
                let left = join_types(&a, &b).and_then(|ab| join_types(&ab, &c));
                let right = join_types(&b, &c).and_then(|bc| join_types(&a, &bc));
                prop_assert_eq!(left.as_ref().map(sorted), right.as_ref().map(sorted));
                let (ab, ba) = (join_types(&a, &b), join_types(&b, &a));
                prop_assert_eq!(ab.as_ref().map(sorted), ba.as_ref().map(sorted));
                prop_assert_eq!(join_types(&a, &a), Some(a.clone()));
                if let Some(joined) = left {
                    prop_assert_eq!(join_types(&joined, &b), Some(joined));
                }
            }
        }
    }
}
