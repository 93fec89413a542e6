//! What a prefix of the ledger comes to: everything that a worker needs in order to go on from it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::entry::{
    Body, Configuration, Entry, EntryNumber, Epoch, SinkRecord, StateSegment, TaskEntry, Writer,
};
use super::epochs::EpochSet;
use super::judge::Verdict;
use crate::changes::StateKind;
use crate::progress::TopicPartition;
use crate::schema::RecordSchema;

/// A pure function of the entries up to `number`, and so are its bytes: a snapshot may be written by
/// anybody, and says the same as the entries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LedgerState {
    pub ledger: Uuid,
    pub pipeline: String,
    /// The last entry of the prefix.
    pub number: EntryNumber,
    pub configuration: Configuration,
    /// The entry that put it in force.
    #[serde(default)]
    pub configured: Configured,
    /// What was in force before and is no more, each once, the last one last; the oldest are forgotten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaced: Vec<Replaced>,
    /// 0 until the first schema is proposed.
    pub schema_version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<RecordSchema>,
    #[serde(with = "as_list")]
    pub tasks: BTreeMap<TopicPartition, TaskState>,
    pub sinks: BTreeMap<String, SinkState>,
    writers: BTreeMap<Uuid, WriterHistory>,
}

/// How many configurations are remembered besides the one in force.
pub const REMEMBERED: usize = 10;

/// An entry that put a configuration in force.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configured {
    pub entry: EntryNumber,
    /// As [`Entry::written_at_ms`] has it.
    pub at_ms: i64,
}

/// A configuration that was in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replaced {
    pub configured: Configured,
    /// The entry that put another one in its place.
    pub by: EntryNumber,
    pub configuration: Configuration,
}

/// Where a task stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskState {
    #[serde(flatten)]
    pub partition: TopicPartition,
    /// The task's last entry: what its next one builds on.
    pub entry: EntryNumber,
    /// The next offset to read.
    pub position: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_id: Option<String>,
    /// Microseconds since the Unix epoch, as [`TaskEntry`] has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_event_time: Option<i64>,
    /// For each stateful step its base and the changes since, in the order to restore them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub state: Vec<StateSegment>,
}

/// Where a sink stands, as far as the ledger says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkState {
    /// The entry that added the sink: entries up to it hold nothing for it.
    pub since: EntryNumber,
    /// The furthest that any worker saw of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<SinkRecord>,
}

/// What became of a worker's epochs. Kept for ever: an entered epoch's files are in the tables for ever,
/// and a condemned one must never be entered, however late.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct WriterHistory {
    #[serde(default, skip_serializing_if = "EpochSet::is_empty")]
    entered: EpochSet,
    #[serde(default, skip_serializing_if = "EpochSet::is_empty")]
    condemned: EpochSet,
}

impl LedgerState {
    /// The state after entry 0; `None` if the entry is no genesis.
    pub fn genesis(entry: &Entry) -> Option<Self> {
        let Body::Genesis(genesis) = &entry.body else { return None };
        let mut state = Self {
            ledger: entry.ledger,
            pipeline: genesis.pipeline.clone(),
            number: entry.number,
            configuration: genesis.configuration.clone(),
            configured: Configured { entry: entry.number, at_ms: entry.written_at_ms },
            replaced: Vec::new(),
            schema_version: 0,
            schema: None,
            tasks: BTreeMap::new(),
            sinks: BTreeMap::new(),
            writers: BTreeMap::new(),
        };
        state.configure(entry.number, &genesis.configuration);
        state.note_entered(entry.writer);
        Some(state)
    }

    /// Takes the next entry in, if it is valid. The state is as it was if it is not.
    #[must_use = "an entry that is not valid is not in the state"]
    pub fn apply(&mut self, entry: &Entry) -> Verdict {
        let verdict = self.judge(entry);
        if verdict != Verdict::Valid {
            return verdict;
        }
        match &entry.body {
            // The judge lets no second genesis pass.
            Body::Genesis(_) => {}
            Body::Epoch(epoch) => self.apply_epoch(entry.number, epoch),
            Body::Configure(change) => {
                self.remember_configuration(entry, &change.configuration.digest);
                self.configure(entry.number, &change.configuration);
            }
            Body::Sweep(sweep) => {
                for writer in &sweep.condemned {
                    self.writers.entry(writer.incarnation).or_default().condemned.insert(writer.epoch);
                }
            }
        }
        self.note_entered(entry.writer);
        self.number = entry.number;
        verdict
    }

