//! Reads serde types from a [`Node`]. The type that is asked for decides what a scalar means, so that
//! `id: 123` is text and `threads: ${THREADS}` is a number. Errors carry the place and never an
//! interpolated value: the text as written stands for it.

use std::fmt::{self, Display};

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error, Expected, IntoDeserializer,
    MapAccess, SeqAccess, Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::document::{Content, Key, Node, Scalar};
use super::error::{DocumentPath, Position, Problem, Segment};

pub fn read<T: DeserializeOwned>(node: &Node) -> Result<T, Problem> {
    T::deserialize(NodeReader { node }).map_err(|fault| Problem {
        path: DocumentPath(fault.path.into_iter().rev().collect()),
        position: fault.position,
        message: fault.message,
    })
}

/// An error on its way out of the tree.
#[derive(Debug)]
struct Fault {
    message: String,
    /// Set by the innermost node.
    position: Option<Position>,
    /// Innermost first.
    path: Vec<Segment>,
}

impl Fault {
    fn new(message: String) -> Self {
        Self { message, position: None, path: Vec::new() }
    }

    fn at(mut self, node: &Node) -> Self {
        if self.position.is_none() {
            self.position = Some(node.position);
            if let Content::Scalar(scalar) = &node.content {
                self.message = format!("`{}`: {}", scalar.written(), self.message);
            }
        }
        self
    }

    fn under(mut self, segment: Segment) -> Self {
        self.path.push(segment);
        self
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl Error for Fault {
    fn custom<T: Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("expected {expected}"))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("expected {expected}"))
    }

    fn unknown_variant(_: &str, allowed: &'static [&'static str]) -> Self {
        Self::new(format!("expected one of {}", listed(allowed)))
    }

    fn unknown_field(_: &str, allowed: &'static [&'static str]) -> Self {
        Self::new(format!("unknown key; allowed here: {}", listed(allowed)))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("the key `{field}` is missing"))
    }
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[derive(Clone, Copy)]
struct NodeReader<'a> {
    node: &'a Node,
}

impl NodeReader<'_> {
    fn scalar(&self, expected: &str) -> Result<&Scalar, Fault> {
        match &self.node.content {
            Content::Scalar(scalar) => Ok(scalar),
            Content::Null => Err(self.fault(format!("expected {expected}, found nothing"))),
            Content::List(_) => Err(self.fault(format!("expected {expected}, found a list"))),
            Content::Map(_) => Err(self.fault(format!("expected {expected}, found a mapping"))),
        }
    }

    fn fault(&self, message: String) -> Fault {
        Fault::new(message).at(self.node)
    }
}

macro_rules! read_number {
    ($($method:ident => $visit:ident: $type:ty, $expected:literal;)+) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            let number = self.scalar($expected)?.text.parse::<$type>();
            let number = number.map_err(|_| self.fault(concat!("expected ", $expected).to_owned()))?;
            visitor.$visit(number).map_err(|fault: Fault| fault.at(self.node))
        }
    )+};
}

impl<'de> Deserializer<'de> for NodeReader<'_> {
    type Error = Fault;

    /// No type is asked for: a plain scalar is what it reads as, a quoted one is text.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.content {
            Content::Null => visitor.visit_unit().map_err(|fault: Fault| fault.at(self.node)),
            Content::Scalar(scalar) => {
                visit_implied(scalar, visitor).map_err(|fault: Fault| fault.at(self.node))
            }
            Content::List(_) => self.deserialize_seq(visitor),
            Content::Map(_) => self.deserialize_map(visitor),
        }
    }

    read_number! {
        deserialize_i8 => visit_i8: i8, "a whole number";
        deserialize_i16 => visit_i16: i16, "a whole number";
        deserialize_i32 => visit_i32: i32, "a whole number";
        deserialize_i64 => visit_i64: i64, "a whole number";
        deserialize_u8 => visit_u8: u8, "a whole number, at most 255";
        deserialize_u16 => visit_u16: u16, "a whole number, at most 65535";
        deserialize_u32 => visit_u32: u32, "a whole number, at most 4294967295";
        deserialize_u64 => visit_u64: u64, "a whole number";
        deserialize_f32 => visit_f32: f32, "a number";
        deserialize_f64 => visit_f64: f64, "a number";
        deserialize_bool => visit_bool: bool, "`true` or `false`";
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let scalar = self.scalar("text")?;
        visitor.visit_str(&scalar.text).map_err(|fault: Fault| fault.at(self.node))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.node.content {
            Content::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self).map_err(|fault| fault.at(self.node))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let nodes = match &self.node.content {
            Content::List(nodes) => nodes.as_slice(),
            Content::Null => &[],
            _ => return Err(self.fault("expected a list".to_owned())),
        };
        visitor.visit_seq(ListReader { nodes: nodes.iter().enumerate() }).map_err(|fault| fault.at(self.node))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let entries = match &self.node.content {
            Content::Map(entries) => entries.as_slice(),
            Content::Null => &[],
            _ => return Err(self.fault("expected a mapping".to_owned())),
        };
        visitor
            .visit_map(MapReader { entries: entries.iter(), current: None })
            .map_err(|fault| fault.at(self.node))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        keys: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.node.content {
            Content::Map(_) | Content::Null => self.deserialize_map(visitor),
            _ => Err(self.fault(format!("expected a mapping with the keys {}", listed(keys)))),
        }
    }

    /// A scalar is a variant without a value; a mapping of one key a variant with one.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let (name, value) = match &self.node.content {
            Content::Scalar(scalar) => (scalar.text.as_str(), None),
            Content::Map(entries) => match entries.as_slice() {
                [(key, value)] => (key.name.as_str(), Some(value)),
                _ => return Err(self.fault(format!("expected exactly one of {}", listed(variants)))),
            },
            _ => return Err(self.fault(format!("expected one of {}", listed(variants)))),
        };
        visitor.visit_enum(VariantReader { name, value }).map_err(|fault| fault.at(self.node))
    }

    forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

