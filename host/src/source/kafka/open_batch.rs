//! The batch of one partition that is being filled.

use std::time::Instant;

use super::BatchLimits;
use super::queue::Record;
use crate::batch::{RawBatch, RawRecord};
use crate::progress::{OffsetRange, TopicPartition};
use crate::source::{Generation, SourceEvent};

pub(super) struct OpenBatch {
    partition: TopicPartition,
    generation: Generation,
    /// Where the next batch starts: the end of the last one.
    from: i64,
    /// Everything before it was taken, or is known not to be there.
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

    /// Takes one record. One from before the position was fetched for an earlier start, and is left out.
    pub(super) fn push(&mut self, record: &Record<'_>) {
        if record.offset < self.to {
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
        let (key, payload) = (append(record.key), append(record.payload));
        let Record { offset, timestamp_ms, .. } = *record;
        self.records.push(RawRecord { offset, timestamp_ms, key, payload });
        self.to = offset + 1;
    }

    /// There is nothing to read below `offset` any more: transactions' markers and aborted or compacted records
    /// take offsets too.
    pub(super) fn advance(&mut self, offset: i64) {
        if offset > self.to {
            self.opened_at.get_or_insert_with(Instant::now);
            self.to = offset;
        }
    }

    /// What lies before `low` is gone: a batch of its own says so, behind what was taken.
    pub(super) fn lose_up_to(&mut self, low: i64) -> Vec<SourceEvent> {
        if low <= self.to {
            return Vec::new();
        }
        let taken = self.flush();
        self.to = low;
        let lost = self.hand_over(true);
        taken.into_iter().chain([lost]).collect()
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
        Some(self.hand_over(false))
    }

    fn hand_over(&mut self, lost: bool) -> SourceEvent {
        let range = OffsetRange { from: self.from, to: self.to };
        self.from = self.to;
        // The next batch will be about as large.
        let (rows, bytes) = (self.records.len(), self.data.len());
        let batch = RawBatch {
            partition: self.partition.clone(),
            range,
            lost,
            records: std::mem::replace(&mut self.records, Vec::with_capacity(rows)),
            data: std::mem::replace(&mut self.data, Vec::with_capacity(bytes)),
        };
        SourceEvent::Batch { batch, generation: self.generation }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(offset: i64) -> Record<'static> {
        Record { offset, timestamp_ms: None, key: None, payload: Some(b"{}") }
    }

    /// Range, records, and whether it is lost.
    fn held(events: impl IntoIterator<Item = SourceEvent>) -> Vec<(i64, i64, usize, bool)> {
        let held = |event| match event {
            SourceEvent::Batch { batch, .. } => {
                (batch.range.from, batch.range.to, batch.records.len(), batch.lost)
            }
            other => panic!("{other:?}"),
        };
        events.into_iter().map(held).collect()
    }

    #[test]
    fn ranges_adjoin_over_gaps_and_losses() {
        let mut batch = OpenBatch::new(TopicPartition::new("t", 0), 3, 1);
        assert_eq!(held(batch.flush()), []);
        assert_eq!(held(batch.lose_up_to(7)), [(3, 7, 0, true)]);
        // From an earlier start.
        batch.push(&record(6));
        batch.push(&record(8));
        batch.advance(10);
        assert_eq!(held(batch.lose_up_to(12)), [(7, 10, 1, false), (10, 12, 0, true)]);
        batch.advance(11);
        assert_eq!(held(batch.lose_up_to(12)), []);
        assert_eq!(held(batch.flush()), []);
        batch.advance(14);
        assert_eq!(held(batch.flush()), [(12, 14, 0, false)]);
    }
}
