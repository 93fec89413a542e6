//! The rows of a table put together, within a bound.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use super::ReferenceError;
use crate::reference_table::ReferenceTable;

pub(super) struct CollectedRows {
    location: String,
    max_bytes: usize,
    bytes: usize,
    schema: Option<SchemaRef>,
    batches: Vec<RecordBatch>,
}

impl CollectedRows {
    pub fn new(location: String, max_bytes: usize) -> Self {
        Self { location, max_bytes, bytes: 0, schema: None, batches: Vec::new() }
    }

    /// The columns that all rows must have. The first call decides.
    pub fn expect(&mut self, schema: SchemaRef) {
        self.schema.get_or_insert_with(|| in_use(&schema));
    }

    /// Takes rows that have the expected columns, in any order.
    pub fn push(&mut self, rows: RecordBatch) -> Result<(), ReferenceError> {
        self.expect(rows.schema());
        let Some(schema) = self.schema.clone() else { return Ok(()) };
        let batch = as_expected(&schema, &rows)
            .map_err(|what| ReferenceError::Unreadable { file: self.location.clone(), what })?;
        self.bytes = self.bytes.saturating_add(batch.get_array_memory_size());
        if self.bytes > self.max_bytes {
            let (location, max_bytes) = (self.location.clone(), self.max_bytes);
            return Err(ReferenceError::TooLarge { location, max_bytes });
        }
        self.batches.push(batch);
        Ok(())
    }

    pub fn into_table(self, version: String) -> Result<ReferenceTable, ReferenceError> {
        let schema =
            self.schema.ok_or(ReferenceError::Missing { location: self.location, what: "column" })?;
        Ok(ReferenceTable { version, schema, batches: self.batches })
    }
}

/// Times in UTC are microseconds, as in pipelines. Whether a column is required says nothing to those who look rows up,
/// and differs between files.
fn in_use(schema: &Schema) -> SchemaRef {
    let field = |field: &Arc<Field>| Field::new(field.name(), type_in_use(field.data_type()), true);
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

fn type_in_use(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Timestamp(_, Some(zone)) => DataType::Timestamp(TimeUnit::Microsecond, Some(zone.clone())),
        other => other.clone(),
    }
}

fn as_expected(expected: &SchemaRef, rows: &RecordBatch) -> Result<RecordBatch, String> {
    let schema = rows.schema();
    if let Some(more) = schema.fields().iter().find(|field| expected.index_of(field.name()).is_err()) {
        return Err(format!("not all of it has the column `{}`", more.name()));
    }
    let column = |field: &Arc<Field>| -> Result<ArrayRef, String> {
        let name = field.name();
        let column =
            rows.column_by_name(name).ok_or_else(|| format!("not all of it has the column `{name}`"))?;
        let (one, other) = (field.data_type(), column.data_type());
        if type_in_use(other) != *one {
            return Err(format!("the column `{name}` is {one} here and {other} there"));
        }
        cast(column, one).map_err(|error| error.to_string())
    };
    let columns = expected.fields().iter().map(column).collect::<Result<Vec<_>, String>>()?;
    RecordBatch::try_new(expected.clone(), columns).map_err(|error| error.to_string())
}
