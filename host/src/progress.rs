//! Offsets, ranges and the accounting of rows. Pure values with an algebra; nothing but `std` and serde.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// One partition of a topic: what a task owns.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TopicPartition {
    pub topic: Arc<str>,
    pub partition: i32,
}

impl TopicPartition {
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

/// A half-open range of offsets, `[from, to)`. Not every offset in it need hold a record: compaction
/// and transactions leave gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffsetRange {
    pub from: i64,
    pub to: i64,
}

impl OffsetRange {
    /// The range before anything was read at `offset`.
    pub fn empty_at(offset: i64) -> Self {
        Self { from: offset, to: offset }
    }

    pub fn is_empty(&self) -> bool {
        self.from >= self.to
    }

    /// How many offsets there are, records or not.
    pub fn length(&self) -> u64 {
        self.to.saturating_sub(self.from).max(0).cast_unsigned()
    }

    /// Both ranges as one, if `next` starts where `self` ends.
    pub fn then(self, next: Self) -> Option<Self> {
        (self.to == next.from && next.from <= next.to).then_some(Self { from: self.from, to: next.to })
    }
}

impl fmt::Display for OffsetRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.from, self.to)
    }
}

/// What became of the rows that entered one step. `BTreeMap`s are keyed by rule name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepCounts {
    pub rows_in: u64,
    /// Rows that went on as themselves.
    pub kept: u64,
    pub dropped: u64,
    /// Behind the watermark at their own offset; only steps that aggregate set rows aside for that.
    pub late: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rejected: BTreeMap<String, u64>,
    /// Rows that broke the plugin (trap, time-out, memory) or got a `data` error.
    pub failed: u64,
    /// Rows taken into new rows: by an aggregate, or by a step that gives back whole batches.
    pub consumed: u64,
    /// New rows that came out.
    pub made: u64,
}

impl StepCounts {
    pub fn rejected_total(&self) -> u64 {
        self.rejected.values().sum()
    }

    pub fn rows_out(&self) -> u64 {
        self.kept + self.made
    }

    /// Every row that came in has exactly one fate.
    pub fn balances(&self) -> bool {
        self.rows_in
            == self.kept + self.dropped + self.late + self.rejected_total() + self.failed + self.consumed
    }

    pub fn add(&mut self, other: &Self) {
        self.rows_in += other.rows_in;
        self.kept += other.kept;
        self.dropped += other.dropped;
        self.late += other.late;
        for (rule, rows) in &other.rejected {
            *self.rejected.entry(rule.clone()).or_default() += rows;
        }
        self.failed += other.failed;
        self.consumed += other.consumed;
        self.made += other.made;
    }
}

/// What became of the rows that entered one layer, step by step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerCounts {
    pub rows_in: u64,
    pub steps: Vec<StepCounts>,
    /// Rows handed to the layer's sink and to the layers below.
    pub rows_out: u64,
}

impl LayerCounts {
    pub fn add(&mut self, other: &Self) {
        self.rows_in += other.rows_in;
        self.rows_out += other.rows_out;
        if self.steps.len() < other.steps.len() {
            self.steps.resize_with(other.steps.len(), StepCounts::default);
        }
        for (mine, theirs) in self.steps.iter_mut().zip(&other.steps) {
            mine.add(theirs);
        }
    }

    fn imbalance(&self) -> Option<String> {
        let mut rows = self.rows_in;
        for (index, step) in self.steps.iter().enumerate() {
            if step.rows_in != rows {
                return Some(format!("step {index} got {} rows of {rows}", step.rows_in));
            }
            if !step.balances() {
                return Some(format!("step {index} does not balance: {step:?}"));
            }
            rows = step.rows_out();
        }
        (rows != self.rows_out).then(|| format!("{rows} rows left the steps, {} were written", self.rows_out))
    }
}

/// The accounting of one range of one partition: each record and each row has exactly one fate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accounting {
    /// Records in the range (at most its length: see [`OffsetRange`]).
    pub records: u64,
    /// Records that could not be decoded.
    pub dead_letters: u64,
    /// Offsets in the range that the broker deleted before they were read.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost: u64,
    pub layers: BTreeMap<String, LayerCounts>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Accounting {
    pub fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.dead_letters += other.dead_letters;
        self.lost += other.lost;
        for (layer, counts) in &other.layers {
            self.layers.entry(layer.clone()).or_default().add(counts);
        }
    }

    /// Whether a range can hold what is counted: each offset holds one record at most, and is lost or not.
    pub fn fits(&self, range: OffsetRange) -> bool {
        self.records.checked_add(self.lost).is_some_and(|counted| counted <= range.length())
    }

    /// Says what does not balance. `parents` names for each layer the layer it reads from, or `None`
    /// where it reads the decoded records.
    pub fn imbalance(&self, parents: &BTreeMap<String, Option<String>>) -> Option<String> {
        let decoded = self.records.checked_sub(self.dead_letters);
        for (layer, counts) in &self.layers {
            let expected = match parents.get(layer) {
                None => return Some(format!("layer `{layer}` is not in the pipeline")),
                Some(None) => decoded,
                Some(Some(parent)) => Some(self.layers.get(parent).map_or(0, |counts| counts.rows_out)),
            };
            if expected != Some(counts.rows_in) {
                return Some(format!("layer `{layer}` got {} rows of {expected:?}", counts.rows_in));
            }
            if let Some(what) = counts.imbalance() {
                return Some(format!("layer `{layer}`: {what}"));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(rows_in: u64, kept: u64) -> Accounting {
        let step = StepCounts { rows_in, kept, dropped: rows_in - kept, ..StepCounts::default() };
        let layer = LayerCounts { rows_in, steps: vec![step], rows_out: kept };
        Accounting {
            records: rows_in,
            layers: [("bronze".to_owned(), layer)].into(),
            ..Accounting::default()
        }
    }

    #[test]
    fn adjoining_ranges_join_and_others_do_not() {
        let range = OffsetRange { from: 3, to: 7 };
        assert_eq!(range.then(OffsetRange { from: 7, to: 9 }), Some(OffsetRange { from: 3, to: 9 }));
        assert_eq!(range.then(OffsetRange { from: 8, to: 9 }), None);
        assert_eq!(range.then(OffsetRange { from: 7, to: 6 }), None);
        assert!(OffsetRange::empty_at(4).is_empty());
    }

    #[test]
    fn a_range_holds_no_more_than_its_offsets() {
        let range = OffsetRange { from: 3, to: 7 };
        let counted = |records, lost| Accounting { records, lost, ..Accounting::default() };
        assert!(counted(4, 0).fits(range) && counted(1, 3).fits(range) && counted(0, 0).fits(range));
        assert!(!counted(2, 3).fits(range));
        assert!(!counted(5, 0).fits(range));
    }

    #[test]
    fn a_lost_row_is_an_imbalance() {
        let parents = [("bronze".to_owned(), None)].into();
        let mut accounting = filtered(10, 4);
        accounting.add(&filtered(5, 5));
        assert_eq!(accounting.imbalance(&parents), None);
        for layer in accounting.layers.values_mut() {
            layer.steps[0].dropped -= 1;
        }
        assert!(accounting.imbalance(&parents).is_some());
    }
}
