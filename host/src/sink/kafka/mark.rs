//! What a sink's mark says. The newest record of the marks topic is the one in force.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ledger::entry::EntryNumber;

/// The layout of the record.
pub const FORMAT: u32 = 1;

/// The record's key: all marks have the same, so that compaction keeps the newest.
pub(super) const KEY: &str = "mark";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub format: u32,
    /// Random: a sink that was begun anew has another.
    pub id: Uuid,
    pub pipeline: String,
    pub sink: String,
    pub ledger: Uuid,
    /// The last entry whose messages are committed.
    pub entry: EntryNumber,
    /// The topic that the messages are in, and its id where the broker gives one.
    pub topic: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_id: Option<String>,
}
