//! How a schema grows for records that it does not hold: new columns, and wider ones.
//!
//! New columns are inferred: booleans, `int64`, `float64` (where any of the batch's numbers has a fraction
//! or an exponent), `utf8`, structs and lists. Where values are of several types the first decides. Integers
//! beyond `int64` make no column, nor do nulls and empty lists or objects. A type that was inferred once only
//! widens safely; who knows better declares it.

use arrow::datatypes::{DataType, Field, Fields, Schema};
use indexmap::IndexMap;
use simd_json::{Node, StaticNode};

use super::payload::after;
use crate::schema::{
    RESERVED_PREFIX, RecordSchema, join_types, leaves, list_type, map_type, map_value_type, same_name,
};

/// A schema that takes in records one by one.
pub(super) struct Growth {
    root: GrowingStruct,
    room: usize,
}

/// A column of the schema.
enum Growing {
    Leaf(DataType),
    List(Box<Growing>),
    Map(Box<Growing>),
    Struct(GrowingStruct),
}

#[derive(Default)]
struct GrowingStruct {
    known: IndexMap<String, Growing>,
    new: IndexMap<String, Observed>,
}

/// What was seen of a field that has no column.
enum Observed {
    /// Nulls and empty containers.
    Nothing,
    Scalar(DataType),
    List(Box<Observed>),
    Object(IndexMap<String, Observed>),
    /// Beyond what a column holds.
    TooLarge,
}

/// Whether a field of this name may become a column. The host's own names may not at the top, and nowhere
/// those that Delta tables refuse; declared columns are not asked.
pub(super) fn may_be_column(name: &str, at_top: bool) -> bool {
    let of_the_host = at_top && name.starts_with(RESERVED_PREFIX);
    let refused = name.is_empty() || name.contains([' ', ',', ';', '{', '}', '(', ')', '\n', '\t', '=']);
    !of_the_host && !refused
}

/// The least wider type that holds this number too, if a number column can be widened to it.
pub(super) fn widened(data_type: &DataType, node: &Node<'_>) -> Option<DataType> {
    let needed = match node {
        Node::Static(StaticNode::I64(value)) => needed_for_integer(data_type, i128::from(*value))?,
        Node::Static(StaticNode::U64(value)) => needed_for_integer(data_type, i128::from(*value))?,
        // Whole numbers with an exponent or a `.0` are integers to integer columns.
        Node::Static(StaticNode::F64(value)) if value.fract() == 0.0 && data_type.is_integer() => {
            needed_for_integer(data_type, *value as i128)?
        }
        Node::Static(StaticNode::F64(_)) => DataType::Float64,
        _ => return None,
    };
    join_types(data_type, &needed).filter(|joined| joined != data_type)
}

fn needed_for_integer(data_type: &DataType, value: i128) -> Option<DataType> {
    if data_type.is_floating() {
        return (value as f64 as i128 == value).then_some(DataType::Float64);
    }
    if data_type.is_unsigned_integer() && value >= 0 {
        return Some(match value {
            0..=0xff => DataType::UInt8,
            0x100..=0xffff => DataType::UInt16,
            0x1_0000..=0xffff_ffff => DataType::UInt32,
            _ => u64::try_from(value).ok().map(|_| DataType::UInt64)?,
        });
    }
    if i8::try_from(value).is_ok() {
        return Some(DataType::Int8);
    }
    if i16::try_from(value).is_ok() {
        return Some(DataType::Int16);
    }
    if i32::try_from(value).is_ok() {
        return Some(DataType::Int32);
    }
    i64::try_from(value).ok().map(|_| DataType::Int64)
}

impl Growth {
    /// `max_columns` bounds the leaf columns that the schema grows to.
    pub(super) fn new(schema: &RecordSchema, max_columns: usize) -> Self {
        let known = schema
            .columns()
            .iter()
            .map(|column| (column.name.clone(), Growing::new(&column.data_type)))
            .collect();
        let room = max_columns.saturating_sub(schema.leaf_columns());
        Self { root: GrowingStruct { known, new: IndexMap::new() }, room }
    }

    /// Takes in the object at the top of `nodes`.
    pub(super) fn observe(&mut self, nodes: &[Node<'_>]) {
        self.root.observe(nodes, 0);
    }

    pub(super) fn finish(mut self) -> RecordSchema {
        let fields = self.root.finish(&mut self.room, true);
        RecordSchema::from_arrow(&Schema::new(fields))
            .expect("grown types are of the grammar, and names that differ only by letter case are left out")
    }
}

impl Growing {
    fn new(data_type: &DataType) -> Self {
        match data_type {
            DataType::List(element) => Self::List(Box::new(Self::new(element.data_type()))),
            DataType::Struct(fields) => {
                let known =
                    fields.iter().map(|field| (field.name().clone(), Self::new(field.data_type()))).collect();
                Self::Struct(GrowingStruct { known, new: IndexMap::new() })
            }
            DataType::Map(entries, _) => match map_value_type(entries) {
                Some(value) => Self::Map(Box::new(Self::new(value))),
                None => Self::Leaf(data_type.clone()),
            },
            leaf => Self::Leaf(leaf.clone()),
        }
    }

