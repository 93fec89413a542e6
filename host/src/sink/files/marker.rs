//! What markers say. They are for other programs to read: what is here does not change within a format.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ledger::entry::{DataFile, Entry, EntryNumber, SinkEntry};
use crate::schema::RecordSchema;

/// The layout of these documents.
pub(super) const FORMAT: u32 = 1;

/// Whose folder it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    pub format: u32,
    /// Random: a folder that was emptied and begun anew has another.
    pub id: Uuid,
    pub pipeline: String,
    pub sink: String,
    pub ledger: Uuid,
    /// Entries up to this one hold nothing for the sink.
    pub since: EntryNumber,
}

/// The files of one entry; none where only the mark moves on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Marker {
    pub format: u32,
    pub ledger: Uuid,
    pub entry: EntryNumber,
    /// When the entry was written, by its writer's clock: milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_at_ms: Option<i64>,
    /// The columns of the rows, those included that only the folders' names tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<RecordSchema>,
    pub files: Vec<MarkedFile>,
}

/// A data file whose rows count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkedFile {
    /// Relative to the sink's folder.
    pub path: String,
    /// Bytes.
    pub size: u64,
    pub rows: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub partition_values: BTreeMap<String, Option<String>>,
}

impl Marker {
    /// For an entry with rows.
    pub fn of(entry: &Entry, part: &SinkEntry) -> Self {
        Self {
            written_at_ms: Some(entry.written_at_ms),
            schema: part.schema.clone(),
            files: part.files.iter().map(MarkedFile::of).collect(),
            ..Self::without_rows(entry.ledger, entry.number)
        }
    }

    pub(super) fn without_rows(ledger: Uuid, entry: EntryNumber) -> Self {
        Self { format: FORMAT, ledger, entry, written_at_ms: None, schema: None, files: Vec::new() }
    }
}

impl MarkedFile {
    fn of(file: &DataFile) -> Self {
        Self {
            path: file.path.clone(),
            size: file.size,
            rows: file.rows,
            partition_values: file.partition_values.iter().cloned().collect(),
        }
    }
}
