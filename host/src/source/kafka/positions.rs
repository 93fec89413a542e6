//! Questions to the broker about partitions and offsets.

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};
use tracing::warn;

use super::context::GroupContext;
use super::{BROKER_TIMEOUT, KafkaSettings, KafkaSource, broken};
use crate::progress::TopicPartition;
use crate::source::{SourceError, StartPosition};

impl KafkaSource {
    /// The offsets that the broker holds of a partition: `[low, high)`.
    pub(super) fn held_offsets(&self, partition: &TopicPartition) -> Result<(i64, i64), SourceError> {
        self.consumer
            .fetch_watermarks(&partition.topic, partition.partition, BROKER_TIMEOUT)
            .map_err(|error| self.unreachable(partition, &error))
    }

    /// Where a partition of a topic starts that the ledger does not know.
    pub(super) fn resolved_start(&self, partition: &TopicPartition) -> Result<i64, SourceError> {
        let (low, high) = self.held_offsets(partition)?;
        match self.settings.start {
            StartPosition::Earliest => Ok(low),
            StartPosition::Latest => Ok(high),
            StartPosition::Timestamp(ms) => Ok(self.first_since(partition, ms)?.unwrap_or(high)),
        }
    }

    /// The first record at or after a time, milliseconds since the Unix epoch.
    fn first_since(&self, partition: &TopicPartition, ms: i64) -> Result<Option<i64>, SourceError> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&partition.topic, partition.partition, Offset::Offset(ms))
            .map_err(broken)?;
        let found = self.consumer.offsets_for_times(list, BROKER_TIMEOUT);
        let found = found.map_err(|error| self.unreachable(partition, &error))?;
        let Some(answer) = found.elements().into_iter().next() else { return Ok(None) };
        // Without an answer the time itself is left in the offset's place.
        answer.error().map_err(|error| self.unreachable(partition, &error))?;
        Ok(match answer.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        })
    }

    /// Where to go on from `position`: there, or at the first offset that is left where lost ones are skipped.
    /// Fails if it is not, or if the position is none of this topic.
    pub(super) fn held_position(
        &mut self,
        partition: &TopicPartition,
        position: i64,
    ) -> Result<i64, SourceError> {
        let (low, high) = self.held_offsets(partition)?;
        if (low..=high).contains(&position) {
            return Ok(position);
        }
        // Another topic of the same name explains it better.
        self.described_topics()?;
        if position < low && self.settings.skip_lost_offsets {
            warn!(%partition, lost = low - position, "offsets [{position}, {low}) are gone and skipped");
            return Ok(low);
        }
        Err(lost(partition, position, low, high))
    }

    fn unreachable(&self, partition: &TopicPartition, error: &KafkaError) -> SourceError {
        SourceError::Unreachable {
            brokers: self.settings.brokers.clone(),
            reason: format!("offsets of {partition}: {error}"),
        }
    }
}

fn lost(partition: &TopicPartition, wanted: i64, low: i64, high: i64) -> SourceError {
    let what = if wanted < low {
        format!(
            "{} offsets were deleted before they were read. Set `source.kafka.on_lost_offsets: skip` to accept the \
             loss and count it",
            low - wanted
        )
    } else {
        "The end of the partition was lost by the broker, and other records may be at these offsets now. Give the \
         pipeline a new `id` and a new `state` to read it anew"
            .to_owned()
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
