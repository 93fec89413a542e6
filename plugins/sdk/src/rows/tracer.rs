//! What a type is, found by a dry run of its `Deserialize`: serde tells of a type only what it asks for.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};

use crate::row_error::RowError;
use crate::{Kind, timestamp_micros};

use super::shape::{Content, Shape};
use super::types::{DATE, TIMESTAMP};

/// The contract nests no deeper; a type that contains itself would never end.
const MAX_DEPTH: usize = 16;

/// The fields of a struct in the order of their declaration, by the names that they are serialised under.
pub fn fields_of<'de, T: Deserialize<'de>>() -> Result<Vec<(&'static str, Shape)>, RowError> {
    match shape_of::<T>()?.content {
        Content::Struct(fields) => Ok(fields),
        _ => Err(RowError::new("a row must be a struct, without `flatten`")),
    }
}

fn shape_of<'de, T: Deserialize<'de>>() -> Result<Shape, RowError> {
    let mut found = None;
    T::deserialize(Tracer { found: &mut found, depth: 0 })?;
    found.ok_or_else(|| RowError::new("the type asks for no value"))
}

struct Tracer<'a> {
    found: &'a mut Option<Shape>,
    depth: usize,
}

impl Tracer<'_> {
    fn leaf(self, kind: Kind) {
        *self.found = Some(Shape::of(Content::Leaf(kind)));
    }

    fn deeper<'b>(&self, found: &'b mut Option<Shape>) -> Result<Tracer<'b>, RowError> {
        if self.depth == MAX_DEPTH {
            return Err(RowError::new("the type is nested too deeply, or contains itself"));
        }
        Ok(Tracer { found, depth: self.depth + 1 })
    }
}

macro_rules! leaves {
    ($($method:ident, $kind:ident, $visit:ident($value:expr));+ $(;)?) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
            self.leaf(Kind::$kind);
            visitor.$visit($value)
        })+
    };
}

fn unsupported<T>(what: &str) -> Result<T, RowError> {
    Err(RowError::new(format!("{what} has no column")))
}

impl<'de> Deserializer<'de> for Tracer<'_> {
    type Error = RowError;

    leaves! {
        deserialize_bool, Boolean, visit_bool(false);
        deserialize_i8, Int8, visit_i8(0);
        deserialize_i16, Int16, visit_i16(0);
        deserialize_i32, Int32, visit_i32(0);
        deserialize_i64, Int64, visit_i64(0);
        deserialize_u8, Uint8, visit_u8(0);
        deserialize_u16, Uint16, visit_u16(0);
        deserialize_u32, Uint32, visit_u32(0);
        // Tables have no unsigned integers of 64 bits, and `usize` asks for one.
        deserialize_u64, Int64, visit_u64(0);
        deserialize_f32, Float32, visit_f32(0.0);
        deserialize_f64, Float64, visit_f64(0.0);
        deserialize_char, Utf8, visit_char('a');
        deserialize_str, Utf8, visit_borrowed_str("");
        deserialize_string, Utf8, visit_borrowed_str("");
        deserialize_bytes, Binary, visit_borrowed_bytes(&[]);
        deserialize_byte_buf, Binary, visit_borrowed_bytes(&[]);
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        let mut found = None;
        let value = visitor.visit_some(self.deeper(&mut found)?)?;
        *self.found = found.map(|inner| Shape { nullable: true, ..inner });
        Ok(value)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, RowError> {
        let mut found = None;
        let value = visitor.visit_newtype_struct(self.deeper(&mut found)?)?;
        *self.found = match name {
            TIMESTAMP => Some(Shape::of(Content::Leaf(timestamp_micros()))),
            DATE => Some(Shape::of(Content::Leaf(Kind::Date32))),
            _ => found,
        };
        Ok(value)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        let mut found = None;
        let value = visitor.visit_seq(One(Some(self.deeper(&mut found)?)))?;
        *self.found = found.map(|item| Shape::of(Content::List(Box::new(item))));
        Ok(value)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        let mut found = None;
        let value = visitor.visit_map(One(Some(self.deeper(&mut found)?)))?;
        *self.found = found.map(|value| Shape::of(Content::Map(Box::new(value))));
        Ok(value)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, RowError> {
        let mut fields = Vec::with_capacity(names.len());
        let value =
            visitor.visit_map(FieldsOfStruct { names: names.iter(), fields: &mut fields, tracer: &self })?;
        *self.found = Some(Shape::of(Content::Struct(fields)));
        Ok(value)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, RowError> {
        self.leaf(Kind::Utf8);
        visitor.visit_enum(FirstVariant(variants.first().copied().unwrap_or_default()))
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        *self.found = Some(Shape { content: Content::Any, nullable: true });
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        self.deserialize_any(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, _: V) -> Result<V::Value, RowError> {
        unsupported("`()`")
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, _: V) -> Result<V::Value, RowError> {
        unsupported("a struct without fields")
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, RowError> {
        unsupported("a tuple or an array")
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        _: V,
    ) -> Result<V::Value, RowError> {
        unsupported("a struct without names")
    }
}

/// One item of a list, or one value of a map.
struct One<'a>(Option<Tracer<'a>>);

impl<'de> SeqAccess<'de> for One<'_> {
    type Error = RowError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, RowError> {
        self.0.take().map(|tracer| seed.deserialize(tracer)).transpose()
    }
}

impl<'de> MapAccess<'de> for One<'_> {
    type Error = RowError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, RowError> {
        self.0.as_ref().map(|_| seed.deserialize(StrDeserializer::new(""))).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, RowError> {
        let tracer = self.0.take().ok_or_else(|| RowError::new("a map's value was asked for twice"))?;
        seed.deserialize(tracer)
    }
}

struct FieldsOfStruct<'a, 'b> {
    names: std::slice::Iter<'static, &'static str>,
    fields: &'a mut Vec<(&'static str, Shape)>,
    tracer: &'a Tracer<'b>,
}

impl<'de> MapAccess<'de> for FieldsOfStruct<'_, '_> {
    type Error = RowError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, RowError> {
        let Some(name) = self.names.as_slice().first() else { return Ok(None) };
        seed.deserialize(StrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, RowError> {
        let name = self.names.next().copied().unwrap_or_default();
        let mut found = None;
        let value = seed.deserialize(self.tracer.deeper(&mut found)?).map_err(|error| error.within(name))?;
        let shape = found.ok_or_else(|| RowError::new("its type asks for no value").within(name))?;
        self.fields.push((name, shape));
        Ok(value)
    }
}

struct FirstVariant(&'static str);

impl<'de> EnumAccess<'de> for FirstVariant {
    type Error = RowError;
    type Variant = WithoutData;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, WithoutData), RowError> {
        Ok((seed.deserialize(StrDeserializer::<RowError>::new(self.0))?, WithoutData))
    }
}

/// A variant that must have no data.
struct WithoutData;

impl<'de> VariantAccess<'de> for WithoutData {
    type Error = RowError;

    fn unit_variant(self) -> Result<(), RowError> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, RowError> {
        unsupported("a variant with data")
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, RowError> {
        unsupported("a variant with data")
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, RowError> {
        unsupported("a variant with data")
    }
}

impl de::Error for RowError {
    fn custom<T: fmt::Display>(message: T) -> RowError {
        RowError::new(message.to_string())
    }
}
