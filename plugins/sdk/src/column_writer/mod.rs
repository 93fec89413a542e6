//! Output columns from whatever serde can serialise, nested ones included.

mod serializer;

use serde::Serialize;

use crate::builder::validity_of;
use crate::row_error::RowError;
use crate::schema::{children, span};
use crate::{Column, ColumnBuilder, Error, Field, Kind, Values};

/// Builds the column of a field, and those of all that is nested in it.
///
/// | value | column |
/// |---|---|
/// | `bool`, integers up to 64 bits, floats, `str`, `char` and variants without data, bytes | the leaf of that type |
/// | `None`, `()` | null |
/// | sequences | `list` |
/// | structs | `struct`; fields that are skipped are null |
pub struct ColumnWriter {
    name: String,
    nullable: bool,
    content: Content,
}

enum Content {
    Leaf(ColumnBuilder),
    List { present: Vec<bool>, offsets: Vec<i32>, item: Box<ColumnWriter>, items: usize },
    Struct { present: Vec<bool>, children: Vec<ColumnWriter> },
}

impl ColumnWriter {
    /// For a field with all that is nested in it, in pre-order. `None` for types that values cannot be written to:
    /// `uint64`, decimals, fixed-size binary, maps.
    pub fn new(fields: &[Field]) -> Option<ColumnWriter> {
        let field = fields.first()?;
        let mut nested = children(fields, 1, span(fields, 0)).map(|at| ColumnWriter::new(&fields[at..]));
        let content = match field.kind {
            Kind::ListOf => Content::List {
                present: Vec::new(),
                offsets: vec![0],
                item: Box::new(nested.next()??),
                items: 0,
            },
            Kind::StructOf => {
                Content::Struct { present: Vec::new(), children: nested.collect::<Option<Vec<_>>>()? }
            }
            _ => Content::Leaf(ColumnBuilder::new(&field.kind)?),
        };
        Some(ColumnWriter { name: field.name.clone(), nullable: field.nullable, content })
    }

    /// One for each top-level column of fields in pre-order.
    pub fn for_columns(fields: &[Field]) -> Option<Vec<ColumnWriter>> {
        children(fields, 0, fields.len()).map(|at| ColumnWriter::new(&fields[at..])).collect()
    }

    /// Appends a row. [`Error::Data`] if the value is not of the field's type; the columns are then unfit for use.
    pub fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(&mut *self).map_err(|error| self.refusal(&error))
    }

    /// Appends a row that nobody looks at.
    pub(crate) fn push_filler(&mut self) {
        match &mut self.content {
            Content::Leaf(builder) => builder.push_default(),
            Content::List { present, offsets, items, .. } => {
                present.push(true);
                offsets.push(*items as i32);
            }
            Content::Struct { present, children } => {
                present.push(true);
                children.iter_mut().for_each(ColumnWriter::push_filler);
            }
        }
    }

    /// The field's column and those of all that is nested in it, in pre-order.
    pub fn finish(self) -> Vec<Column> {
        let mut columns = Vec::new();
        self.append_to(&mut columns);
        columns
    }

    fn append_to(self, columns: &mut Vec<Column>) {
        let nested = |present: Vec<bool>, values| Column {
            length: present.len() as u32,
            validity: validity_of(&present),
            values,
        };
        match self.content {
            Content::Leaf(builder) => columns.push(builder.finish()),
            Content::List { present, offsets, item, .. } => {
                columns.push(nested(present, Values::Offsets(offsets)));
                item.append_to(columns);
            }
            Content::Struct { present, children } => {
                columns.push(nested(present, Values::None));
                children.into_iter().for_each(|child| child.append_to(columns));
            }
        }
    }

    fn refusal(&self, error: &RowError) -> Error {
        Error::Data(format!("column `{}`: {error}", self.name))
    }

    fn push_null(&mut self) -> Result<(), RowError> {
        if !self.nullable {
            return Err(RowError::new("it has no value, and may not be null"));
        }
        match &mut self.content {
            Content::Leaf(builder) => builder.push_null(),
            Content::List { present, offsets, items, .. } => {
                present.push(false);
                offsets.push(*items as i32);
            }
            Content::Struct { present, children } => {
                present.push(false);
                children.iter_mut().for_each(ColumnWriter::push_filler);
            }
        }
        Ok(())
    }
}
