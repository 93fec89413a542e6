//! Types as text, as users write them in a pipeline file and as ledger entries hold them.
//!
//! ```text
//! type  = "boolean" | "int8" | "int16" | "int32" | "int64" | "uint8" | "uint16" | "uint32" | "uint64"
//!       | "float32" | "float64" | "decimal(" precision "," scale ")" | "utf8" | "string" | "binary"
//!       | "date" | "timestamp" | "list<" type ">" | "struct<" field { "," field } ">" | "map<utf8," type ">"
//! field = name ":" type
//! name  = letter or "_", then letters, digits and "_"; anything else between backticks, where "``" is a backtick
//! ```
//!
//! A timestamp is microseconds since the epoch, in UTC. Everything but the keys of a map is nullable.
//! Blanks between tokens mean nothing.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};

use super::parser::Parser;

/// How deep types may nest.
pub const MAX_TYPE_DEPTH: usize = 64;

/// Where a type's text goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at byte {position} of the type: expected {expected}, found {found}")]
pub struct TypeError {
    pub position: usize,
    pub expected: String,
    pub found: String,
}

/// The type that a text says. Nested fields carry the names that Delta's own Arrow conversion gives them
/// (`element`, `key_value`, `key`, `value`).
pub fn parse_type(text: &str) -> Result<DataType, TypeError> {
    let mut parser = Parser::new(text);
    let data_type = parser.data_type(0)?;
    parser.end()?;
    Ok(data_type)
}

/// The text of a type that [`parse_type`] can give; `None` for any other.
pub fn format_type(data_type: &DataType) -> Option<String> {
    let mut text = String::new();
    write_type(data_type, &mut text)?;
    Some(text)
}

pub fn timestamp_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

pub fn list_type(element: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("element", element, true)))
}

pub fn map_type(value: DataType) -> DataType {
    let entries =
        Fields::from(vec![Field::new("key", DataType::Utf8, false), Field::new("value", value, true)]);
    DataType::Map(Arc::new(Field::new("key_value", DataType::Struct(entries), false)), false)
}

/// The type of a map's values, if its keys are strings.
pub fn map_value_type(entries: &Field) -> Option<&DataType> {
    match entries.data_type() {
        DataType::Struct(fields) => match fields.iter().as_slice() {
            [key, value] if *key.data_type() == DataType::Utf8 => Some(value.data_type()),
            _ => None,
        },
        _ => None,
    }
}

fn write_type(data_type: &DataType, out: &mut String) -> Option<()> {
    match data_type {
        DataType::Decimal128(precision, scale) if *scale >= 0 => {
            out.push_str(&format!("decimal({precision},{scale})"));
        }
        DataType::List(element) => {
            out.push_str("list<");
            write_type(element.data_type(), out)?;
            out.push('>');
        }
        DataType::Map(entries, false) => {
            out.push_str("map<utf8, ");
            write_type(map_value_type(entries)?, out)?;
            out.push('>');
        }
        DataType::Struct(fields) if !fields.is_empty() => {
            out.push_str("struct<");
            for (index, field) in fields.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                out.push_str(&quote_name(field.name()));
                out.push_str(": ");
                write_type(field.data_type(), out)?;
            }
            out.push('>');
        }
        other => out.push_str(scalar_name(other)?),
    }
    Some(())
}

fn scalar_name(data_type: &DataType) -> Option<&'static str> {
    let name = match data_type {
        DataType::Boolean => "boolean",
        DataType::Int8 => "int8",
        DataType::Int16 => "int16",
        DataType::Int32 => "int32",
        DataType::Int64 => "int64",
        DataType::UInt8 => "uint8",
        DataType::UInt16 => "uint16",
        DataType::UInt32 => "uint32",
        DataType::UInt64 => "uint64",
        DataType::Float32 => "float32",
        DataType::Float64 => "float64",
        DataType::Utf8 => "utf8",
        DataType::Binary => "binary",
        DataType::Date32 => "date",
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if zone.as_ref() == "UTC" => "timestamp",
        _ => return None,
    };
    Some(name)
}

