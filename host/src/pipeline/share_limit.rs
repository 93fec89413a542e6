//! Steps of which too many rows come to no good stop the pipeline, rather than hide it.

use std::collections::BTreeMap;

use super::tree::LayerTree;
use super::worker::WorkerError;
use crate::progress::{Accounting, StepCounts};

/// The share of a step's rows that may come to something.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShareLimit {
    pub max_share: f64,
    /// Rows that the step must have seen before its share counts.
    pub min_rows: u64,
}

impl ShareLimit {
    fn is_exceeded(&self, count: u64, rows: u64) -> bool {
        rows >= self.min_rows && count as f64 > self.max_share * rows as f64
    }
}

/// Judges every step by all that it did: `failures` holds for each, how much may be rejected its own limit says.
pub fn check(accounting: &Accounting, failures: ShareLimit, tree: &LayerTree) -> Result<(), WorkerError> {
    for (layer, counts) in &accounting.layers {
        let spec = tree.layers.iter().find(|spec| spec.name == *layer);
        for (index, counts) in counts.steps.iter().enumerate() {
            let StepCounts { rows_in: rows, failed, ref rejected, .. } = *counts;
            // The check of keys is a step that is none of the file's.
            let step = spec.and_then(|spec| spec.steps.get(index));
            let named =
                || (layer.clone(), step.map_or_else(|| format!("#{}", index + 1), |step| step.name.clone()));
            if failures.is_exceeded(failed, rows) {
                let (layer, step) = named();
                return Err(WorkerError::TooManyFailures { layer, step, failed, rows });
            }
            let total = counts.rejected_total();
            if step.is_some_and(|step| step.rejections.is_exceeded(total, rows)) {
                let (layer, step) = named();
                let rules = by_rule(rejected);
                return Err(WorkerError::TooManyRejections { layer, step, rejected: total, rows, rules });
            }
        }
    }
    Ok(())
}

/// How much each step of each layer may reject.
pub fn limits(tree: &LayerTree) -> Vec<(&str, &str, ShareLimit)> {
    let steps = tree.layers.iter().flat_map(|layer| layer.steps.iter().map(move |step| (layer, step)));
    steps.map(|(layer, step)| (layer.name.as_str(), step.name.as_str(), step.rejections)).collect()
}

/// The most frequent first.
fn by_rule(rejected: &BTreeMap<String, u64>) -> String {
    const SHOWN: usize = 5;
    let mut rules: Vec<_> = rejected.iter().collect();
    rules.sort_by_key(|(_, rows)| std::cmp::Reverse(**rows));
    let shown = rules.iter().take(SHOWN).map(|(rule, rows)| format!("{rule} {rows}"));
    let more = rules.len().saturating_sub(SHOWN);
    let more = (more > 0).then(|| format!("{more} other rules"));
    shown.chain(more).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_judged_above_its_limit_and_not_before_enough_rows() {
        let limit = ShareLimit { max_share: 0.5, min_rows: 10 };
        assert!(limit.is_exceeded(6, 10));
        assert!(!limit.is_exceeded(5, 10));
        assert!(!limit.is_exceeded(9, 9));
        assert!(!ShareLimit { max_share: 1.0, min_rows: 0 }.is_exceeded(10, 10));
    }

    #[test]
    fn rules_are_told_by_how_often_they_refused() {
        let rejected = (0..7).map(|rule| (format!("r{rule}"), rule * 10)).collect();
        assert_eq!(by_rule(&rejected), "r6 60, r5 50, r4 40, r3 30, r2 20, 2 other rules");
    }
}