    fn observe(&mut self, nodes: &[Node<'_>], at: usize) {
        let Some(node) = nodes.get(at) else { return };
        match self {
            Self::Leaf(data_type) => {
                if let Some(wider) = widened(data_type, node) {
                    *data_type = wider;
                }
            }
            Self::List(element) => elements(nodes, at, |at| element.observe(nodes, at)),
            Self::Map(value) => members(nodes, at, |_, at| value.observe(nodes, at)),
            Self::Struct(fields) => fields.observe(nodes, at),
        }
    }

    fn finish(self, room: &mut usize) -> DataType {
        match self {
            Self::Leaf(data_type) => data_type,
            Self::List(element) => list_type(element.finish(room)),
            Self::Map(value) => map_type(value.finish(room)),
            Self::Struct(fields) => DataType::Struct(fields.finish(room, false)),
        }
    }
}

impl GrowingStruct {
    fn observe(&mut self, nodes: &[Node<'_>], at: usize) {
        members(nodes, at, |key, at| match self.known.get_mut(key) {
            Some(known) => known.observe(nodes, at),
            None => observe_member(&mut self.new, key, Observed::new(nodes, at)),
        });
    }

    /// The known fields, then the new ones that have a type and for which there is room.
    fn finish(self, room: &mut usize, at_top: bool) -> Fields {
        let mut fields: Vec<Field> = self
            .known
            .into_iter()
            .map(|(name, growing)| Field::new(name, growing.finish(room), true))
            .collect();
        add_fields(&mut fields, self.new, at_top, room);
        fields.into()
    }
}

/// Adds the fields that can be columns and for which there is room.
fn add_fields(fields: &mut Vec<Field>, new: IndexMap<String, Observed>, at_top: bool, room: &mut usize) {
    for (name, observed) in new {
        if !may_be_column(&name, at_top) || fields.iter().any(|field| same_name(field.name(), &name)) {
            continue;
        }
        let Some(data_type) = observed.into_type() else { continue };
        if let Some(left) = room.checked_sub(leaves(&data_type)) {
            *room = left;
            fields.push(Field::new(name, data_type, true));
        }
    }
}

impl Observed {
    fn new(nodes: &[Node<'_>], at: usize) -> Self {
        match nodes.get(at) {
            Some(Node::Static(StaticNode::Null)) | None => Self::Nothing,
            Some(Node::Static(StaticNode::Bool(_))) => Self::Scalar(DataType::Boolean),
            Some(Node::Static(StaticNode::F64(_))) => Self::Scalar(DataType::Float64),
            Some(Node::Static(StaticNode::I64(_))) => Self::Scalar(DataType::Int64),
            Some(Node::Static(StaticNode::U64(value))) if i64::try_from(*value).is_ok() => {
                Self::Scalar(DataType::Int64)
            }
            Some(Node::Static(StaticNode::U64(_))) => Self::TooLarge,
            Some(Node::String(_)) => Self::Scalar(DataType::Utf8),
            Some(Node::Array { .. }) => {
                let mut element = Self::Nothing;
                elements(nodes, at, |at| element.add(Self::new(nodes, at)));
                Self::List(Box::new(element))
            }
            Some(Node::Object { .. }) => {
                let mut fields = IndexMap::new();
                members(nodes, at, |key, at| observe_member(&mut fields, key, Self::new(nodes, at)));
                Self::Object(fields)
            }
        }
    }

    fn add(&mut self, other: Self) {
        let this = std::mem::replace(self, Self::Nothing);
        *self = match (this, other) {
            (Self::Nothing, only) | (only, Self::Nothing) => only,
            (Self::Scalar(left), Self::Scalar(right)) if left == right => Self::Scalar(left),
            (Self::Scalar(left), Self::Scalar(right)) if left.is_numeric() && right.is_numeric() => {
                Self::Scalar(DataType::Float64)
            }
            (Self::List(mut left), Self::List(right)) => {
                left.add(*right);
                Self::List(left)
            }
            (Self::Object(mut left), Self::Object(right)) => {
                for (key, value) in right {
                    observe_member(&mut left, &key, value);
                }
                Self::Object(left)
            }
            (first, _) => first,
        };
    }

    fn into_type(self) -> Option<DataType> {
        match self {
            Self::Nothing | Self::TooLarge => None,
            Self::Scalar(data_type) => Some(data_type),
            Self::List(element) => element.into_type().map(list_type),
            Self::Object(members) => {
                let mut fields = Vec::new();
                let mut unbounded = usize::MAX;
                add_fields(&mut fields, members, false, &mut unbounded);
                (!fields.is_empty()).then(|| DataType::Struct(fields.into()))
            }
        }
    }
}

fn observe_member(members: &mut IndexMap<String, Observed>, key: &str, observed: Observed) {
    match members.get_mut(key) {
        Some(known) => known.add(observed),
        None => {
            members.insert(key.to_owned(), observed);
        }
    }
}

fn elements(nodes: &[Node<'_>], at: usize, mut visit: impl FnMut(usize)) {
    if let Some(Node::Array { len, .. }) = nodes.get(at) {
        let mut cursor = at + 1;
        for _ in 0..*len {
            visit(cursor);
            cursor = after(nodes, cursor);
        }
    }
}

fn members(nodes: &[Node<'_>], at: usize, mut visit: impl FnMut(&str, usize)) {
    if let Some(Node::Object { len, .. }) = nodes.get(at) {
        let mut cursor = at + 1;
        for _ in 0..*len {
            if let Some(Node::String(key)) = nodes.get(cursor) {
                visit(key, cursor + 1);
            }
            cursor = after(nodes, cursor + 1);
        }
    }
}
