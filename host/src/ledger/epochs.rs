//! A set of epoch numbers, as ranges: most epochs of a worker are entered one after the other.

use serde::{Deserialize, Serialize};

/// Inclusive ranges, ascending, never touching: one set has one form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EpochSet {
    ranges: Vec<(u64, u64)>,
}

impl EpochSet {
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    pub fn contains(&self, epoch: u64) -> bool {
        let above = self.ranges.partition_point(|(_, last)| *last < epoch);
        self.ranges.get(above).is_some_and(|(first, _)| *first <= epoch)
    }

    pub fn insert(&mut self, epoch: u64) {
        let above = self.ranges.partition_point(|(_, last)| *last < epoch);
        if self.ranges.get(above).is_some_and(|(first, _)| *first <= epoch) {
            return;
        }
        let mut inserted = (epoch, epoch);
        let mut replaced = above..above;
        if let Some((first, last)) = self.ranges.get(above)
            && epoch.checked_add(1) == Some(*first)
        {
            inserted.1 = *last;
            replaced.end += 1;
        }
        if let Some(below) = above.checked_sub(1)
            && let Some((first, last)) = self.ranges.get(below)
            && last.checked_add(1) == Some(epoch)
        {
            inserted.0 = *first;
            replaced.start = below;
        }
        self.ranges.splice(replaced, [inserted]);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn neighbours_become_one_range() {
        let mut set = EpochSet::default();
        for epoch in [5, 3, 4, u64::MAX, 0] {
            set.insert(epoch);
        }
        assert_eq!(set.ranges, [(0, 0), (3, 5), (u64::MAX, u64::MAX)]);
    }

    proptest! {
        #[test]
        fn it_is_a_set_whatever_the_order(epochs in proptest::collection::vec(0_u64..40, 0..60)) {
            let mut set = EpochSet::default();
            epochs.iter().for_each(|epoch| set.insert(*epoch));
            let expected: BTreeSet<u64> = epochs.iter().copied().collect();
            for epoch in 0..42 {
                prop_assert_eq!(set.contains(epoch), expected.contains(&epoch));
            }
            let mut sorted = EpochSet::default();
            expected.iter().for_each(|epoch| sorted.insert(*epoch));
            prop_assert_eq!(set, sorted);
        }
    }
}
