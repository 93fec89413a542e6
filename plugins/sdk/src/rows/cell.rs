//! One row of a batch as a serde `Deserializer`: values come straight from the columns, and texts are borrowed from them.

use serde::de::value::{BorrowedStrDeserializer, SeqDeserializer};
use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use crate::place::is_present;
use crate::row_error::RowError;
use crate::{Batch, Kind, Strings, Values};

use super::reader::Node;

/// The fields of a row, or of a struct within it, in the order of their type.
#[derive(Clone, Copy)]
pub struct Row<'n, 'b> {
    pub nodes: &'n [Node],
    pub batch: &'b Batch,
    pub row: usize,
}

impl<'de> Deserializer<'de> for Row<'_, 'de> {
    type Error = RowError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        visitor.visit_seq(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'n, 'de> Row<'n, 'de> {
    fn next(&mut self) -> Option<Cell<'n, 'de>> {
        let (node, rest) = self.nodes.split_first()?;
        self.nodes = rest;
        Some(Cell { node, batch: self.batch, row: self.row })
    }
}

impl<'de> SeqAccess<'de> for Row<'_, 'de> {
    type Error = RowError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, RowError> {
        let Some(cell) = self.next() else { return Ok(None) };
        seed.deserialize(cell).map(Some).map_err(|error| error.within(&cell.node.name))
    }
}

/// For what asks for no type, such as a `serde_json::Value`.
impl<'de> MapAccess<'de> for Row<'_, 'de> {
    type Error = RowError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, RowError> {
        let Some(node) = self.nodes.first() else { return Ok(None) };
        seed.deserialize(node.name.as_str().into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, RowError> {
        seed.deserialize(self.next().ok_or_else(missing)?)
    }
}

fn missing() -> RowError {
    RowError::new("the batch does not have the columns of the plan")
}

/// One value.
#[derive(Clone, Copy)]
struct Cell<'n, 'b> {
    node: &'n Node,
    batch: &'b Batch,
    row: usize,
}

impl<'n, 'de> Cell<'n, 'de> {
    fn is_null(&self) -> bool {
        let is_absent =
            |at: usize| self.batch.columns.get(at).is_some_and(|column| !is_present(column, self.row));
        is_absent(self.node.at) || self.node.parents.iter().any(|parent| is_absent(*parent))
    }

    /// A value that is there.
    fn value<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        let row = self.row;
        match &self.batch.columns.get(self.node.at).ok_or_else(missing)?.values {
            Values::Bits(bits) => visitor.visit_bool(bits[row / 8] >> (row % 8) & 1 == 1),
            Values::Int8(values) => visitor.visit_i8(values[row]),
            Values::Int16(values) => visitor.visit_i16(values[row]),
            Values::Int32(values) => visitor.visit_i32(values[row]),
            Values::Int64(values) => visitor.visit_i64(values[row]),
            Values::Uint8(values) => visitor.visit_u8(values[row]),
            Values::Uint16(values) => visitor.visit_u16(values[row]),
            Values::Uint32(values) => visitor.visit_u32(values[row]),
            Values::Uint64(values) => visitor.visit_u64(values[row]),
            Values::Float32(values) => visitor.visit_f32(values[row]),
            Values::Float64(values) => visitor.visit_f64(values[row]),
            Values::Bytes(strings) if self.node.kind == Kind::Utf8 => {
                visitor.visit_borrowed_str(Strings::new(strings).text(row))
            }
            Values::Bytes(strings) => visitor.visit_borrowed_bytes(Strings::new(strings).bytes(row)),
            Values::Fixed(bytes) => {
                let Kind::FixedSizeBinary(width) = self.node.kind else { return Err(missing()) };
                let width = width as usize;
                visitor.visit_borrowed_bytes(&bytes[row * width..(row + 1) * width])
            }
            Values::None => visitor.visit_map(Row { nodes: &self.node.children, batch: self.batch, row }),
            Values::Offsets(offsets) => {
                let (from, to) = (offsets[row] as usize, offsets[row + 1] as usize);
                let items = Items { nodes: &self.node.children, batch: self.batch, rows: from..to };
                if self.node.kind == Kind::MapOf {
                    visitor.visit_map(items)
                } else {
                    visitor.visit_seq(items)
                }
            }
        }
    }

    fn present<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        if self.is_null() {
            return Err(RowError::new("it is null"));
        }
        self.value(visitor)
    }
}

macro_rules! values {
    ($($method:ident)+) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
            self.present(visitor)
        })+
    };
}

impl<'de> Deserializer<'de> for Cell<'_, 'de> {
    type Error = RowError;

    values! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8
        deserialize_u16 deserialize_u32 deserialize_u64 deserialize_f32 deserialize_f64 deserialize_char
        deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf deserialize_map
        deserialize_identifier
    }

    /// What asks for no type takes a null, too.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        if self.is_null() { visitor.visit_unit() } else { self.value(visitor) }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        if self.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, RowError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        if matches!(self.node.kind, Kind::Binary | Kind::FixedSizeBinary(_)) {
            return self.present(Bytes(visitor));
        }
        self.present(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, RowError> {
        if self.is_null() {
            return Err(RowError::new("it is null"));
        }
        visitor.visit_seq(Row { nodes: &self.node.children, batch: self.batch, row: self.row })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, RowError> {
        let text = self.present(Text)?;
        BorrowedStrDeserializer::new(text).deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! { i128 u128 unit unit_struct tuple tuple_struct }
}

/// Takes the text of a `utf8` column.
struct Text;

impl<'de> Visitor<'de> for Text {
    type Value = &'de str;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a text")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<&'de str, E> {
        Ok(text)
    }
}

/// Takes the bytes of a `binary` column, and shows them to another visitor as a sequence.
struct Bytes<V>(V);

impl<'de, V: Visitor<'de>> Visitor<'de> for Bytes<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("bytes")
    }

    fn visit_borrowed_bytes<E: serde::de::Error>(self, bytes: &'de [u8]) -> Result<V::Value, E> {
        self.0.visit_seq(SeqDeserializer::new(bytes.iter().copied()))
    }
}

/// The items of a list, or the entries of a map.
struct Items<'n, 'b> {
    nodes: &'n [Node],
    batch: &'b Batch,
    rows: std::ops::Range<usize>,
}

impl<'n, 'de> Items<'n, 'de> {
    fn cell(&self, node: usize, row: usize) -> Result<Cell<'n, 'de>, RowError> {
        Ok(Cell { node: self.nodes.get(node).ok_or_else(missing)?, batch: self.batch, row })
    }
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = RowError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, RowError> {
        let Some(row) = self.rows.next() else { return Ok(None) };
        seed.deserialize(self.cell(0, row)?).map(Some)
    }
}

impl<'de> MapAccess<'de> for Items<'_, 'de> {
    type Error = RowError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, RowError> {
        if self.rows.is_empty() {
            return Ok(None);
        }
        seed.deserialize(self.cell(0, self.rows.start)?).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, RowError> {
        let row = self.rows.next().ok_or_else(missing)?;
        seed.deserialize(self.cell(1, row)?)
    }
}
