//! Records of one partition as they came, with their progress.

use std::ops::Range;

use crate::progress::{OffsetRange, TopicPartition};

/// Records of one partition in offset order. All keys and payloads lie in one buffer.
#[derive(Debug, Clone)]
pub struct RawBatch {
    pub partition: TopicPartition,
    pub range: OffsetRange,
    pub records: Vec<RawRecord>,
    pub data: Vec<u8>,
}

/// One Kafka message; its key and payload are ranges of [`RawBatch::data`].
#[derive(Debug, Clone)]
pub struct RawRecord {
    pub offset: i64,
    /// Milliseconds since the Unix epoch, as the broker has it.
    pub timestamp_ms: Option<i64>,
    pub key: Option<Range<usize>>,
    /// `None` is a tombstone.
    pub payload: Option<Range<usize>>,
}

impl RawBatch {
    pub fn key(&self, record: &RawRecord) -> Option<&[u8]> {
        record.key.clone().map(|range| &self.data[range])
    }

    pub fn payload(&self, record: &RawRecord) -> Option<&[u8]> {
        record.payload.clone().map(|range| &self.data[range])
    }

    /// Bytes that the batch holds on to.
    pub fn size(&self) -> usize {
        self.data.len() + self.records.len() * size_of::<RawRecord>()
    }
}
