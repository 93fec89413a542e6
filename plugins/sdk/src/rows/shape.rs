//! What a type is, as columns know it.

use std::fmt;

use crate::row_error::RowError;
use crate::{Field, Kind, field, kind_name};

/// A type, as columns know it.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    pub content: Content,
    pub nullable: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// One of the types without children.
    Leaf(Kind),
    List(Box<Shape>),
    Struct(Vec<(&'static str, Shape)>),
    /// Texts, and the type of what they stand for.
    Map(Box<Shape>),
    /// Whatever comes, as for a `serde_json::Value`.
    Any,
}

impl Shape {
    pub fn of(content: Content) -> Shape {
        Shape { content, nullable: false }
    }

    /// The column's field with all that is nested in it, in pre-order.
    pub fn to_fields(&self, name: &str) -> Result<Vec<Field>, RowError> {
        let nested = |kind, children: Vec<Vec<Field>>| {
            let own = Field { nullable: self.nullable, children: children.len() as u32, ..field(name, kind) };
            std::iter::once(own).chain(children.into_iter().flatten()).collect()
        };
        match &self.content {
            Content::Leaf(kind) => Ok(nested(kind.clone(), Vec::new())),
            Content::List(item) => Ok(nested(Kind::ListOf, vec![item.to_fields("item")?])),
            Content::Struct(fields) => {
                let children = fields.iter().map(|(name, shape)| shape.to_fields(name));
                Ok(nested(Kind::StructOf, children.collect::<Result<_, _>>()?))
            }
            Content::Map(_) | Content::Any => {
                Err(RowError::new("its type can be read, but not be made: what columns would it have?")
                    .within(name))
            }
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.content {
            Content::Leaf(kind) => kind_name(kind),
            Content::List(_) => "list",
            Content::Struct(_) => "struct",
            Content::Map(_) => "map",
            Content::Any => "a value of any type",
        })
    }
}
