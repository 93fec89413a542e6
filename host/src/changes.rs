//! What a stateful step remembers, as values: the layout of its state and what changed in it.

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};

/// The columns of a step's state. A key is unique; its values are replaced as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateLayout {
    pub key: SchemaRef,
    pub value: SchemaRef,
}

impl StateLayout {
    /// The key's columns, then the value's: how upserted rows are laid out.
    pub fn row(&self) -> SchemaRef {
        Schema::new(self.key.fields().iter().chain(self.value.fields()).cloned().collect::<Vec<_>>()).into()
    }
}

/// The keys that changed since the last time. Deletes happen before upserts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StateChanges {
    /// Rows of [`StateLayout::row`]. Where a key occurs twice, the later row counts.
    pub upserts: Option<RecordBatch>,
    /// Rows of [`StateLayout::key`].
    pub deletes: Option<RecordBatch>,
}
