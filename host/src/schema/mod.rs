//! The schema of decoded records, its textual types, and how one schema grows into the next.

mod merge;
mod parser;
mod types;

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use self::merge::{join_types, same_name};
pub use self::types::{
    MAX_TYPE_DEPTH, TypeError, format_type, list_type, map_type, map_value_type, parse_type, quote_name,
    timestamp_type,
};

/// Columns of these names are made by the host: a payload's own columns may not start so.
pub const RESERVED_PREFIX: char = '_';

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    #[error("column `{0}` is there twice (letter case aside): rename one of them")]
    Duplicate(String),
    #[error("column `{0}`: names that start with `_` are reserved for the host: rename it")]
    Reserved(String),
    #[error(
        "column `{name}` has type {data_type}, which has no textual form: cast it to one of the documented types"
    )]
    Type { name: String, data_type: String },
    #[error("the schema has {columns} leaf columns, more than `max_columns` ({max_columns}) allows")]
    TooManyColumns { columns: usize, max_columns: usize },
}

/// Why no schema holds both of two schemas.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    #[error("column `{name}`: no type holds both {left} and {right} without loss")]
    Types { name: String, left: String, right: String },
    #[error("columns `{left}` and `{right}` differ only by letter case")]
    LetterCase { left: String, right: String },
}

/// Columns in order, with types of the grammar in [`parse_type`]; all nullable. Names differ by more than
/// letter case. As JSON it is a list of `{"name": …, "type": …}`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordSchema {
    columns: Vec<Column>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    #[serde(rename = "type", serialize_with = "serialize_type", deserialize_with = "deserialize_type")]
    pub data_type: DataType,
}

impl RecordSchema {
    pub fn new(columns: Vec<Column>) -> Result<Self, SchemaError> {
        let mut names = HashSet::new();
        for Column { name, data_type } in &columns {
            if !names.insert(name.to_lowercase()) {
                return Err(SchemaError::Duplicate(name.clone()));
            }
            if format_type(data_type).is_none() {
                return Err(SchemaError::Type { name: name.clone(), data_type: data_type.to_string() });
            }
            check_nested_names(name, data_type)?;
        }
        Ok(Self { columns })
    }

    pub fn from_arrow(schema: &Schema) -> Result<Self, SchemaError> {
        let column =
            |field: &Arc<Field>| Column { name: field.name().clone(), data_type: field.data_type().clone() };
        Self::new(schema.fields().iter().map(column).collect())
    }

    pub fn to_arrow(&self) -> SchemaRef {
        let field = |column: &Column| Field::new(&column.name, column.data_type.clone(), true);
        Arc::new(Schema::new(self.columns.iter().map(field).collect::<Vec<_>>()))
    }

    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Columns that hold values: a struct counts as its fields, a list as its element, a map as its values.
    pub fn leaf_columns(&self) -> usize {
        self.columns.iter().map(|column| leaves(&column.data_type)).sum()
    }

    /// Refuses the names that the host keeps for its own columns.
    pub fn check_not_reserved(&self) -> Result<(), SchemaError> {
        match self.columns.iter().find(|column| column.name.starts_with(RESERVED_PREFIX)) {
            Some(column) => Err(SchemaError::Reserved(column.name.clone())),
            None => Ok(()),
        }
    }

    /// The least schema that holds both: this one's columns, widened where need be (see [`join_types`]), then
    /// the columns that only `other` has. Associative and idempotent, up to the order of columns and fields.
    pub fn merge(&self, other: &Self) -> Result<Self, MergeError> {
        let mut columns = self.columns.clone();
        for theirs in &other.columns {
            match columns.iter_mut().find(|mine| same_name(&mine.name, &theirs.name)) {
                Some(mine) if mine.name == theirs.name => {
                    mine.data_type =
                        join_types(&mine.data_type, &theirs.data_type).ok_or_else(|| MergeError::Types {
                            name: mine.name.clone(),
                            left: type_name(&mine.data_type),
                            right: type_name(&theirs.data_type),
                        })?;
                }
                Some(mine) => {
                    let (left, right) = (mine.name.clone(), theirs.name.clone());
                    return Err(MergeError::LetterCase { left, right });
                }
                None => columns.push(theirs.clone()),
            }
        }
        Ok(Self { columns })
    }
}

