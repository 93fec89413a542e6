//! Entries at hand, so that the appliers of many sinks read each entry once.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::entry::{Body, Entry, EntryNumber};

/// Bounded by a count of files and tasks, which is what makes an entry large; the lowest entry goes first.
pub(super) struct EntryCache {
    entries: BTreeMap<EntryNumber, Arc<Entry>>,
    weight: usize,
    limit: usize,
}

impl EntryCache {
    pub fn new(limit: usize) -> Self {
        Self { entries: BTreeMap::new(), weight: 0, limit }
    }

    pub fn get(&self, number: EntryNumber) -> Option<Arc<Entry>> {
        self.entries.get(&number).cloned()
    }

    pub fn insert(&mut self, entry: Arc<Entry>) {
        let weight = weight(&entry);
        if weight > self.limit {
            return;
        }
        self.weight += weight;
        if let Some(replaced) = self.entries.insert(entry.number, entry) {
            self.weight -= self::weight(&replaced);
        }
        while self.weight > self.limit
            && let Some((_, lowest)) = self.entries.pop_first()
        {
            self.weight -= self::weight(&lowest);
        }
    }
}

fn weight(entry: &Entry) -> usize {
    1 + match &entry.body {
        Body::Genesis(_) | Body::Configure(_) => 0,
        Body::Epoch(epoch) => {
            epoch.tasks.len() + epoch.sinks.values().map(|sink| sink.files.len()).sum::<usize>()
        }
        Body::Sweep(sweep) => sweep.condemned.len(),
    }
}
