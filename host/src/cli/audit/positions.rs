//! No row without a record, and none twice: by position, where a table carries positions.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use anyhow::Result;

use crate::ledger::LedgerState;
use crate::ledger::entry::{Body, Entry, EntryNumber};
use crate::progress::{Accounting, OffsetRange, TopicPartition};
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

/// Every row's position must lie in what the entries up to the mark have covered; where no step of the layer, or of
/// those above it, makes rows, no position may come twice. `oldest` is the first entry that is still there.
pub async fn audit(
    sink: &str,
    storage: &DeltaStorage,
    table: &TableView,
    entries: &[Arc<Entry>],
    state: &LedgerState,
    oldest: EntryNumber,
    mark: EntryNumber,
) -> Result<Vec<String>> {
    let covered = covered(entries, oldest, mark);
    // Deleted rows are read too: what others rewrote may be there twice.
    let once = is_one_to_one(sink, entries, state) && table.files.iter().all(|file| file.deleted == 0);
    let mut seen: BTreeMap<TopicPartition, Offsets> = BTreeMap::new();
    let (mut unlisted, mut twice) = (Wrong::default(), Wrong::default());
    delta::positions(storage, table, |topic, partition, offset| {
        let at = TopicPartition::new(topic, partition);
        match covered.get(&at) {
            Some(range) if range.from <= offset && offset < range.to => {
                if once && !seen.entry(at).or_default().insert(offset) {
                    twice.add(topic, partition, offset);
                }
            }
            // Entries of partitions that nobody reads any more may have been swept.
            None if oldest > 0 => {}
            _ => unlisted.add(topic, partition, offset),
        }
    })
    .await?;
    let wrong = [unlisted.tell(sink, "are in no entry"), twice.tell(sink, "come twice")];
    Ok(wrong.into_iter().flatten().collect())
}

/// What each partition has been read of up to the mark; from its very beginning where entries were swept.
fn covered(
    entries: &[Arc<Entry>],
    oldest: EntryNumber,
    mark: EntryNumber,
) -> HashMap<TopicPartition, OffsetRange> {
    let mut covered: HashMap<TopicPartition, OffsetRange> = HashMap::new();
    for entry in entries.iter().filter(|entry| entry.number <= mark) {
        let Body::Epoch(epoch) = &entry.body else { continue };
        for task in &epoch.tasks {
            let from = if oldest == 0 { task.range.from } else { i64::MIN };
            let range =
                covered.entry(task.partition.clone()).or_insert(OffsetRange { from, to: task.range.to });
            range.to = task.range.to;
        }
    }
    covered
}

/// Whether each of the layer's rows is a record of its own. Side tables get a row for each step that a record fails.
fn is_one_to_one(sink: &str, entries: &[Arc<Entry>], state: &LedgerState) -> bool {
    let mut total = Accounting::default();
    for entry in entries {
        if let Body::Epoch(epoch) = &entry.body {
            epoch.tasks.iter().for_each(|task| total.add(&task.accounting));
        }
    }
    let mut layer = Some(sink);
    while let Some(name) = layer {
        let Some(parent) = state.configuration.layers.get(name) else { return false };
        let makes_rows =
            |counts: &crate::progress::LayerCounts| counts.steps.iter().any(|step| step.made > 0);
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