impl Serialize for RecordSchema {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.columns.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RecordSchema {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Vec::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// For messages: the textual type, or Arrow's own name of a type that has none.
pub fn type_name(data_type: &DataType) -> String {
    format_type(data_type).unwrap_or_else(|| data_type.to_string())
}

pub(crate) fn leaves(data_type: &DataType) -> usize {
    match data_type {
        DataType::Struct(fields) => fields.iter().map(|field| leaves(field.data_type())).sum(),
        DataType::List(element) => leaves(element.data_type()),
        DataType::Map(entries, _) => map_value_type(entries).map_or(1, leaves),
        _ => 1,
    }
}

fn check_nested_names(path: &str, data_type: &DataType) -> Result<(), SchemaError> {
    match data_type {
        DataType::Struct(fields) => {
            let mut names = HashSet::new();
            for field in fields {
                let path = format!("{path}.{}", field.name());
                if !names.insert(field.name().to_lowercase()) {
                    return Err(SchemaError::Duplicate(path));
                }
                check_nested_names(&path, field.data_type())?;
            }
            Ok(())
        }
        DataType::List(element) => check_nested_names(path, element.data_type()),
        DataType::Map(entries, _) => {
            map_value_type(entries).map_or(Ok(()), |value| check_nested_names(path, value))
        }
        _ => Ok(()),
    }
}

fn serialize_type<S: Serializer>(data_type: &DataType, serializer: S) -> Result<S::Ok, S::Error> {
    match format_type(data_type) {
        Some(text) => serializer.serialize_str(&text),
        None => Err(serde::ser::Error::custom(format!("type {data_type} has no textual form"))),
    }
}

fn deserialize_type<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DataType, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_type(&text).map_err(serde::de::Error::custom)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A schema from pairs of names and types.
    pub fn schema(columns: &[(&str, &str)]) -> RecordSchema {
        let column = |(name, text): &(&str, &str)| Column {
            name: (*name).to_owned(),
            data_type: parse_type(text).unwrap(),
        };
        RecordSchema::new(columns.iter().map(column).collect()).unwrap()
    }

    #[test]
    fn the_json_form_is_text_and_comes_back() {
        let schema = schema(&[("a", "struct<b: list<utf8>>"), ("ts", "timestamp")]);
        let json = serde_json::to_string(&schema).unwrap();
        let expected = r#"[{"name":"a","type":"struct<b: list<utf8>>"},{"name":"ts","type":"timestamp"}]"#;
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_str::<RecordSchema>(&json).unwrap(), schema);
        assert!(serde_json::from_str::<RecordSchema>(r#"[{"name":"a","type":"int65"}]"#).is_err());
        let twice = r#"[{"name":"a","type":"utf8"},{"name":"A","type":"utf8"}]"#;
        assert!(serde_json::from_str::<RecordSchema>(twice).is_err());
    }

    #[test]
    fn arrow_and_back() {
        let schema = schema(&[("a", "decimal(9,2)"), ("b", "map<utf8, int8>")]);
        assert_eq!(RecordSchema::from_arrow(&schema.to_arrow()), Ok(schema));
        let foreign = Schema::new(vec![Field::new("x", DataType::Null, true)]);
        assert!(matches!(RecordSchema::from_arrow(&foreign), Err(SchemaError::Type { .. })));
    }

    #[test]
    fn merging_widens_and_adds_at_the_end() {
        let left = schema(&[("a", "int32"), ("s", "struct<x: utf8>")]);
        let right = schema(&[("n", "date"), ("s", "struct<y: int8, x: utf8>"), ("a", "int64")]);
        let merged = left.merge(&right).unwrap();
        assert_eq!(merged, schema(&[("a", "int64"), ("s", "struct<x: utf8, y: int8>"), ("n", "date")]));
        assert_eq!(merged.merge(&right).unwrap(), merged);
        assert_eq!(merged.leaf_columns(), 4);
    }

    #[test]
    fn what_no_schema_holds_is_named() {
        let error = schema(&[("a", "int64")]).merge(&schema(&[("a", "float64")])).unwrap_err();
        assert_eq!(error.to_string(), "column `a`: no type holds both int64 and float64 without loss");
        let error = schema(&[("a", "int64")]).merge(&schema(&[("A", "int64")])).unwrap_err();
        assert!(matches!(error, MergeError::LetterCase { .. }));
    }

    #[test]
    fn host_names_are_reserved() {
        assert!(matches!(schema(&[("_topic", "utf8")]).check_not_reserved(), Err(SchemaError::Reserved(_))));
        assert!(schema(&[("a_", "utf8")]).check_not_reserved().is_ok());
    }
}
