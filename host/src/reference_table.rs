//! A reference table as it was read: what steps look rows up in.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

/// One version of a table, wholly in memory. Tasks share it.
#[derive(Debug, Clone)]
pub struct ReferenceTable {
    /// Names what was read: the same rows have the same version.
    pub version: String,
    pub schema: SchemaRef,
    /// All of `schema`.
    pub batches: Vec<RecordBatch>,
}

impl ReferenceTable {
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        self.batches.iter().map(RecordBatch::get_array_memory_size).sum()
    }
}
