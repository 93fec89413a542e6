//! The batch of one partition that is being filled.

use std::time::Instant;

use rdkafka::message::{BorrowedMessage, Message, Timestamp};

use super::BatchLimits;
use crate::batch::{RawBatch, RawRecord};
use crate::progress::{OffsetRange, TopicPartition};
use crate::source::{Generation, SourceEvent};

pub(super) struct OpenBatch {
    partition: TopicPartition,
    generation: Generation,
    /// Where the next batch starts: the end of the last one.
    from: i64,
    /// One past the last record taken.
    to: i64,
    records: Vec<RawRecord>,
    data: Vec<u8>,
    opened_at: Option<Instant>,
}

impl OpenBatch {
    pub(super) fn new(partition: TopicPartition, offset: i64, generation: Generation) -> Self {
        Self {
            partition,
            generation,
            from: offset,
            to: offset,
            records: Vec::new(),
            data: Vec::new(),
            opened_at: None,
        }
    }

    /// Takes one message. One from before the position was fetched for an earlier start, and is left out.
    pub(super) fn push(&mut self, message: &BorrowedMessage<'_>) {
        if message.offset() < self.to {
            return;
        }
        self.opened_at.get_or_insert_with(Instant::now);
        let mut append = |bytes: Option<&[u8]>| {
            bytes.map(|bytes| {
                let start = self.data.len();
                self.data.extend_from_slice(bytes);
                start..self.data.len()
            })
        };
        let (key, payload) = (append(message.key()), append(message.payload()));
        let timestamp_ms = match message.timestamp() {
            Timestamp::NotAvailable => None,
            Timestamp::CreateTime(ms) | Timestamp::LogAppendTime(ms) => Some(ms),
        };
        self.records.push(RawRecord { offset: message.offset(), timestamp_ms, key, payload });
        self.to = message.offset() + 1;
    }

    pub(super) fn is_full(&self, limits: &BatchLimits) -> bool {
        self.records.len() >= limits.rows || self.data.len() >= limits.bytes
    }

    pub(super) fn opened_at(&self) -> Option<Instant> {
        self.opened_at
    }

    pub(super) fn next_offset(&self) -> i64 {
        self.to
    }

    pub(super) fn flush(&mut self) -> Option<SourceEvent> {
        self.opened_at.take()?;
        let range = OffsetRange { from: self.from, to: self.to };
        self.from = self.to;
        // The next batch will be about as large.
        let (rows, bytes) = (self.records.len(), self.data.len());
        let batch = RawBatch {
            partition: self.partition.clone(),
            range,
            records: std::mem::replace(&mut self.records, Vec::with_capacity(rows)),
            data: std::mem::replace(&mut self.data, Vec::with_capacity(bytes)),
        };
        Some(SourceEvent::Batch { batch, generation: self.generation })
    }
}
