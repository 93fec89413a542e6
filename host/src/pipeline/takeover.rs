//! Who applies: one worker at a time, so that commits do not multiply with workers, and somebody else when
//! that one does not. Only a matter of economy: two appliers at once cost a lost commit, no row.

use std::time::Duration;

use crate::ledger::entry::EntryNumber;

/// One worker's view of one sink that it may have to apply.
#[derive(Debug, Clone)]
pub struct Takeover {
    patience: Duration,
    longest: Duration,
    waiting: Option<Waiting>,
    /// Times that this worker stepped in since the mark last moved without it.
    stepped_in: u32,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    mark: EntryNumber,
    until_ms: i64,
}

/// What a worker sees when it wonders whether to apply.
#[derive(Debug, Clone, Copy)]
pub struct Sighting {
    pub now_ms: i64,
    /// The sink's mark.
    pub mark: EntryNumber,
    /// Whether the ledger holds rows that the sink lacks.
    pub is_behind: bool,
    /// Whether this worker is the one to apply: it owns the lowest partition.
    pub is_applier: bool,
    /// Random, in `[0, 1)`.
    pub chance: f64,
}

impl Takeover {
    /// Others wait between `patience` and twice that, doubled each time they stepped in, up to `longest`.
    pub fn new(patience: Duration, longest: Duration) -> Self {
        Self { patience, longest, waiting: None, stepped_in: 0 }
    }

    /// Whether to apply now.
    pub fn should_apply(&mut self, seen: Sighting) -> bool {
        if !seen.is_behind || seen.is_applier {
            self.waiting = None;
            self.stepped_in = 0;
            return seen.is_behind;
        }
        match self.waiting {
            Some(waiting) if waiting.mark == seen.mark => {
                if seen.now_ms < waiting.until_ms {
                    return false;
                }
                self.stepped_in = self.stepped_in.saturating_add(1);
                self.wait(seen);
                true
            }
            moved => {
                if moved.is_some() {
                    self.stepped_in = 0;
                }
                self.wait(seen);
                false
            }
        }
    }

    fn wait(&mut self, seen: Sighting) {
        let grown = self.patience.saturating_mul(1 << self.stepped_in.min(31)).min(self.longest);
        let wait = grown.mul_f64(1.0 + seen.chance.clamp(0.0, 1.0));
        let wait_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
        self.waiting = Some(Waiting { mark: seen.mark, until_ms: seen.now_ms.saturating_add(wait_ms) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idle(now_ms: i64, mark: EntryNumber) -> Sighting {
        Sighting { now_ms, mark, is_behind: true, is_applier: false, chance: 0.5 }
    }

    fn takeover() -> Takeover {
        Takeover::new(Duration::from_millis(100), Duration::from_millis(400))
    }

    #[test]
    fn the_applier_applies_at_once_and_only_what_is_missing() {
        let mut takeover = takeover();
        assert!(takeover.should_apply(Sighting { is_applier: true, ..idle(0, 1) }));
        assert!(!takeover.should_apply(Sighting { is_applier: true, is_behind: false, ..idle(0, 1) }));
    }

    #[test]
    fn others_step_in_when_the_mark_stands_still_and_ever_more_rarely() {
        let mut takeover = takeover();
        let steps: Vec<i64> = (0..2_000).filter(|now| takeover.should_apply(idle(*now, 1))).collect();
        assert_eq!(steps, [150, 450, 1_050, 1_650]);
    }

    #[test]
    fn a_mark_that_moves_is_left_alone() {
        let mut takeover = takeover();
        assert!((0..2_000).all(|now| !takeover.should_apply(idle(now, now as u64 / 100))));
    }

    #[test]
    fn two_workers_do_not_wait_alike() {
        let (mut first, mut second) = (takeover(), takeover());
        let step = |takeover: &mut Takeover, chance| {
            (0..).find(|now| takeover.should_apply(Sighting { chance, ..idle(*now, 1) }))
        };
        assert_ne!(step(&mut first, 0.1), step(&mut second, 0.9));
    }
}
