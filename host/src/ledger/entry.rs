//! What an entry holds: everything that any worker needs in order to apply it, audit it, or go on
//! from it. Entries are JSON, so that they can be read without Sluicebox.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::changes::StateKind;
use crate::progress::{Accounting, OffsetRange, TopicPartition};
use crate::schema::RecordSchema;

/// The layout of [`Entry`] documents that this host writes, and the only one that it reads.
pub const FORMAT: u32 = 1;

/// The number of an entry: its place in the ledger. Entry 0 is the genesis.
pub type EntryNumber = u64;

/// One epoch (or one change of the pipeline itself) in the ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The layout of this document; another one is refused.
    pub format: u32,
    /// The random id of the ledger, from entry 0.
    pub ledger: Uuid,
    pub number: EntryNumber,
    pub writer: Writer,
    /// Milliseconds since the Unix epoch, by the writer's clock. For people and for grace periods only.
    pub written_at_ms: i64,
    pub body: Body,
}

impl Entry {
    /// What the entry holds for the sink.
    pub fn part_of(&self, sink: &str) -> Option<&SinkEntry> {
        match &self.body {
            Body::Epoch(epoch) => epoch.sinks.get(sink),
            Body::Genesis(_) | Body::Configure(_) | Body::Sweep(_) => None,
        }
    }
}

/// Who wrote an entry, and at which attempt. The pair names the entry's files, and a writer knows its
/// own entry by it: one pair stands for one proposal, whatever came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Writer {
    /// Random, new for each start of a worker.
    pub incarnation: Uuid,
    /// Counts the incarnation's attempts to write an entry.
    pub epoch: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Body {
    Genesis(Genesis),
    Epoch(Epoch),
    Configure(Configure),
    Sweep(Sweep),
}

/// Entry 0: what the ledger is of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Genesis {
    pub pipeline: String,
    pub configuration: Configuration,
}

/// A change of the pipeline: valid only if `replaces` is the digest in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Configure {
    pub replaces: String,
    pub configuration: Configuration,
}

/// What every worker of the pipeline must agree on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// SHA-256 (hex) of everything that decides what rows come out: layers, steps, plugin digests.
    pub digest: String,
    /// Each layer's parent; `None` where it reads the decoded records.
    pub layers: BTreeMap<String, Option<String>>,
    /// Every sink by name, quarantines and dead letters included.
    pub sinks: Vec<String>,
    pub plugins: Vec<PluginReference>,
}

impl Configuration {
    pub fn plugin(&self, layer: &str, step: &str) -> Option<&PluginReference> {
        self.plugins.iter().find(|plugin| plugin.layer == layer && plugin.step == step)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginReference {
    pub layer: String,
    pub step: String,
    pub name: String,
    pub version: String,
    /// SHA-256 (hex) of the component's bytes.
    pub digest: String,
    /// What the step is granted by which its rows may come out otherwise the next time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_deterministic: Vec<String>,
}

/// What a worker made durable at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// The digest of the configuration that it ran under.
    pub configuration: String,
    /// The schema version under which its records were decoded.
    pub schema_version: u64,
    /// The next schema version (`schema_version + 1`), where this epoch closed because records asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposes_schema: Option<RecordSchema>,
    pub tasks: Vec<TaskEntry>,
    /// For each sink that got rows: its files.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sinks: BTreeMap<String, SinkEntry>,
    /// For each sink that the worker looked at since its last epoch: what it saw. Whoever finds less
    /// later knows that the sink went backwards.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub seen: BTreeMap<String, SinkRecord>,
    /// For each step that looks rows up (`layer/step`), the version of its table that the epoch's rows were looked up in.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub references: BTreeMap<String, String>,
}

/// What a worker saw of a sink.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkRecord {
    pub mark: EntryNumber,
    #[serde(flatten)]
    pub table: TableVersion,
}

/// Which table a sink is, and how far its own history had come; both empty for sinks that are no tables.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableVersion {
    /// The table's own id: a table that was dropped and created again has another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The last commit of the table that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
}

/// One task's part of an epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskEntry {
    #[serde(flatten)]
    pub partition: TopicPartition,
    /// The id that the broker gives the topic, where it gives one: a topic that was deleted and
    /// created again has another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_id: Option<String>,
    /// The last entry of this task that the epoch goes on from; `None` for the task's first.
    pub builds_on: Option<EntryNumber>,
    #[serde(flatten)]
    pub range: OffsetRange,
    pub accounting: Accounting,
    /// Largest event time seen so far in the task, microseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_event_time: Option<i64>,
    /// Event time below which the task expects no more rows, microseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark: Option<i64>,
    /// The state changes of the task's stateful steps in this epoch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub state: Vec<StateSegment>,
}

/// A byte range of a state object: one step's base or changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateSegment {
    pub layer: String,
    pub step: String,
    pub kind: StateKind,
    /// Relative to the state location.
    pub object: String,
    pub offset: u64,
    pub length: u64,
    /// SHA-256 (hex) of the range's bytes.
    pub sha256: String,
}

/// What an epoch gives one sink.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SinkEntry {
    pub files: Vec<DataFile>,
    /// The layout of the files' rows, where it is the sink's newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<RecordSchema>,
}

/// A data file that is in place, and invisible until its entry is applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataFile {
    /// Relative to the table.
    pub path: String,
    /// Bytes.
    pub size: u64,
    pub rows: u64,
    pub modified_at_ms: i64,
    /// In the order of the table's partition columns; `None` is null.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partition_values: Vec<(String, Option<String>)>,
    /// The `stats` of a Delta `add` action, as it will be committed: a JSON document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats: Option<String>,
}

/// Epochs that were never entered, and from this entry on never may be: deletion of their files follows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sweep {
    pub condemned: Vec<Writer>,
}
