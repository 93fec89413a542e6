//! No row without a record, and none twice: by position, where a table carries positions.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use anyhow::Result;

use crate::ledger::entry::{Body, Entry, EntryNumber};
use crate::progress::{Accounting, LayerCounts, OffsetRange, TopicPartition};
use crate::sink::delta::{self, DeltaStorage, TableView};

/// Offsets of a partition, a bit each.
#[derive(Default)]
struct Offsets {
    chunks: HashMap<i64, Box<[u64; CHUNK_WORDS]>>,
}

const CHUNK_WORDS: usize = 1024;
const CHUNK_BITS: i64 = 64 * CHUNK_WORDS as i64;

impl Offsets {
    /// Whether it was not there before.
    fn insert(&mut self, offset: i64) -> bool {
        let chunk =
            self.chunks.entry(offset.div_euclid(CHUNK_BITS)).or_insert_with(|| Box::new([0; CHUNK_WORDS]));
        let bit = offset.rem_euclid(CHUNK_BITS) as usize;
        let word = &mut chunk[bit / 64];
        let is_new = *word & (1 << (bit % 64)) == 0;
        *word |= 1 << (bit % 64);
        is_new
    }
}

/// Rows that should not be: how many, and the first of them.
#[derive(Default)]
struct Wrong {
    rows: u64,
    first: Option<(TopicPartition, i64)>,
}

impl Wrong {
    fn add(&mut self, topic: &str, partition: i32, offset: i64) {
        self.rows += 1;
        self.first.get_or_insert_with(|| (TopicPartition::new(topic, partition), offset));
    }

    fn tell(&self, sink: &str, what: &str) -> Option<String> {
        let (partition, offset) = self.first.as_ref()?;
        Some(format!("{sink}: {} rows {what}, the first of {partition} at offset {offset}", self.rows))
    }
}

/// What the entries up to a mark have read.
pub struct Covered {
    ranges: HashMap<TopicPartition, OffsetRange>,
    /// Old entries were swept, and with them perhaps all of a partition that nobody reads any more.
    is_partial: bool,
}

/// From the very beginning of a partition where entries before `oldest` were swept.
pub fn covered(entries: &[Arc<Entry>], oldest: EntryNumber, mark: EntryNumber) -> Covered {
    let is_partial = oldest > 0;
    let mut ranges: HashMap<TopicPartition, OffsetRange> = HashMap::new();
    for entry in entries.iter().filter(|entry| entry.number <= mark) {
        let Body::Epoch(epoch) = &entry.body else { continue };
        for task in &epoch.tasks {
            let from = if is_partial { i64::MIN } else { task.range.from };
            let first = OffsetRange { from, to: task.range.to };
            ranges.entry(task.partition.clone()).or_insert(first).to = task.range.to;
        }
    }
    Covered { ranges, is_partial }
}

/// Every row's position must be covered and, with `once`, come once.
pub async fn audit(
    sink: &str,
    storage: &DeltaStorage,
    table: &TableView,
    covered: &Covered,
    once: bool,
) -> Result<Vec<String>> {
    // Deleted rows are read too: what others rewrote may be there twice.
    let once = once && table.files.iter().all(|file| file.deleted == 0);
    let mut seen: HashMap<TopicPartition, Offsets> = HashMap::new();
    let (mut unlisted, mut twice) = (Wrong::default(), Wrong::default());
    let mut at = TopicPartition::new("", 0);
    delta::positions(storage, table, |topic, partition, offset| {
        // Rows of one partition mostly follow each other.
        if *at.topic != *topic || at.partition != partition {
            at = TopicPartition::new(topic, partition);
        }
        match covered.ranges.get(&at) {
            Some(range) if range.from <= offset && offset < range.to => {
                if once && !seen.entry(at.clone()).or_default().insert(offset) {
                    twice.add(topic, partition, offset);
                }
            }
            None if covered.is_partial => {}
            _ => unlisted.add(topic, partition, offset),
        }
    })
    .await?;
    let wrong = [unlisted.tell(sink, "are in no entry"), twice.tell(sink, "come twice")];
    Ok(wrong.into_iter().flatten().collect())
}

/// Whether each of the layer's rows is a record of its own: no step of it, or of those above it, makes rows. Side
/// tables get a row for each step that a record fails.
pub fn is_one_to_one(sink: &str, total: &Accounting, parents: &BTreeMap<String, Option<String>>) -> bool {
    let makes_rows = |counts: &LayerCounts| counts.steps.iter().any(|step| step.made > 0);
    let mut layer = Some(sink);
    while let Some(name) = layer {
        let Some(parent) = parents.get(name) else { return false };
        if total.layers.get(name).is_some_and(makes_rows) {
            return false;
        }
        layer = parent.as_deref();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_new_once() {
        let mut offsets = Offsets::default();
        for offset in [0, 63, 64, CHUNK_BITS - 1, CHUNK_BITS, 1 << 40, -1] {
            assert!(offsets.insert(offset), "{offset}");
            assert!(!offsets.insert(offset), "{offset}");
        }
    }
}
