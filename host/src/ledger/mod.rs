//! The ledger: the pipeline's ordered log of epochs, in the state location; the one source of truth.
//!
//! An entry is an object, named by its number and put only if the name is free. So the entries form one
//! line, and a writer knows all of it up to the number that it gets. [`state`] folds the line, [`judge`]
//! says which entry may follow, and [`Ledger`] is the line itself.
//!
//! Once old entries are swept, their numbers are free again, and a writer that stood still for a long
//! time may put an entry there. Such an entry is not in the ledger, and is known by this: a number is
//! only ever freed below the newest snapshot, and the newest snapshot is never deleted. So nothing that
//! was read or put is believed before a listing, taken *after* it, has shown no snapshot above it. No
//! clock is trusted for that.

mod append;
pub mod bucket;
mod cache;
pub mod entry;
pub mod epochs;
pub mod error;
pub mod judge;
pub mod local;
mod objects;
mod open;
#[cfg(test)]
mod properties;
pub mod state;
pub mod store;
pub mod sweep;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};

pub use self::append::{Appended, Proposal};
pub use self::error::LedgerError;
pub use self::judge::Verdict;
pub use self::open::Opening;
pub use self::state::LedgerState;

use self::cache::EntryCache;
use self::entry::{Entry, EntryNumber};
use self::objects::Objects;
use crate::clock::Clock;

/// How many entries are fetched at once where many are needed.
const READS_AT_ONCE: usize = 8;

#[derive(Debug, Clone)]
pub struct LedgerSettings {
    /// A snapshot is due this many entries after the last.
    pub snapshot_every: u64,
    /// What nothing reaches is removed once it is this old. An epoch older than half of it is never entered.
    pub grace: Duration,
    /// Entries kept in memory, counted in files and tasks.
    pub cached: usize,
}

impl Default for LedgerSettings {
    fn default() -> Self {
        Self { snapshot_every: 64, grace: Duration::from_secs(24 * 3600), cached: 50_000 }
    }
}

/// A handle on the ledger; clones share what they know. All methods may run at the same time.
///
/// Contract:
/// - Order: entries are numbered without gaps, and everybody sees the same entry under a number.
/// - Duplicates: one (incarnation, epoch) pair is entered at most once. A pair must not be used for two
///   proposals, even if the first failed.
/// - Durability: what [`append`](Ledger::append) says it entered, and what [`refresh`](Ledger::refresh)
///   and [`read`](Ledger::read) return, survives any crash.
/// - Cancellation: every future may be dropped at any await. A dropped or failed `append` leaves open
///   whether the entry is, or will be, in the ledger: drop the epoch, refresh, and recover the tasks from
///   [`state`](Ledger::state). That is right in either case.
#[derive(Clone)]
pub struct Ledger {
    shared: Arc<Shared>,
}

struct Shared {
    objects: Objects,
    settings: LedgerSettings,
    known: Mutex<Known>,
    cache: Mutex<EntryCache>,
}

/// What is known for certain.
#[derive(Clone)]
struct Known {
    /// The fold of a prefix of the ledger.
    state: Arc<LedgerState>,
    /// The newest snapshot that was found; never above the state.
    snapshot: Option<EntryNumber>,
}

impl Ledger {
    fn new(objects: Objects, settings: LedgerSettings, known: Known) -> Self {
        let cache = Mutex::new(EntryCache::new(settings.cached));
        Self { shared: Arc::new(Shared { objects, settings, known: Mutex::new(known), cache }) }
    }

    /// The longest prefix that this handle and its clones know; it may be behind the ledger, never beside it.
    pub fn state(&self) -> Arc<LedgerState> {
        self.known().state
    }

    /// The oldest entry that is still there: those before it were swept.
    pub async fn oldest(&self) -> Result<EntryNumber, LedgerError> {
        let entries = self.shared.objects.entries().await?;
        Ok(entries.first().map_or(0, |(number, _)| *number))
    }

