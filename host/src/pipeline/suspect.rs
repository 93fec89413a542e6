//! The search for the record that breaks a stateful step.
//!
//! Its state goes with its instance, so nothing can be tried again in place: after each break the task is
//! restored from the ledger. The records before the suspects get an entry of their own, then the first half
//! of the suspects is tried, and so on, until a record that stands alone breaks the step. Its rows then go
//! around the step, which an entry says like any other fate of rows.

use super::task::{TaskError, TaskFault};
use crate::plugin::StepError;
use crate::progress::OffsetRange;

/// Records of a task that are taken through the layers by themselves, in an epoch of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspect {
    pub range: OffsetRange,
    /// The end of the records that broke the step together: if these do not, the rest of them is to blame.
    until: i64,
    /// The steps that its record breaks, once it is alone.
    bypasses: Vec<Bypass>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Bypass {
    layer: String,
    step: String,
    reason: String,
}

impl Suspect {
    /// What to try next, after `before` (if anything) was tried. `None` if no record is to blame: the step
    /// breaks without rows as well, or not on rows at all.
    pub fn after(before: Option<&Self>, error: &TaskError) -> Option<Self> {
        let TaskFault::Step(StepError::Broken { at, what }) = error.fault.as_ref() else { return None };
        let OffsetRange { from, to } = error.range;
        let alone = before.filter(|before| before.range == error.range && to - from == 1);
        let Some(alone) = alone else {
            let half = from + (to - from + 1) / 2;
            let range = OffsetRange { from, to: half };
            return (from < to).then(|| Self { range, until: to, bypasses: Vec::new() });
        };
        if alone.bypass(&at.layer, &at.step).is_some() {
            return None;
        }
        let mut next = alone.clone();
        next.bypasses.push(Bypass {
            layer: at.layer.to_string(),
            step: at.step.to_string(),
            reason: what.clone(),
        });
        Some(next)
    }

    /// Whom to suspect once the task has come to `position` unharmed.
    pub fn passed(self, position: i64) -> Option<Self> {
        if position < self.range.to {
            return Some(self);
        }
        let range = OffsetRange { from: position, to: self.until };
        (!range.is_empty()).then(|| Self { range, until: self.until, bypasses: Vec::new() })
    }

    /// Where a batch of this range is to be divided, so that the suspects are apart from the others.
    pub fn divides(&self, batch: OffsetRange) -> Option<i64> {
        [self.range.from, self.range.to].into_iter().find(|offset| batch.from < *offset && *offset < batch.to)
    }

    /// Whether a batch of this range holds suspects, and nothing else.
    pub fn covers(&self, batch: OffsetRange) -> bool {
        self.range.from <= batch.from && batch.to <= self.range.to
    }

    /// Whether it is one record, and a batch of this range has it alone: what comes before it is entered.
    pub fn isolates(&self, batch: OffsetRange) -> bool {
        self.range == batch && batch.length() == 1
    }

    /// Why the rows go around a step, if they do.
    pub fn bypass(&self, layer: &str, step: &str) -> Option<&str> {
        let bypass = self.bypasses.iter().find(|bypass| bypass.layer == layer && bypass.step == step);
        bypass.map(|bypass| bypass.reason.as_str())
    }

    pub fn is_found(&self) -> bool {
        !self.bypasses.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::At;
    use crate::progress::TopicPartition;

    fn broken(step: &str, from: i64, to: i64) -> TaskError {
        let at = At { layer: "gold".into(), step: step.into(), plugin: "p".into() };
        TaskError {
            partition: TopicPartition::new("t", 0),
            range: OffsetRange { from, to },
            fault: Box::new(StepError::Broken { at, what: "it trapped".to_owned() }.into()),
        }
    }

    /// Breaks on the one record, as a task does that is divided as the suspect says.
    fn rounds_to_find(culprit: i64, from: i64, to: i64) -> usize {
        let (mut position, mut suspect, mut rounds) = (from, None::<Suspect>, 0);
        loop {
            let end = suspect.as_ref().map_or(to, |suspect| suspect.range.to);
            if (position..end).contains(&culprit) {
                suspect = Suspect::after(suspect.as_ref(), &broken("count", position, end));
                rounds += 1;
                let next = suspect.as_ref().expect("a record is to blame");
                if next.is_found() {
                    assert_eq!(next.range, OffsetRange { from: culprit, to: culprit + 1 });
                    return rounds;
                }
            } else {
                (position, suspect) = (end, suspect.and_then(|suspect| suspect.passed(end)));
            }
        }
    }

    #[test]
    fn a_record_is_found_in_few_rounds_wherever_it_is() {
        for culprit in 100..164 {
            let rounds = rounds_to_find(culprit, 100, 164);
            assert!(rounds <= 8, "{rounds} to find {culprit}");
        }
        assert_eq!(
            rounds_to_find(100, 100, 101),
            2,
            "once with its neighbours' state, once on a restored one"
        );
    }

    #[test]
    fn a_record_that_is_alone_goes_around_each_step_that_it_breaks_and_no_further() {
        let alone = Suspect::after(None, &broken("count", 7, 8)).expect("one record");
        assert!(!alone.is_found(), "it is tried on a restored state first");
        let first = Suspect::after(Some(&alone), &broken("count", 7, 8)).expect("one record");
        assert_eq!(first.bypass("gold", "count"), Some("it trapped"));
        let second = Suspect::after(Some(&first), &broken("sum", 7, 8)).expect("another step");
        assert!(second.bypass("gold", "count").is_some() && second.bypass("gold", "sum").is_some());
        assert_eq!(Suspect::after(Some(&second), &broken("sum", 7, 8)), None, "it breaks without rows too");
        assert_eq!(Suspect::after(None, &broken("count", 7, 7)), None, "there are no records to blame");
    }

    #[test]
    fn where_all_suspects_pass_one_by_one_nobody_is_suspected_any_more() {
        let first = Suspect::after(None, &broken("count", 10, 20)).expect("ten records");
        assert_eq!(first.clone().passed(12).as_ref(), Some(&first));
        let second = first.passed(15).expect("the other half");
        assert_eq!(second.range, OffsetRange { from: 15, to: 20 });
        assert_eq!(second.passed(20), None);
    }

    #[test]
    fn batches_are_divided_at_both_ends_of_the_suspects() {
        let suspect = Suspect::after(None, &broken("count", 10, 20)).expect("ten records");
        let range = |from, to| OffsetRange { from, to };
        assert_eq!(suspect.range, range(10, 15));
        assert_eq!(suspect.divides(range(5, 30)), Some(10));
        assert_eq!(suspect.divides(range(10, 30)), Some(15));
        assert_eq!(suspect.divides(range(15, 30)), None);
        assert!(suspect.covers(range(10, 12)) && !suspect.covers(range(9, 11)));
    }
}
