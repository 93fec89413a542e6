//! Where a layer's rows go: Delta tables, folders of files, Kafka topics.
//!
//! A sink has two sides. The [`rows::RowWriter`] turns rows into data files that nothing refers to yet; every
//! worker has its own. The [`SinkApplier`] makes the files of ledger entries visible, and is driven by
//! one worker at a time.

#[cfg(test)]
mod conformance;
pub mod delta;
#[cfg(test)]
mod fault;
pub mod files;
pub mod kafka;
pub mod rows;

use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use crate::ledger::entry::{Entry, EntryNumber, SinkRecord, TableVersion};

/// What a sink says of itself: how far it has followed the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkMark {
    /// The last entry that the sink holds, stored in the same atomic step as the entry's rows.
    pub number: EntryNumber,
    /// The ledger that the mark belongs to.
    pub ledger: Uuid,
}

/// What an attempt to apply entries came to. Every case is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// The entries are in, with the mark.
    Done,
    /// Somebody else changed the sink meanwhile. Read the mark again, and try again if it still lacks entries.
    Busy,
}

#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// A fault of the moment: read the mark again, then try again.
    #[error("{0}")]
    Unavailable(String),
    /// What cannot be explained or repaired by trying again. It stops the pipeline; the text says what to do.
    #[error("{0}")]
    Refused(String),
}

/// Applies ledger entries to one sink.
///
/// Contract:
/// - [`mark`](SinkApplier::mark) reads the sink anew; what it returns is the state that the next
///   [`apply`](SinkApplier::apply) is built on.
/// - `apply` is given entries above that mark, ascending, without gaps in what concerns this sink. It
///   makes their rows and the mark `to` visible in **one** atomic step, or, where a mark stands for every entry,
///   in one such step for each entry, in order. What is visible is always all of the entries up to the mark.
/// - `apply` fails or says `Busy` if the sink changed since `mark` in a way that concerns it: a stale
///   applier loses by its mark.
/// - After any error the caller does not know whether the step happened, and calls `mark` first.
/// - Dropping a future at any await is like a crash there: safe.
#[async_trait]
pub trait SinkApplier: Send {
    /// Tells the sink what the ledger has recorded of it, before each [`mark`](SinkApplier::mark). A sink
    /// that is a table looks at every foreign commit since then, and refuses what cannot be explained.
    fn recorded(&mut self, _record: &SinkRecord) {}

    /// Which table the last [`mark`](SinkApplier::mark) looked at: what the next entry records of it.
    fn table(&self) -> TableVersion {
        TableVersion::default()
    }

    /// Rows of entries that one application takes well; a single entry may hold more.
    fn rows_at_once(&self) -> u64 {
        u64::MAX
    }

    async fn mark(&mut self) -> Result<SinkMark, SinkError>;

    async fn apply(&mut self, entries: &[Arc<Entry>], to: EntryNumber) -> Result<Applied, SinkError>;
}
