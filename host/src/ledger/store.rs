//! Where a ledger keeps its objects: the few operations that it needs, and what they promise.

use async_trait::async_trait;
use bytes::Bytes;

/// Small objects by name, with put-if-absent. Names are relative to the ledger, `directory/file`.
///
/// Contract:
/// - [`put_if_absent`](EntryStore::put_if_absent) is atomic: of several puts to one name at most one creates
///   it, nobody ever reads a part of it, and once it has returned `Created` the object survives a power cut.
/// - After an error nobody knows whether the put took effect, or will yet.
/// - [`get`](EntryStore::get) and [`list`](EntryStore::list) see every put and deletion that returned before
///   they began, and no cache answers for the store.
/// - What `get` returned survives a power cut too.
/// - Dropping a future leaves its operation undone, done, or to take effect later.
#[async_trait]
pub trait EntryStore: Send + Sync {
    async fn put_if_absent(&self, name: &str, bytes: Bytes) -> Result<Put, StoreError>;

    /// `None` if there is no such object.
    async fn get(&self, name: &str) -> Result<Option<Bytes>, StoreError>;

    /// The objects of a directory whose file names are above `after`, ascending. A directory that does
    /// not exist is empty.
    async fn list(&self, directory: &str, after: &str) -> Result<Vec<Listed>, StoreError>;

    /// Deleting what is not there is no error.
    async fn delete(&self, name: &str) -> Result<(), StoreError>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    Created,
    /// The name was there already, put by somebody else or by an earlier attempt of one's own.
    Taken,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Without the directory.
    pub file: String,
    /// Milliseconds since the Unix epoch, by the store's clock.
    pub modified_at_ms: i64,
}

/// A fault of the moment, as far as one can know.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} `{name}`: {why}")]
pub struct StoreError {
    pub operation: &'static str,
    pub name: String,
    pub why: String,
}

impl StoreError {
    pub fn new(operation: &'static str, name: &str, why: impl ToString) -> Self {
        Self { operation, name: name.to_owned(), why: why.to_string() }
    }
}