/// YAML's core schema, for a plain scalar that nothing asks a type of.
fn visit_implied<'de, V: Visitor<'de>>(scalar: &Scalar, visitor: V) -> Result<V::Value, Fault> {
    let text = scalar.text.as_str();
    if !scalar.plain {
        return visitor.visit_str(text);
    }
    match text {
        "" | "~" | "null" => return visitor.visit_unit(),
        "true" => return visitor.visit_bool(true),
        "false" => return visitor.visit_bool(false),
        _ => {}
    }
    let digits = text.trim_start_matches(['+', '-']);
    if !digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return visitor.visit_str(text);
    }
    // `007` is a name rather than the number 7.
    if digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return visitor.visit_str(text);
    }
    if let Ok(number) = text.parse::<u64>() {
        return visitor.visit_u64(number);
    }
    if let Ok(number) = text.parse::<i64>() {
        return visitor.visit_i64(number);
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => visitor.visit_f64(number),
        _ => visitor.visit_str(text),
    }
}

struct ListReader<'a> {
    nodes: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
}

impl<'de> SeqAccess<'de> for ListReader<'_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some((index, node)) = self.nodes.next() else { return Ok(None) };
        seed.deserialize(NodeReader { node })
            .map(Some)
            .map_err(|fault| fault.at(node).under(Segment::Index(index)))
    }
}

struct MapReader<'a> {
    entries: std::slice::Iter<'a, (Key, Node)>,
    current: Option<&'a (Key, Node)>,
}

impl<'de> MapAccess<'de> for MapReader<'_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        self.current = self.entries.next();
        let Some((key, _)) = self.current else { return Ok(None) };
        let name: StrDeserializer<'_, Fault> = key.name.as_str().into_deserializer();
        seed.deserialize(name).map(Some).map_err(|mut fault| {
            fault.position = Some(key.position);
            fault.under(Segment::Key(key.name.clone()))
        })
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let Some((key, node)) = self.current else {
            return Err(Fault::custom("a value was asked for before its key"));
        };
        seed.deserialize(NodeReader { node })
            .map_err(|fault| fault.at(node).under(Segment::Key(key.name.clone())))
    }
}

struct VariantReader<'a> {
    name: &'a str,
    value: Option<&'a Node>,
}

impl<'de, 'a> EnumAccess<'de> for VariantReader<'a> {
    type Error = Fault;
    type Variant = VariantValue<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self::Variant), Fault> {
        let name: StrDeserializer<'_, Fault> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, VariantValue { name: self.name, node: self.value }))
    }
}

struct VariantValue<'a> {
    name: &'a str,
    node: Option<&'a Node>,
}

impl<'de> VariantAccess<'de> for VariantValue<'_> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        match self.node {
            None => Ok(()),
            Some(_) => Err(Fault::new(format!("`{}` takes no value", self.name))),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        let Some(node) = self.node else {
            return Err(Fault::new(format!("expected a value: `{{{}: …}}`", self.name)));
        };
        seed.deserialize(NodeReader { node })
            .map_err(|fault| fault.at(node).under(Segment::Key(self.name.to_owned())))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        Err(Error::invalid_type(Unexpected::TupleVariant, &visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        Err(Error::invalid_type(Unexpected::StructVariant, &visitor))
    }
}
