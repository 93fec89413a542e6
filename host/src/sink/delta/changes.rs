//! What an application of entries does to the files of a table, whichever way rows enter it.

use super::files::{ActiveFile, AddedFile, FileChanges};
use crate::ledger::entry::DataFile;

/// Files that leave the table and files that enter it, in one commit.
pub(super) struct Changes {
    pub removed: Vec<(String, ActiveFile)>,
    pub added: Vec<DataFile>,
    pub operation: Operation,
}

/// What the commit says that it did: `operation`, `operationParameters` and `operationMetrics`.
pub(super) struct Operation {
    pub name: &'static str,
    pub parameters: Vec<(&'static str, String)>,
    pub metrics: Vec<(&'static str, u64)>,
    /// Whether nothing in the table was looked at.
    pub is_blind_append: bool,
}

impl Changes {
    /// The same as whoever follows the log reads it.
    pub fn in_log(&self) -> FileChanges {
        FileChanges {
            removed: self.removed.iter().map(|(path, _)| path.clone()).collect(),
            added: self.added.iter().map(AddedFile::from).collect(),
        }
    }
}