    pub fn settings(&self) -> &LedgerSettings {
        &self.shared.settings
    }

    pub fn clock(&self) -> &dyn Clock {
        self.shared.objects.clock()
    }

    /// Reads to the tail as it was at some moment after the call.
    pub async fn refresh(&self) -> Result<Arc<LedgerState>, LedgerError> {
        let objects = &self.shared.objects;
        let before = self.known();
        let Known { mut state, mut snapshot } = before.clone();
        let mut entries = Vec::new();
        loop {
            let read = self.read_ahead(&mut state, &mut entries).await;
            match objects.newest_snapshot(snapshot).await? {
                None => {
                    read?;
                    self.learn(Known { state: state.clone(), snapshot });
                    entries.into_iter().for_each(|entry| self.cache().insert(entry));
                    return Ok(state);
                }
                // No number above it was freed while the entries were read.
                Some(newest) if newest <= before.state.number => snapshot = Some(newest),
                // What was read may be late puts to swept numbers. Start from the snapshot.
                Some(newest) => {
                    if let Some(found) = objects.snapshot(newest).await? {
                        state = Arc::new(found);
                        snapshot = Some(newest);
                        entries.clear();
                    }
                }
            }
        }
    }

    async fn read_ahead(
        &self,
        state: &mut Arc<LedgerState>,
        entries: &mut Vec<Arc<Entry>>,
    ) -> Result<(), LedgerError> {
        while let Some(number) = state.number.checked_add(1)
            && let Some(entry) = self.shared.objects.entry(Some(state.ledger), number).await?
        {
            match Arc::make_mut(state).apply(&entry) {
                Verdict::Valid => entries.push(Arc::new(entry)),
                verdict => return Err(LedgerError::Contradiction { number, verdict }),
            }
        }
        Ok(())
    }

    /// The entries of these numbers, ascending, none left out. [`LedgerError::Gone`] if one was swept; all
    /// must be at most the number of [`state`](Ledger::state), and above the mark of some sink, so that
    /// no sweep may have removed them.
    pub async fn read(&self, numbers: RangeInclusive<EntryNumber>) -> Result<Vec<Arc<Entry>>, LedgerError> {
        stream::iter(numbers).map(|number| self.read_one(number)).buffered(READS_AT_ONCE).try_collect().await
    }

    async fn read_one(&self, number: EntryNumber) -> Result<Arc<Entry>, LedgerError> {
        if let Some(entry) = self.cache().get(number) {
            return Ok(entry);
        }
        let ledger = self.state().ledger;
        let found = self.shared.objects.entry(Some(ledger), number).await?;
        let entry = Arc::new(found.ok_or(LedgerError::Gone { number })?);
        self.cache().insert(entry.clone());
        Ok(entry)
    }

    /// Writes a snapshot if one is due, and returns its number.
    pub async fn snapshot_if_due(&self) -> Result<Option<EntryNumber>, LedgerError> {
        let Known { state, snapshot } = self.known();
        let number = state.number;
        if number < snapshot.unwrap_or(0).saturating_add(self.settings().snapshot_every.max(1)) {
            return Ok(None);
        }
        self.shared.objects.put_snapshot(&state).await?;
        self.learn(Known { state, snapshot: Some(number) });
        Ok(Some(number))
    }

    fn learn(&self, found: Known) {
        let mut known = lock(&self.shared.known);
        known.snapshot = known.snapshot.max(found.snapshot);
        if known.state.number < found.state.number {
            known.state = found.state;
        }
    }

    fn known(&self) -> Known {
        lock(&self.shared.known).clone()
    }

    fn cache(&self) -> MutexGuard<'_, EntryCache> {
        lock(&self.shared.cache)
    }
}

/// Nothing panics while it holds these locks, and what they guard is whole at every moment.
fn lock<Guarded>(mutex: &Mutex<Guarded>) -> MutexGuard<'_, Guarded> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
