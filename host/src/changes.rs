//! What a stateful step remembers, as values: the layout of its state and what changed in it.

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use serde::{Deserialize, Serialize};

/// The columns of a step's state. A key is unique; its values are replaced as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateLayout {
    /// Of the columns and of what they mean, as the plugin counts.
    pub version: u32,
    pub key: SchemaRef,
    pub value: SchemaRef,
}

impl StateLayout {
    /// The key's columns, then the value's: how upserted rows are laid out.
    pub fn row(&self) -> SchemaRef {
        Schema::new(self.key.fields().iter().chain(self.value.fields()).cloned().collect::<Vec<_>>()).into()
    }
}

impl std::fmt::Display for StateLayout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let row = self.row();
        let columns = row.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type()));
        write!(f, "version {} ({})", self.version, columns.collect::<Vec<_>>().join(", "))
    }
}

/// What a step hands over of its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateKind {
    /// The whole state: what came before it is not needed any more.
    Base,
    Changes,
}

/// The keys that changed since the last time. Deletes happen before upserts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StateChanges {
    /// Rows of [`StateLayout::row`]. Where a key occurs twice, the later row counts.
    pub upserts: Option<RecordBatch>,
    /// Rows of [`StateLayout::key`].
    pub deletes: Option<RecordBatch>,
}
