//! Which values were the most frequent, without counting all of them.

use std::collections::{BTreeSet, HashMap};

use sluicebox_plugin::Key;

use crate::varint;

/// The Space-Saving summary (Metwally, Agrawal and El Abbadi, 2005) of a fixed number of counters: a value without one
/// takes over the counter of the rarest.
///
/// With m counters and n values: a count is never too small, and too large by at most its `error`, which is at most n/m; a
/// value that occurred more than n/m times has a counter. As long as there were no more than m different values, all
/// counts are exact. Merging keeps these bounds (Agarwal and others, "Mergeable summaries", 2012).
#[derive(Clone, Debug, PartialEq)]
pub struct HeavyHitters {
    capacity: usize,
    counters: HashMap<Key, Counter>,
    /// By count, then by value: so it is the values alone that say which counter goes.
    order: BTreeSet<(u64, Key)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    pub count: u64,
    /// How much of the count other values may have brought.
    pub error: u64,
}

impl HeavyHitters {
    /// `capacity`: the number of counters, at least 1.
    pub fn new(capacity: usize) -> HeavyHitters {
        HeavyHitters { capacity: capacity.max(1), counters: HashMap::new(), order: BTreeSet::new() }
    }

    pub fn add(&mut self, value: &[u8]) {
        if let Some((key, counter)) = self.counters.get_key_value(value) {
            let (key, Counter { count, error }) = (key.clone(), *counter);
            self.order.remove(&(count, key.clone()));
            self.set(key, Counter { count: count.saturating_add(1), error });
            return;
        }
        let taken_over = if self.counters.len() < self.capacity { 0 } else { self.remove_rarest() };
        self.set(Key::from(value), Counter { count: taken_over.saturating_add(1), error: taken_over });
    }

    pub fn merge(&mut self, other: &HeavyHitters) {
        let (own_unseen, other_unseen) = (self.count_of_unseen(), other.count_of_unseen());
        let mut merged: HashMap<Key, Counter> = HashMap::new();
        for (key, own) in &self.counters {
            let theirs = other.counter(key, other_unseen);
            merged.insert(key.clone(), own.plus(theirs));
        }
        for (key, theirs) in &other.counters {
            let own = self.counter(key, own_unseen);
            merged.entry(key.clone()).or_insert_with(|| theirs.plus(own));
        }
        self.order = merged.iter().map(|(key, counter)| (counter.count, key.clone())).collect();
        self.counters = merged;
        while self.counters.len() > self.capacity {
            self.remove_rarest();
        }
    }

    /// The `k` values with the largest counts, the largest first; of equal counts the larger value.
    pub fn top(&self, k: usize) -> Vec<(&Key, Counter)> {
        let counter = |(_, key): &'_ (u64, Key)| self.counters.get(key).copied();
        self.order.iter().rev().take(k).filter_map(|entry| Some((&entry.1, counter(entry)?))).collect()
    }

    fn set(&mut self, key: Key, counter: Counter) {
        self.order.insert((counter.count, key.clone()));
        self.counters.insert(key, counter);
    }

    fn remove_rarest(&mut self) -> u64 {
        let Some((count, key)) = self.order.pop_first() else { return 0 };
        self.counters.remove(&key);
        count
    }

    /// How often a value without a counter may have occurred.
    fn count_of_unseen(&self) -> u64 {
        let rarest = || self.order.first().map_or(0, |(count, _)| *count);
        if self.counters.len() < self.capacity { 0 } else { rarest() }
    }

    fn counter(&self, key: &Key, unseen: u64) -> Counter {
        self.counters.get(key).copied().unwrap_or(Counter { count: unseen, error: unseen })
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (count, key) in &self.order {
            let error = self.counters.get(key).map_or(0, |counter| counter.error);
            varint::put(*count, &mut bytes);
            varint::put(error, &mut bytes);
            varint::put(key.as_bytes().len() as u64, &mut bytes);
            bytes.extend_from_slice(key.as_bytes());
        }
        bytes
    }

    /// `None` for bytes that `to_bytes` does not give with that capacity.
    pub fn from_bytes(mut bytes: &[u8], capacity: usize) -> Option<HeavyHitters> {
        let mut read = HeavyHitters::new(capacity);
        while !bytes.is_empty() {
            let (count, error) = (varint::take(&mut bytes)?, varint::take(&mut bytes)?);
            let length = usize::try_from(varint::take(&mut bytes)?).ok()?;
            let (key, rest) = bytes.split_at_checked(length)?;
            bytes = rest;
            if error > count || read.counters.len() == read.capacity || read.counters.contains_key(key) {
                return None;
            }
            read.set(Key::from(key), Counter { count, error });
        }
        Some(read)
    }
}

impl Counter {
    fn plus(self, other: Counter) -> Counter {
        let count = self.count.saturating_add(other.count);
        Counter { count, error: self.error.saturating_add(other.error) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CAPACITY: usize = 8;

    fn sketch(values: &[u8]) -> HeavyHitters {
        let mut sketch = HeavyHitters::new(CAPACITY);
        values.iter().for_each(|value| sketch.add(&[*value]));
        sketch
    }

    fn occurrences(values: &[u8]) -> HashMap<u8, u64> {
        values.iter().fold(HashMap::new(), |mut counts, value| {
            *counts.entry(*value).or_default() += 1;
            counts
        })
    }

    /// What the summary promises of the values that it was given.
    fn check(sketch: &HeavyHitters, values: &[u8]) -> Result<(), TestCaseError> {
        let (truth, bound) = (occurrences(values), (values.len() / CAPACITY) as u64);
        let top = sketch.top(CAPACITY);
        for (key, Counter { count, error }) in &top {
            let exact = truth.get(&key.as_bytes()[0]).copied().unwrap_or(0);
            prop_assert!(
                *count >= exact && count - error <= exact,
                "{exact} is not {count} less up to {error}"
            );
            prop_assert!(*error <= bound);
        }
        for (value, count) in truth.iter().filter(|(_, count)| **count > bound) {
            prop_assert!(
                top.iter().any(|(key, _)| key.as_bytes() == [*value]),
                "{value} occurred {count} times"
            );
        }
        if truth.len() <= CAPACITY {
            prop_assert!(top.iter().all(|(_, counter)| counter.error == 0) && top.len() == truth.len());
        }
        prop_assert!(top.is_sorted_by(|a, b| a.1.count >= b.1.count));
        Ok(())
    }

    fn values() -> impl Strategy<Value = Vec<u8>> {
        let value = prop_oneof![0..4u8, 0..30u8];
        prop::collection::vec(value, 0..200)
    }

    proptest! {
        #[test]
        fn counts_are_within_their_errors(values in values()) {
            check(&sketch(&values), &values)?;
        }

        #[test]
        fn merging_keeps_the_bounds(parts in prop::collection::vec(values(), 1..4)) {
            let mut merged = HeavyHitters::new(CAPACITY);
            parts.iter().for_each(|part| merged.merge(&sketch(part)));
            check(&merged, &parts.concat())?;
        }

        #[test]
        fn storing_changes_nothing(before in values(), after in values()) {
            let mut stored = HeavyHitters::from_bytes(&sketch(&before).to_bytes(), CAPACITY).unwrap();
            let mut kept = sketch(&before);
            for value in after {
                stored.add(&[value]);
                kept.add(&[value]);
            }
            prop_assert_eq!(stored, kept);
        }

        #[test]
        fn foreign_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Some(sketch) = HeavyHitters::from_bytes(&bytes, CAPACITY) {
                prop_assert!(sketch.top(100).len() <= CAPACITY);
            }
        }
    }
}
