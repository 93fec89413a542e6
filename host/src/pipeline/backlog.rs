//! What the sinks lack of the ledger: how much it is, and how long it has been missing.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::{Duration, Instant};

use crate::ledger::entry::{Body, Entry, EntryNumber, SinkEntry};
use crate::ledger::{Ledger, LedgerError};

/// Entries that are read from the ledger at once.
const READ_AHEAD: u64 = 64;

/// What one sink lacks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    pub entries: u64,
    /// Of the entries' data files.
    pub bytes: u64,
    /// How long ago this worker saw the oldest of the entries first: a worker that starts gives the sink its time.
    pub age: Duration,
}

/// How far a sink may fall behind the ledger.
#[derive(Debug, Clone, Copy)]
pub struct BacklogLimits {
    /// Beyond any of these three the source is held.
    pub entries: u64,
    pub bytes: u64,
    pub age: Duration,
    /// Beyond this age the pipeline stops.
    pub stop_after: Duration,
}

impl BacklogLimits {
    pub fn hold(&self, backlog: &Backlog) -> bool {
        backlog.entries > self.entries || backlog.bytes > self.bytes || backlog.age > self.age
    }

    pub fn stop(&self, backlog: &Backlog) -> bool {
        backlog.age > self.stop_after
    }
}

impl fmt::Display for Backlog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { entries, bytes, age } = self;
        write!(f, "{entries} entries ({bytes} bytes) behind the ledger, for {} s", age.as_secs())
    }
}

/// The entries that some sink lacks, as this worker came to know them.
#[derive(Debug, Default)]
pub(super) struct Backlogs {
    entries: VecDeque<Missing>,
    /// The last entry that was taken in.
    known: EntryNumber,
}

#[derive(Debug)]
struct Missing {
    number: EntryNumber,
    seen_at: Instant,
    /// By sink, of those that get files.
    bytes: BTreeMap<String, u64>,
}

impl Missing {
    fn of(entry: &Entry, seen_at: Instant) -> Self {
        let sinks = match &entry.body {
            Body::Epoch(epoch) => &epoch.sinks,
            Body::Genesis(_) | Body::Configure(_) | Body::Sweep(_) => &BTreeMap::new(),
        };
        let bytes = |part: &SinkEntry| part.files.iter().map(|file| file.size).sum();
        let bytes = sinks.iter().map(|(sink, part)| (sink.clone(), bytes(part))).collect();
        Self { number: entry.number, seen_at, bytes }
    }
}

impl Backlogs {
    /// Takes in what the worker's handle knows of the ledger, and lets go of what every sink holds: the entries
    /// up to `applied`.
    pub async fn follow(&mut self, ledger: &Ledger, applied: EntryNumber) -> Result<(), LedgerError> {
        while self.entries.front().is_some_and(|missing| missing.number <= applied) {
            self.entries.pop_front();
        }
        self.known = self.known.max(applied);
        let tail = ledger.state().number;
        while self.known < tail {
            let to = tail.min(self.known + READ_AHEAD);
            let entries = ledger.read(self.known + 1..=to).await?;
            let seen_at = Instant::now();
            self.entries.extend(entries.iter().map(|entry| Missing::of(entry, seen_at)));
            self.known = to;
        }
        Ok(())
    }

    /// What the sink lacks that holds the entries up to `applied`.
    pub fn of(&self, sink: &str, applied: EntryNumber, now: Instant) -> Backlog {
        let mut missing = self.entries.iter().filter(|missing| missing.number > applied).peekable();
        let age =
            missing.peek().map_or(Duration::ZERO, |oldest| now.saturating_duration_since(oldest.seen_at));
        missing.fold(Backlog { age, ..Backlog::default() }, |sum, missing| Backlog {
            entries: sum.entries + 1,
            bytes: sum.bytes + missing.bytes.get(sink).copied().unwrap_or(0),
            ..sum
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(number: EntryNumber, seen_at: Instant, bronze: u64) -> Missing {
        Missing { number, seen_at, bytes: BTreeMap::from([("bronze".to_owned(), bronze)]) }
    }

    #[test]
    fn a_sink_lacks_what_is_above_its_mark_since_the_oldest_of_it_was_seen() {
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let entries = [missing(4, at(0), 10), missing(5, at(7), 20), missing(6, at(8), 30)];
        let backlogs = Backlogs { entries: entries.into(), known: 6 };
        let of = |sink, applied| backlogs.of(sink, applied, at(10));
        assert_eq!(of("bronze", 4), Backlog { entries: 2, bytes: 50, age: Duration::from_secs(3) });
        assert_eq!(of("silver", 3), Backlog { entries: 3, bytes: 0, age: Duration::from_secs(10) });
        assert_eq!(of("bronze", 6), Backlog::default());
    }

    #[test]
    fn any_limit_holds_the_source_and_only_age_stops_the_pipeline() {
        let age = Duration::from_secs(60);
        let limits = BacklogLimits { entries: 10, bytes: 1000, age, stop_after: 2 * age };
        let within = Backlog { entries: 10, bytes: 1000, age };
        assert!(!limits.hold(&within) && !limits.stop(&within));
        for beyond in [
            Backlog { entries: 11, ..within },
            Backlog { bytes: 1001, ..within },
            Backlog { age: age * 2, ..within },
        ] {
            assert!(limits.hold(&beyond) && !limits.stop(&beyond), "{beyond}");
        }
        assert!(limits.stop(&Backlog { age: age * 3, ..within }));
    }
}
