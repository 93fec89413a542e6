//! Where records come from.
//!
//! A source yields events; rebalancing is one kind of event, not a callback. The caller answers
//! [`SourceEvent::Assigned`] with [`start`](kafka::KafkaSource::start), once it knows from the ledger where
//! to go on, and [`SourceEvent::Revoked`] with [`release`](kafka::KafkaSource::release), once it has entered
//! or abandoned what it read. Until then the source keeps its group membership alive by being polled.

pub mod kafka;

use std::sync::Arc;

use crate::batch::RawBatch;
use crate::progress::TopicPartition;

/// Tells the batches of one start of a partition from those of an earlier one.
pub type Generation = u64;

#[derive(Debug)]
pub enum SourceEvent {
    /// Records of a started partition. The ranges of one generation adjoin, from the offset it was started at.
    Batch { batch: RawBatch, generation: Generation },
    /// The group gave us these partitions. Nothing of them is read before `start`.
    Assigned(Vec<TopicPartition>),
    /// The group takes these partitions. They are paused.
    Revoked {
        partitions: Vec<TopicPartition>,
        /// They are gone already: another member may be reading them.
        lost: bool,
    },
}

/// A topic as the broker has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    pub name: Arc<str>,
    /// Another one after the topic was deleted and created again; `None` where the broker gives none.
    pub id: Option<String>,
    pub partitions: i32,
}

/// Where a topic starts that the ledger does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartPosition {
    Earliest,
    Latest,
    /// The first record at or after this time, milliseconds since the Unix epoch.
    Timestamp(i64),
}

/// Everything here stops the pipeline; faults that pass are retried below and logged.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error(
        "cannot reach Kafka at {brokers}: {reason}. Check `source.kafka.brokers` and `source.kafka.settings`"
    )]
    Unreachable { brokers: String, reason: String },
    #[error("topic `{topic}` does not exist at {brokers}. Create it, or correct `source.kafka.topics`")]
    NoTopic { topic: String, brokers: String },
    #[error(
        "topic `{topic}` was deleted and created again (its id is {is} and was {was}): its offsets have begun anew, so \
         that the ledger's positions mean other records. Give the pipeline a new `id` and a new `state` to read the new \
         topic from `source.kafka.start`; its tables may stay, and keep what they have"
    )]
    Recreated { topic: Arc<str>, was: String, is: String },
    #[error(
        "{partition}: the ledger goes on at offset {wanted}, but the broker holds [{low}, {high}). {what}"
    )]
    LostOffsets { partition: TopicPartition, wanted: i64, low: i64, high: i64, what: String },
    #[error("Kafka refuses the configuration: {0}. Correct `source.kafka.settings`")]
    Settings(String),
    #[error("Kafka: {0}")]
    Broken(String),
}

impl SourceError {
    /// Whether asking again can help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}
