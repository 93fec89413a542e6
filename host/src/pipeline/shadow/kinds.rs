//! Which differences of a batch are described: some of each kind, so that a frequent one leaves room for rare ones.

use std::collections::HashSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::comparison::{Difference, Fate, rule};
use super::verdict::Verdict;
use crate::plugin::StepOutcome;

/// Whether one more of a kind is to be shown.
pub type Wants<'a> = &'a dyn Fn(&str) -> bool;

/// Takes differences of a batch as long as more of their kind are wanted.
pub struct Selection<'a> {
    left: usize,
    wants: Wants<'a>,
    /// Kinds, by their hashes, of which no more are wanted: most rows of a batch may be of one.
    refused: HashSet<u64>,
}

/// Differences of one kind are alike for whoever reads them.
#[derive(Hash)]
struct Kind<'a> {
    verdict: Verdict,
    columns: &'a [usize],
    sides: [&'a str; 2],
}

impl<'a> Selection<'a> {
    /// At most `most`.
    pub fn new(most: usize, wants: Wants<'a>) -> Self {
        Self { left: most, wants, refused: HashSet::new() }
    }

    pub fn takes(&mut self, difference: &Difference, primary: &StepOutcome, shadow: &StepOutcome) -> bool {
        if self.left == 0 {
            return false;
        }
        let kind = Kind {
            verdict: difference.verdict,
            columns: &difference.columns,
            sides: [side(difference.primary, primary), side(difference.shadow, shadow)],
        };
        let mut hasher = DefaultHasher::new();
        kind.hash(&mut hasher);
        let hash = hasher.finish();
        if self.refused.contains(&hash) {
            return false;
        }
        let takes = (self.wants)(&kind.to_string());
        if takes {
            self.left -= 1;
        } else {
            self.refused.insert(hash);
        }
        takes
    }
}

fn side(fate: Fate, outcome: &StepOutcome) -> &str {
    match fate {
        Fate::Rejected(number) => rule(outcome.rejected.as_ref(), number).unwrap_or_default(),
        fate => fate.name(),
    }
}

impl fmt::Display for Kind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [primary, shadow] = self.sides;
        write!(f, "{} {:?} {primary} {shadow}", self.verdict.name(), self.columns)
    }
}
