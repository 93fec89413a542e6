//! The schema of decoded records, its textual types, and how one schema grows into the next.

use serde::{Deserialize, Serialize};

/// The columns that the decoder gives, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordSchema {
    pub columns: Vec<Column>,
}

/// One column. `type` is text, as users write it: `int64`, `struct<a: float64, b: list<utf8>>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    #[serde(rename = "type")]
    pub data_type: String,
}
