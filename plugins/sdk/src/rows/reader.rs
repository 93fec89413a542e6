//! Where the fields of a row type are found in the batches of an input.

use crate::row_error::RowError;
use crate::schema::{children, span};
use crate::{Batch, Error, Field, Kind, Place, Reads, Schema, TimeUnit, kind_name};

use super::cell::Row;
use super::shape::{Content, Shape};

/// A column, or a field nested in one, that a field of a row is read from.
#[derive(Debug)]
pub struct Node {
    pub name: String,
    pub at: usize,
    /// The structs around a field that was named by a path.
    pub parents: Vec<usize>,
    pub kind: Kind,
    /// For a struct, the fields that its type names, in the type's order; for a list, its item; for a map, key and value.
    pub children: Vec<Node>,
}

/// A row type over the columns that it names.
#[derive(Debug)]
pub struct RowReader(Vec<Node>);

impl RowReader {
    /// Each field is the column of its name, or what a path as in `reading.temperature` leads to. [`Error::Schema`] if
    /// there is none, or one of another type.
    pub fn new(
        fields: &[(&'static str, Shape)],
        input: &Schema,
        reads: &mut Reads,
    ) -> Result<RowReader, Error> {
        let mut nodes = Vec::with_capacity(fields.len());
        for (name, shape) in fields {
            let Place { at, parents, fields } = reads.add(input, name)?;
            let node = Node::new(shape, &fields, at)
                .map_err(|error| Error::Schema(format!("column {}", error.within(name))))?;
            nodes.push(Node { parents, name: (*name).to_owned(), ..node });
        }
        Ok(RowReader(nodes))
    }

    pub fn row<'n, 'b>(&'n self, batch: &'b Batch, row: usize) -> Row<'n, 'b> {
        Row { nodes: &self.0, batch, row }
    }
}

impl Node {
    /// `fields`: from the node's own on, in pre-order; `at`: where its column is.
    fn new(shape: &Shape, fields: &[Field], at: usize) -> Result<Node, RowError> {
        let Some(field) = fields.first() else { return Err(RowError::new("it has no type")) };
        let below = |found: usize, shape: &Shape| {
            Node::new(shape, fields.get(found..).unwrap_or_default(), at + found)
        };
        let key_and_value = |value: &Shape| {
            // The child of a map is a struct of key and value.
            let text = Shape { content: Content::Leaf(Kind::Utf8), nullable: false };
            Ok(vec![below(2, &text)?, below(2 + span(fields, 2), value)?])
        };
        let children = match (&shape.content, &field.kind) {
            (Content::Leaf(wanted), kind) if is_readable_as(kind, wanted) => Vec::new(),
            // `Vec<u8>` asks for a sequence.
            (Content::List(item), Kind::Binary | Kind::FixedSizeBinary(_))
                if item.content == Content::Leaf(Kind::Uint8) =>
            {
                Vec::new()
            }
            (Content::List(item), Kind::ListOf) => vec![below(1, item)?],
            (Content::Map(value), Kind::MapOf) => key_and_value(value)?,
            (Content::Struct(wanted), Kind::StructOf) => wanted
                .iter()
                .map(|(name, shape)| {
                    let found = children(fields, 1, span(fields, 0)).find(|at| fields[*at].name == *name);
                    let missing = || RowError::new("the column has no such field").within(name);
                    below(found.ok_or_else(missing)?, shape).map_err(|error| error.within(name))
                })
                .collect::<Result<_, _>>()?,
            (Content::Any, Kind::ListOf) => vec![below(1, shape)?],
            (Content::Any, Kind::MapOf) => key_and_value(shape)?,
            (Content::Any, Kind::StructOf) => children(fields, 1, span(fields, 0))
                .map(|found| below(found, shape))
                .collect::<Result<_, _>>()?,
            (Content::Any, kind) if !matches!(kind, Kind::Decimal128(_)) => Vec::new(),
            _ => {
                let kind = kind_name(&field.kind);
                return Err(RowError::new(format!("it is {kind}, and cannot be read as {shape}")));
            }
        };
        let (name, kind) = (field.name.clone(), field.kind.clone());
        Ok(Node { name, at, parents: Vec::new(), kind, children })
    }
}

/// Whether values of a column fit a type, as far as that can be told without looking at them.
fn is_readable_as(kind: &Kind, wanted: &Kind) -> bool {
    let is_int = |kind: &Kind| {
        use Kind::*;
        matches!(kind, Int8 | Int16 | Int32 | Int64 | Uint8 | Uint16 | Uint32 | Uint64)
    };
    match wanted {
        Kind::Float32 | Kind::Float64 => is_int(kind) || matches!(kind, Kind::Float32 | Kind::Float64),
        Kind::Timestamp(_) => matches!(kind, Kind::Timestamp(of) if of.unit == TimeUnit::Microseconds),
        Kind::Binary => matches!(kind, Kind::Binary | Kind::FixedSizeBinary(_)),
        wanted if is_int(wanted) => is_int(kind) || matches!(kind, Kind::Timestamp(_) | Kind::Date32),
        wanted => kind == wanted,
    }
}
