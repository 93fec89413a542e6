//! Records of one partition as they came, with their progress.

use std::ops::Range;

use crate::progress::{OffsetRange, TopicPartition};

/// Records of one partition in offset order. All keys and payloads lie in one buffer, in the same order.
#[derive(Debug, Clone)]
pub struct RawBatch {
    pub partition: TopicPartition,
    pub range: OffsetRange,
    /// The broker deleted the offsets of the range before they were read: there are no records.
    pub lost: bool,
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

    /// Takes off what lies at `offset` and behind it; `offset` is inside the range.
    pub fn split_off(&mut self, offset: i64) -> Self {
        let range = OffsetRange { from: offset, to: self.range.to };
        self.range.to = offset;
        let mut records =
            self.records.split_off(self.records.partition_point(|record| record.offset < offset));
        let starts = records.iter().flat_map(|record| record.key.iter().chain(&record.payload));
        let data = self.data.split_off(starts.map(|bytes| bytes.start).min().unwrap_or(self.data.len()));
        for bytes in records.iter_mut().flat_map(|record| record.key.iter_mut().chain(&mut record.payload)) {
            *bytes = bytes.start - self.data.len()..bytes.end - self.data.len();
        }
        Self { partition: self.partition.clone(), range, lost: self.lost, records, data }
    }

    /// Bytes that the batch holds on to.
    pub fn size(&self) -> usize {
        self.data.len() + self.records.len() * size_of::<RawRecord>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_parts_hold_what_the_whole_held() {
        let record = |offset, key, payload| RawRecord { offset, timestamp_ms: None, key, payload };
        let whole = RawBatch {
            partition: TopicPartition::new("t", 0),
            range: OffsetRange { from: 3, to: 12 },
            lost: false,
            records: vec![
                record(4, Some(0..1), Some(1..3)),
                record(7, None, Some(3..4)),
                record(9, Some(4..6), None),
            ],
            data: b"abcdef".to_vec(),
        };
        let held = |batch: &RawBatch| -> Vec<_> {
            let bytes = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
            let records = batch.records.iter();
            records
                .map(|record| (record.offset, bytes(batch.key(record)), bytes(batch.payload(record))))
                .collect()
        };
        for offset in 4..12 {
            let mut first = whole.clone();
            let rest = first.split_off(offset);
            assert_eq!((first.range.from, first.range.to, rest.range.to), (3, offset, 12));
            assert!(held(&first).iter().all(|(at, ..)| *at < offset));
            assert_eq!([held(&first), held(&rest)].concat(), held(&whole));
            assert_eq!(first.size() + rest.size(), whole.size());
        }
    }
}
