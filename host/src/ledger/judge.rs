//! Which entries are valid after a prefix. Every writer asks before it puts, every reader after it read,
//! and all get the same answer.

use std::collections::BTreeSet;
use std::fmt;

use super::entry::{Body, Configure, Entry, Epoch, Sweep, TaskEntry, Writer};
use super::state::LedgerState;
use crate::progress::TopicPartition;

/// What the prefix says to an entry. All but `Valid` are final: no later prefix makes the entry valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Valid,
    /// Somebody else went on with these tasks: drop the epoch and recover those that are still one's own.
    Moved {
        tasks: Vec<TopicPartition>,
    },
    /// Another schema version is in force: reload it, and decode the epoch anew.
    SchemaMoved {
        in_force: u64,
    },
    /// Another configuration is in force: reload it, or stop.
    ConfigurationMoved {
        in_force: String,
    },
    /// A sweep condemned the epoch, and may have deleted its files.
    Condemned,
    /// The writer's proposal is in the ledger already.
    Repeated,
    /// The sweep condemns epochs that are in the ledger.
    Entered {
        writers: Vec<Writer>,
    },
    /// The entry contradicts itself, or what never changes: a fault of its writer, or of the source.
    Refused(String),
}

impl LedgerState {
    /// Judges the entry that would follow the prefix.
    pub fn judge(&self, entry: &Entry) -> Verdict {
        if entry.ledger != self.ledger {
            return Verdict::Refused(format!("it is of ledger {}", entry.ledger));
        }
        if self.number.checked_add(1) != Some(entry.number) {
            return Verdict::Refused(format!("it is entry {} after entry {}", entry.number, self.number));
        }
        if self.has_entered(entry.writer) {
            return Verdict::Repeated;
        }
        if self.is_condemned(entry.writer) {
            return Verdict::Condemned;
        }
        match &entry.body {
            Body::Genesis(_) => Verdict::Refused("a ledger begins once".to_owned()),
            Body::Epoch(epoch) => self.judge_epoch(epoch),
            Body::Configure(change) => self.judge_change(change),
            Body::Sweep(sweep) => self.judge_sweep(entry.writer, sweep),
        }
    }

    fn judge_epoch(&self, epoch: &Epoch) -> Verdict {
        if epoch.configuration != self.configuration.digest {
            return Verdict::ConfigurationMoved { in_force: self.configuration.digest.clone() };
        }
        if epoch.schema_version != self.schema_version {
            return Verdict::SchemaMoved { in_force: self.schema_version };
        }
        let moved: Vec<TopicPartition> = epoch
            .tasks
            .iter()
            .filter(|task| self.has_moved(task))
            .map(|task| task.partition.clone())
            .collect();
        if !moved.is_empty() {
            return Verdict::Moved { tasks: moved };
        }
        let mut seen = BTreeSet::new();
        for task in &epoch.tasks {
            if !seen.insert(&task.partition) {
                return Verdict::Refused(format!("{} is in it twice", task.partition));
            }
            if let Some(why) = self.objection_to(task) {
                return Verdict::Refused(why);
            }
        }
        match epoch.sinks.keys().find(|sink| !self.sinks.contains_key(*sink)) {
            Some(sink) => Verdict::Refused(format!("the configuration in force has no sink `{sink}`")),
            None => Verdict::Valid,
        }
    }

    fn has_moved(&self, task: &TaskEntry) -> bool {
        self.tasks.get(&task.partition).map(|state| state.entry) != task.builds_on
    }

    fn objection_to(&self, task: &TaskEntry) -> Option<String> {
        let TaskEntry { partition, range, .. } = task;
        if range.from > range.to {
            return Some(format!("the range {range} of {partition} ends before it begins"));
        }
        let state = self.tasks.get(partition)?;
        if range.from != state.position {
            return Some(format!("the range {range} of {partition} does not begin at {}", state.position));
        }
        match (&state.topic_id, &task.topic_id) {
            (Some(known), Some(found)) if known != found => Some(format!(
                "topic `{}` was deleted and created again (its id is {found} and was {known}): its offsets have begun \
                 anew, so give the pipeline a new `id` and new tables, or rename the topic",
                partition.topic
            )),
            _ => None,
        }
    }

    fn judge_change(&self, change: &Configure) -> Verdict {
        if change.replaces != self.configuration.digest {
            return Verdict::ConfigurationMoved { in_force: self.configuration.digest.clone() };
        }
        Verdict::Valid
    }

    fn judge_sweep(&self, writer: Writer, sweep: &Sweep) -> Verdict {
        if sweep.condemned.contains(&writer) {
            return Verdict::Refused("it condemns itself".to_owned());
        }
        let writers: Vec<Writer> =
            sweep.condemned.iter().filter(|writer| self.has_entered(**writer)).copied().collect();
        if writers.is_empty() { Verdict::Valid } else { Verdict::Entered { writers } }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Valid => f.write_str("it is valid"),
            Self::Moved { tasks } => {
                let tasks: Vec<String> = tasks.iter().map(ToString::to_string).collect();
                write!(f, "another entry went on with {} before it", tasks.join(", "))
            }
            Self::SchemaMoved { in_force } => write!(f, "schema version {in_force} is in force"),
            Self::ConfigurationMoved { in_force } => write!(f, "configuration {in_force} is in force"),
            Self::Condemned => f.write_str("a sweep condemned its epoch"),
            Self::Repeated => f.write_str("its epoch is in the ledger already"),
            Self::Entered { writers } => {
                write!(f, "it condemns {} epochs that are in the ledger", writers.len())
            }
            Self::Refused(why) => f.write_str(why),
        }
    }
}
