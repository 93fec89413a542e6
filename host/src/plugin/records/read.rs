//! JSON rows as columns of the contract, driven by a schema: what does not fit it is refused where it stands, so that
//! nothing is built which the schema does not ask for, and nothing is nested deeper than it is.

use std::collections::HashSet;
use std::fmt;

use arrow::datatypes::{DataType, SchemaRef};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::json::names::Previous;

use super::super::bindings::types;
use super::super::text::sanitised;
use super::column::{Budget, Column, Scalar};
use super::scalar::append_scalar;

/// Rows that were read, in the layout of a typed plugin's answer.
pub(super) struct RowsRead {
    pub batch: types::BatchResult,
    /// Of each row whether it is there; the columns have some value for those that are not.
    pub present: Vec<bool>,
}

/// What there may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    /// At most so many rows.
    pub rows: usize,
    /// Whether a row may be `null`. New rows may not.
    pub nulls: bool,
}

/// Reads one JSON array of objects. `budget` is what its columns may take: a small text could stand for much, as members
/// that are not there do.
pub(super) fn read_rows(
    text: &str,
    schema: &SchemaRef,
    expected: Expected,
    budget: &mut Budget,
) -> Result<RowsRead, String> {
    let mut root = Column::new("", &DataType::Struct(schema.fields().clone()), false);
    let mut rows = Rows { root: &mut root, budget, present: Vec::new(), expected };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = deserializer.deserialize_seq(&mut rows).and_then(|()| deserializer.end());
    read.map_err(|error| {
        format!("after {} rows: {}", rows.present.len(), sanitised(&error.to_string(), 512))
    })?;
    let present = rows.present;
    let count = u32::try_from(present.len()).map_err(|error| error.to_string())?;
    let batch = types::BatchResult { rows: count, columns: root.into_children_in_pre_order() };
    Ok(RowsRead { batch, present })
}

struct Rows<'a> {
    root: &'a mut Column,
    budget: &'a mut Budget,
    present: Vec<bool>,
    expected: Expected,
}

impl<'de> Visitor<'de> for &mut Rows<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<(), A::Error> {
        while let Some(present) = rows.next_element_seed(Row(self))? {
            self.present.push(present);
        }
        Ok(())
    }
}

/// One row; says whether it is there.
struct Row<'a, 'r>(&'a mut Rows<'r>);

impl<'de> DeserializeSeed<'de> for Row<'_, '_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        let most = self.0.expected.rows;
        if self.0.present.len() == most {
            return Err(D::Error::custom(match self.0.expected.nulls {
                true => format!("there are more rows than the {most} that there may be"),
                false => "there are more new rows than `output_rows` allows".to_owned(),
            }));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Row<'_, '_> {
    type Value = bool;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.expected.nulls { "an object or null" } else { "an object" })
    }

    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        if !self.0.expected.nulls {
            return Err(E::custom("a new row is null"));
        }
        self.0.root.append_placeholder(self.0.budget).map_err(E::custom)?;
        Ok(false)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<bool, A::Error> {
        Value { column: self.0.root, budget: self.0.budget }.visit_map(members)?;
        Ok(true)
    }
}

