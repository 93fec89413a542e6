//! Where records come from.
//!
//! A source yields events; rebalancing is one kind of event, not a callback. The caller answers
//! [`SourceEvent::Assigned`] with [`start`](Source::start), once it knows from the ledger where to go on, and
//! [`SourceEvent::Revoked`] with [`release`](Source::release), once it has entered or abandoned what it read.
//! Until then the source keeps its group membership alive by being polled.

pub mod generated;
pub mod kafka;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use self::generated::{GeneratedSettings, GeneratedSource};
use self::kafka::{KafkaSettings, KafkaSource};
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

/// Which source, and how it is read. Plain data.
#[derive(Debug, Clone)]
pub enum SourceSettings {
    Kafka(KafkaSettings),
    Generated(GeneratedSettings),
}

impl SourceSettings {
    /// Connects. What the source comes to know of the ends of its partitions goes to `ends`.
    pub fn open(self, ends: EndOffsets) -> Result<Box<dyn Source>, SourceError> {
        Ok(match self {
            Self::Kafka(settings) => Box::new(KafkaSource::connect(settings, ends)?),
            Self::Generated(settings) => Box::new(GeneratedSource::open(settings, &ends)?),
        })
    }
}

/// Yields the records of the partitions that it was given. Every call blocks.
///
/// Contract:
/// - Offsets are dense or not, but the ranges of one partition's batches adjoin, from the offset it was started at.
/// - The same offset is the same record, whenever and by whomever it is read.
/// - Nothing of a partition is read before it is started, nor after it is released.
pub trait Source {
    /// The next event, or `None` after `timeout` without one. To be called again and again: a group takes the partitions
    /// from who does not.
    fn poll(&mut self, timeout: Duration) -> Result<Option<SourceEvent>, SourceError>;

    /// Starts assigned partitions at these offsets, or starts them anew elsewhere. After a fault that passes
    /// nothing has changed, and it may be tried again.
    fn start(
        &mut self,
        positions: &[(TopicPartition, i64)],
        generation: Generation,
    ) -> Result<(), SourceError>;

    /// Lets revoked partitions go: others wait for this.
    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), SourceError>;

    /// Stops fetching. Other events still come.
    fn pause(&mut self) -> Result<(), SourceError>;

    fn resume(&mut self) -> Result<(), SourceError>;

    /// Tells how far the ledger has come: advice, never the truth.
    fn commit(&self, positions: &[(TopicPartition, i64)]);

    /// Whether it has answered lately.
    fn connected(&self) -> bool;

    /// The topics as they are now. Fails if one of them is not the one that it was when this source first asked.
    fn topics(&mut self) -> Result<Vec<Topic>, SourceError>;

    /// Every partition of every topic.
    fn partitions(&self) -> Result<Vec<TopicPartition>, SourceError>;

    /// The offsets that can be read of a partition: `[low, high)`.
    fn watermarks(&self, partition: &TopicPartition) -> Result<(i64, i64), SourceError>;

    /// Where a partition starts that the ledger does not know.
    fn first_position(&self, partition: &TopicPartition) -> Result<i64, SourceError>;
}

/// The ends of the partitions that are being read, as the source last heard of them.
#[derive(Debug, Clone, Default)]
pub struct EndOffsets(Arc<Mutex<HashMap<TopicPartition, i64>>>);

impl EndOffsets {
    pub fn get(&self) -> Vec<(TopicPartition, i64)> {
        let ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ends.iter().map(|(partition, end)| (partition.clone(), *end)).collect()
    }

    fn learn(&self, learnt: impl IntoIterator<Item = (TopicPartition, i64)>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(learnt);
    }
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
    #[error("{partition}: the ledger goes on at offset {wanted}, but there is [{low}, {high}). {what}")]
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
