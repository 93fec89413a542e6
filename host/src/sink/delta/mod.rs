//! The Delta Lake sink.
//!
//! | module | what it does |
//! |---|---|
//! | `schema` | types of written rows to Delta types; how a table's schema grows |
//! | `row_key` | how rows enter a table: appended, or kept by a key |
//! | `log` | the table's log: state by increments, commits by put-if-absent, checkpoints |
//! | `files` | the files that the table consists of, where a sink must know them |
//! | `guard` | what a table must be, and what others may do to it, for entries to be applied |
//! | `opening` | the table created, adopted or taken up |
//! | `changes`, `actions` | what a commit consists of |
//! | `append`, `upsert` | ledger entries to changes of the table's files |
//! | `applier` | ledger entries to commits |
//! | `snapshot` | a table read wholly, for who looks rows up in it |
//! | `inspect`, `positions` | a table as `sluicebox tables` and the audit see it |
//!
//! Commits do not go through delta-rs's `CommitBuilder`: it retries on its own judgement, and holds the
//! table's whole list of files. The log here holds only what a commit is decided on, so that the cost
//! of a commit depends neither on the length of the log nor, where rows are appended, on the size of the table.

mod actions;
mod append;
mod applier;
mod changes;
mod files;
mod guard;
mod inspect;
mod log;
mod opening;
mod positions;
mod row_key;
mod schema;
mod snapshot;
mod upsert;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use deltalake_core::logstore::{LogStoreRef, StorageConfig, default_logstore};
use object_store::ObjectStore;
use url::Url;
use uuid::Uuid;

pub use self::applier::DeltaApplier;
pub use self::inspect::{ActiveFile, TableView, inspect, ledger_of_mark};
pub use self::positions::positions;
pub use self::row_key::{Mode, RowKey};
pub use self::snapshot::TableSnapshot;

use super::rows::RowsError;
use crate::ledger::entry::{EntryNumber, PluginReference, SinkRecord};

/// Why a table cannot be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum DeltaError {
    #[error(transparent)]
    Rows(#[from] RowsError),
    #[error("reading Parquet: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
    #[error("converting rows: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
    #[error("location `{location}` cannot be used: {what}")]
    Location { location: String, what: String },
    #[error("reading the table at `{location}`: {what}")]
    Table { location: String, what: String },
}

/// One table, and how it is followed.
#[derive(Debug, Clone)]
pub struct DeltaSettings {
    /// The pipeline's id, not its file's name.
    pub pipeline: String,
    pub sink: String,
    pub location: Url,
    /// Where the ledger is, and the entry at which this sink starts if the table does not know it yet.
    pub ledger: Uuid,
    pub start: EntryNumber,
    pub mode: Mode,
    /// Bytes at which a file is closed that a merge writes.
    pub file_size: usize,
    /// The digest of the configuration that has these plugins. They are named in commits of its entries.
    pub configuration: String,
    pub plugins: Vec<PluginReference>,
    /// What the ledger last recorded of the table, if anything: a table that was there is not created again.
    pub record: Option<SinkRecord>,
    /// Changes by others up to this version are taken as intended: the way on after a refusal.
    pub accept_version: Option<u64>,
    /// Commits between two checkpoints of the table's log.
    pub checkpoint_interval: u64,
    /// Entries older than this (milliseconds) have their files looked for before they are applied.
    pub verify_files_after_ms: i64,
}

impl DeltaSettings {
    pub fn new(pipeline: &str, sink: &str, location: Url, ledger: Uuid, start: EntryNumber) -> Self {
        Self {
            pipeline: pipeline.to_owned(),
            sink: sink.to_owned(),
            location,
            ledger,
            start,
            mode: Mode::Append,
            file_size: 128 << 20,
            configuration: String::new(),
            plugins: Vec::new(),
            record: None,
            accept_version: None,
            checkpoint_interval: 100,
            verify_files_after_ms: 3_600_000,
        }
    }
}

/// The application id under which a sink's mark is kept in its table.
pub fn application_id(pipeline: &str, sink: &str) -> String {
    format!("sluicebox/{pipeline}/{sink}")
}

/// The table property that ties the mark to its ledger. `commitInfo` says it too, but goes with the log's clean-up.
fn ledger_property(pipeline: &str, sink: &str) -> String {
    format!("sluicebox.ledger/{pipeline}/{sink}")
}

/// Where a table lies.
#[derive(Clone)]
pub struct DeltaStorage {
    log_store: LogStoreRef,
}

impl DeltaStorage {
    /// The table at `location` in `root`, the store of its file system or bucket.
    pub fn new(root: Arc<dyn ObjectStore>, location: &Url) -> Result<Self, DeltaError> {
        let config = StorageConfig::default();
        let table = config.decorate_store(root.clone(), location).map_err(|error| DeltaError::Location {
            location: location.to_string(),
            what: error.to_string(),
        })?;
        Ok(Self { log_store: default_logstore(Arc::from(table), root, location, &config) })
    }

    /// The store with the table's folder as its root.
    pub fn table_store(&self) -> Arc<dyn ObjectStore> {
        self.log_store.object_store(None)
    }
}