/// The value of a column.
struct Value<'a> {
    column: &'a mut Column,
    budget: &'a mut Budget,
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if !self.column.children.is_empty() {
            return deserializer.deserialize_any(self);
        }
        let json = <&RawValue>::deserialize(deserializer)?.get();
        append_scalar(self.column, json, self.budget).map_err(D::Error::custom)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match &self.column.data_type {
            DataType::Struct(_) => "an object",
            DataType::Map(..) if has_text_keys(self.column) => "an object",
            DataType::Map(..) => "an array of pairs",
            _ => "an array",
        };
        write!(formatter, "{what} in column `{}`", self.column.path)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.column.append_null(self.budget).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Self { column, budget } = self;
        match (&column.data_type, column.children.as_mut_slice()) {
            (DataType::List(_), [item]) => {
                while items.next_element_seed(Value { column: item, budget })?.is_some() {}
            }
            (DataType::Map(..), [entries]) if !has_text_key(entries) => {
                while items.next_element_seed(Pair { entries, budget })?.is_some() {}
            }
            _ => return Err(A::Error::custom(format!("column `{}` is not an array", column.path))),
        }
        column.append_items(budget).map_err(A::Error::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<(), A::Error> {
        match &self.column.data_type {
            DataType::Struct(_) => read_object(self.column, members, self.budget),
            DataType::Map(..) if has_text_keys(self.column) => read_map(self.column, members, self.budget),
            _ => Err(A::Error::custom(format!("column `{}` is not an object", self.column.path))),
        }
    }
}

fn has_text_keys(map: &Column) -> bool {
    map.children.first().is_some_and(has_text_key)
}

fn has_text_key(entries: &Column) -> bool {
    entries.children.first().is_some_and(|key| key.data_type == DataType::Utf8)
}

fn read_object<'de, A: MapAccess<'de>>(
    column: &mut Column,
    mut members: A,
    budget: &mut Budget,
) -> Result<(), A::Error> {
    column.members.object += 1;
    let object = column.members.object;
    let mut previous = Previous::default();
    while let Some(index) = members.next_key_seed(Name { object: column, previous: &mut previous })? {
        let child = &mut column.children[index];
        if std::mem::replace(&mut column.members.seen[index], object) == object {
            return Err(A::Error::custom(format!("column `{}` is there twice", child.path)));
        }
        members.next_value_seed(Value { column: child, budget })?;
    }
    for (child, seen) in column.children.iter_mut().zip(&column.members.seen) {
        if *seen != object {
            child.append_null(budget).map_err(A::Error::custom)?;
        }
    }
    column.append_struct(budget).map_err(A::Error::custom)
}

fn read_map<'de, A: MapAccess<'de>>(
    column: &mut Column,
    mut members: A,
    budget: &mut Budget,
) -> Result<(), A::Error> {
    let mut seen = HashSet::new();
    for entries in &mut column.children {
        while let Some(name) = members.next_key::<String>()? {
            let [key, value] = entries.children.as_mut_slice() else { break };
            key.append(Scalar::Bytes(name.as_bytes()), budget).map_err(A::Error::custom)?;
            members.next_value_seed(Value { column: value, budget })?;
            entries.append_struct(budget).map_err(A::Error::custom)?;
            if let Some(name) = seen.replace(name) {
                return Err(A::Error::custom(format!("column `{}` has the key {name:?} twice", column.path)));
            }
        }
    }
    column.append_items(budget).map_err(A::Error::custom)
}

/// The index of the member of an object whose name comes next.
struct Name<'a> {
    object: &'a mut Column,
    previous: &'a mut Previous,
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name<'_> {
    type Value = usize;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a column's name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<usize, E> {
        let Self { object, previous } = self;
        object.members.names.find(previous, name).ok_or_else(|| {
            let inside =
                if object.path.is_empty() { String::new() } else { format!(" in `{}`", object.path) };
            E::custom(format!("there is no column `{name}`{inside} in the plan"))
        })
    }
}

/// An entry of a map: an array of its key and its value.
struct Pair<'a> {
    entries: &'a mut Column,
    budget: &'a mut Budget,
}

impl<'de> DeserializeSeed<'de> for Pair<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Pair<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of a key and a value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<(), A::Error> {
        let Self { entries, budget } = self;
        for (index, column) in entries.children.iter_mut().enumerate() {
            if pair.next_element_seed(Value { column, budget })?.is_none() {
                return Err(A::Error::invalid_length(index, &"a key and a value"));
            }
        }
        // One element more is refused by the parser.
        entries.append_struct(budget).map_err(A::Error::custom)
    }
}
