//! A top-level column with all that is nested in it.

use sluicebox_plugin::{Batch, Column, Field, Place};

/// Fields in pre-order and their columns. Where only a schema is at hand there are no columns.
#[derive(Clone, Debug)]
pub struct Part {
    pub fields: Vec<Field>,
    pub columns: Vec<Column>,
}

impl Part {
    pub fn of_fields(fields: &[Field]) -> Part {
        Part { fields: fields.to_vec(), columns: Vec::new() }
    }

    pub fn load(place: &Place, batch: &Batch) -> Part {
        Part { fields: place.fields().to_vec(), columns: place.columns(batch).to_vec() }
    }

    pub fn name(&self) -> &str {
        self.fields.first().map_or("", |field| &field.name)
    }
}