/// The name as the grammar has it: odd ones between backticks.
pub fn quote_name(name: &str) -> Cow<'_, str> {
    if is_plain_name(name) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(format!("`{}`", name.replace('`', "``")))
}

fn is_plain_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Any type of the grammar, nested a few levels.
    pub fn any_type() -> impl Strategy<Value = DataType> {
        let scalar = prop_oneof![
            Just(DataType::Boolean),
            Just(DataType::Int8),
            Just(DataType::Int16),
            Just(DataType::Int32),
            Just(DataType::Int64),
            Just(DataType::UInt8),
            Just(DataType::UInt16),
            Just(DataType::UInt32),
            Just(DataType::UInt64),
            Just(DataType::Float32),
            Just(DataType::Float64),
            Just(DataType::Utf8),
            Just(DataType::Binary),
            Just(DataType::Date32),
            Just(timestamp_type()),
            (1..=38u8)
                .prop_flat_map(|precision| (Just(precision), 0..=precision as i8))
                .prop_map(|(precision, scale)| DataType::Decimal128(precision, scale)),
        ];
        scalar.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                inner.clone().prop_map(list_type),
                inner.clone().prop_map(map_type),
                proptest::collection::btree_map("[a-c `_:<9é]{1,3}", inner, 1..4).prop_map(|fields| {
                    let mut seen = std::collections::HashSet::new();
                    let fields = fields.into_iter().filter(|(name, _)| seen.insert(name.to_lowercase()));
                    DataType::Struct(
                        fields.map(|(name, data_type)| Field::new(name, data_type, true)).collect(),
                    )
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_type_comes_back_from_its_text(data_type in any_type()) {
            let text = format_type(&data_type).expect("a type of the grammar");
            prop_assert_eq!(parse_type(&text), Ok(data_type), "{}", text);
        }

        #[test]
        fn no_text_panics(text in "[a-z0-9<>(),: `é]{0,40}") {
            let _ = parse_type(&text);
        }
    }

    #[test]
    fn blanks_and_aliases_are_read() {
        assert_eq!(parse_type(" string "), Ok(DataType::Utf8));
        assert_eq!(parse_type("map < utf8 , list< int8>>"), Ok(map_type(list_type(DataType::Int8))));
        let expected = DataType::Struct(vec![Field::new("a b`", DataType::Date32, true)].into());
        assert_eq!(parse_type("struct<`a b```:date>"), Ok(expected));
    }

    #[test]
    fn errors_say_where_and_what() {
        for (text, position, expected) in [
            ("", 0, "a type"),
            ("int65", 0, "a type"),
            ("list<int8", 9, "`>`"),
            ("int8 x", 5, "the end"),
            ("struct<a int8>", 9, "`:`"),
            ("struct<>", 7, "a field name"),
            ("struct<a: int8, A: int8>", 16, "a field name that is not"),
            ("map<int8, utf8>", 4, "`utf8`"),
            ("decimal(39,0)", 8, "a precision"),
            ("decimal(5,6)", 10, "a scale"),
            ("struct<`a: int8>", 7, "a closing backtick"),
        ] {
            let error = parse_type(text).expect_err(text);
            assert_eq!(error.position, position, "{text}: {error}");
            assert!(error.expected.starts_with(expected), "{text}: {error}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| format!("{}int8{}", "list<".repeat(depth), ">".repeat(depth));
        assert!(parse_type(&nested(MAX_TYPE_DEPTH)).is_ok());
        assert!(parse_type(&nested(MAX_TYPE_DEPTH + 1)).is_err());
        assert!(parse_type(&"list<".repeat(1_000_000)).is_err());
    }

    #[test]
    fn types_outside_of_the_grammar_have_no_text() {
        assert_eq!(format_type(&DataType::Null), None);
        assert_eq!(format_type(&DataType::Timestamp(TimeUnit::Second, None)), None);
        assert_eq!(format_type(&list_type(DataType::LargeUtf8)), None);
    }
}
