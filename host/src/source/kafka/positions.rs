//! Questions to the broker about partitions and offsets.

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use tracing::warn;

use super::context::GroupContext;
use super::{BROKER_TIMEOUT, KafkaSettings, KafkaSource, broken};
use crate::progress::TopicPartition;
use crate::source::{SourceError, StartPosition};

impl KafkaSource {
    /// Every partition of every topic of the source.
    pub fn partitions(&self) -> Result<Vec<TopicPartition>, SourceError> {
        partitions(&self.consumer, &self.settings)
    }

    /// The offsets that the broker holds of a partition: `[low, high)`.
    pub fn watermarks(&self, partition: &TopicPartition) -> Result<(i64, i64), SourceError> {
        self.consumer.fetch_watermarks(&partition.topic, partition.partition, BROKER_TIMEOUT).map_err(
            |error| SourceError::Unreachable {
                brokers: self.settings.brokers.clone(),
                reason: format!("offsets of {partition}: {error}"),
            },
        )
    }

    /// Where a partition that the ledger does not know starts. `topic_is_known`: the ledger has other
    /// partitions of its topic, so this one was added later, and everything in it is wanted.
    pub fn first_position(
        &self,
        partition: &TopicPartition,
        topic_is_known: bool,
    ) -> Result<i64, SourceError> {
        let (low, high) = self.watermarks(partition)?;
        match self.settings.start {
            _ if topic_is_known => Ok(low),
            StartPosition::Earliest => Ok(low),
            StartPosition::Latest => Ok(high),
            StartPosition::Timestamp(ms) => {
                let mut list = TopicPartitionList::new();
                list.add_partition_offset(&partition.topic, partition.partition, Offset::Offset(ms))
                    .map_err(broken)?;
                let found = self.consumer.offsets_for_times(list, BROKER_TIMEOUT).map_err(broken)?;
                match found.elements().first().map(|element| element.offset()) {
                    Some(Offset::Offset(offset)) => Ok(offset),
                    _ => Ok(high),
                }
            }
        }
    }

    /// Checks that the broker still holds what the ledger goes on with.
    ///
    /// A position below what it holds is loss; one above it means that the topic is another one.
    pub(super) fn checked_position(
        &self,
        partition: &TopicPartition,
        position: i64,
    ) -> Result<i64, SourceError> {
        let (low, high) = self.watermarks(partition)?;
        if (low..=high).contains(&position) {
            return Ok(position);
        }
        if position < low && self.settings.skip_lost_offsets {
            warn!(%partition, lost = low - position, "offsets [{position}, {low}) are gone and skipped");
            return Ok(low);
        }
        Err(lost(partition, position, low, high))
    }
}

pub(super) fn lost(partition: &TopicPartition, wanted: i64, low: i64, high: i64) -> SourceError {
    let what = if wanted < low {
        format!("{} offsets were deleted before they were read.", low - wanted)
    } else {
        "The topic was deleted and created again, or truncated; start a new pipeline `id` for it.".to_owned()
    };
    SourceError::LostOffsets { partition: partition.clone(), wanted, low, high, what }
}

pub(super) fn partitions(
    consumer: &BaseConsumer<GroupContext>,
    settings: &KafkaSettings,
) -> Result<Vec<TopicPartition>, SourceError> {
    let mut partitions = Vec::new();
    for topic in &settings.topics {
        let metadata = consumer.fetch_metadata(Some(topic), BROKER_TIMEOUT).map_err(|error| {
            SourceError::Unreachable { brokers: settings.brokers.clone(), reason: error.to_string() }
        })?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        let Some(found) = found.filter(|found| found.error().is_none() && !found.partitions().is_empty())
        else {
            return Err(SourceError::NoTopic { topic: topic.clone(), brokers: settings.brokers.clone() });
        };
        partitions
            .extend(found.partitions().iter().map(|each| TopicPartition::new(topic.as_str(), each.id())));
    }
    Ok(partitions)
}