    /// Whether the writer's proposal is in the ledger.
    pub fn has_entered(&self, writer: Writer) -> bool {
        self.writers.get(&writer.incarnation).is_some_and(|history| history.entered.contains(writer.epoch))
    }

    /// Whether the writer's proposal can never be in the ledger.
    pub fn is_condemned(&self, writer: Writer) -> bool {
        self.writers.get(&writer.incarnation).is_some_and(|history| history.condemned.contains(writer.epoch))
    }

    fn note_entered(&mut self, writer: Writer) {
        self.writers.entry(writer.incarnation).or_default().entered.insert(writer.epoch);
    }

    fn apply_epoch(&mut self, number: EntryNumber, epoch: &Epoch) {
        if let Some(schema) = &epoch.proposes_schema {
            self.schema_version = epoch.schema_version + 1;
            self.schema = Some(schema.clone());
        }
        for task in &epoch.tasks {
            let state = self.tasks.remove(&task.partition);
            self.tasks.insert(task.partition.clone(), TaskState::after(state, number, task));
        }
        for (sink, seen) in &epoch.seen {
            if let Some(state) = self.sinks.get_mut(sink) {
                state.note(seen);
            }
        }
    }

    /// The configuration in force, which the entry replaces.
    fn remember_configuration(&mut self, entry: &Entry, next: &str) {
        let configured = Configured { entry: entry.number, at_ms: entry.written_at_ms };
        let configured = std::mem::replace(&mut self.configured, configured);
        let configuration = self.configuration.clone();
        self.replaced
            .retain(|replaced| ![next, &configuration.digest].contains(&&*replaced.configuration.digest));
        self.replaced.push(Replaced { configured, by: entry.number, configuration });
        let forgotten = self.replaced.len().saturating_sub(REMEMBERED);
        self.replaced.drain(..forgotten);
    }

    fn configure(&mut self, number: EntryNumber, configuration: &Configuration) {
        let mut before = std::mem::take(&mut self.sinks);
        for sink in &configuration.sinks {
            let state = before.remove(sink).unwrap_or(SinkState { since: number, record: None });
            self.sinks.insert(sink.clone(), state);
        }
        // A step that is gone, and comes back one day, must not find its old state.
        for task in self.tasks.values_mut() {
            task.state.retain(|segment| configuration.plugin(&segment.layer, &segment.step).is_some());
        }
        self.configuration = configuration.clone();
    }
}

impl TaskState {
    fn after(before: Option<Self>, number: EntryNumber, task: &TaskEntry) -> Self {
        let (topic_id, mut state) = before.map(|before| (before.topic_id, before.state)).unwrap_or_default();
        for segment in &task.state {
            if segment.kind == StateKind::Base {
                state.retain(|old| old.layer != segment.layer || old.step != segment.step);
            }
            state.push(segment.clone());
        }
        Self {
            partition: task.partition.clone(),
            entry: number,
            position: task.range.to,
            topic_id: task.topic_id.clone().or(topic_id),
            watermark: task.watermark,
            max_event_time: task.max_event_time,
            state,
        }
    }
}

impl SinkState {
    /// Workers may report in another order than they looked.
    fn note(&mut self, seen: &SinkRecord) {
        let progress = |record: &SinkRecord| (record.mark, record.table.version);
        if self.record.as_ref().is_none_or(|record| progress(record) <= progress(seen)) {
            self.record = Some(seen.clone());
        }
    }
}

/// JSON has no maps keyed by a partition.
mod as_list {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::TaskState;
    use crate::progress::TopicPartition;

    type Tasks = BTreeMap<TopicPartition, TaskState>;

    pub fn serialize<S: Serializer>(tasks: &Tasks, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(tasks.values())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Tasks, D::Error> {
        let tasks = Vec::<TaskState>::deserialize(deserializer)?;
        Ok(tasks.into_iter().map(|task| (task.partition.clone(), task)).collect())
    }
}
