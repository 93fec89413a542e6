//! Making a sink follow the ledger.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use uuid::Uuid;

use crate::clock::Pauses;
use crate::ledger::entry::{Entry, EntryNumber, SinkRecord};
use crate::ledger::{Ledger, LedgerError};
use crate::sink::{Applied, SinkApplier, SinkError, SinkMark};

/// Entries that are read from the ledger at once, while a chunk is gathered.
const READ_AHEAD: u64 = 64;

/// What one commit may hold, and how often it is tried.
#[derive(Debug, Clone)]
pub struct ApplyBounds {
    /// A commit holds at least one entry, however large, and else at most so many entries with rows, ...
    pub entries: usize,
    /// ... bytes of data files ...
    pub bytes: u64,
    /// ... and rows.
    pub rows: u64,
    /// How long a commit of more than one entry may take. One that takes longer, or fails, is tried again with
    /// half as many entries.
    pub time: Duration,
    /// Entries without rows for the sink need no commit, but after so many the mark is committed alone.
    pub mark_every: u64,
    /// Failures in a row, `Busy` included, until the applier gives up for now.
    pub attempts: u32,
    pub pauses: Pauses,
}

impl Default for ApplyBounds {
    fn default() -> Self {
        Self {
            entries: 1_000,
            bytes: 16 << 30,
            rows: 100_000_000,
            time: Duration::from_secs(300),
            mark_every: 256,
            attempts: 12,
            pauses: Pauses { first: Duration::from_millis(50), longest: Duration::from_secs(10) },
        }
    }
}

/// How far a sink has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApplyProgress {
    /// The sink's own mark and table: what the next epoch records as [`seen`](crate::ledger::entry::Epoch::seen),
    /// and what a sweep goes by.
    pub record: SinkRecord,
    /// The highest entry up to which the sink lacks no rows.
    pub effective: EntryNumber,
    pub commits: u64,
    /// Entries with rows for the sink that this call applied.
    pub entries: u64,
    pub rows: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error("sink `{sink}`: {source}")]
    Ledger { sink: String, source: LedgerError },
    #[error("sink `{sink}`: {why}")]
    Refused { sink: String, why: String },
    #[error("sink `{sink}` did not apply the ledger in {attempts} attempts; the last one: {why}")]
    GaveUp { sink: String, attempts: u32, why: String },
    #[error("the configuration in force has no sink `{sink}`: reload the configuration")]
    Removed { sink: String },
    #[error(
        "sink `{sink}` follows ledger {found}, and the pipeline's ledger is {expected}: point the pipeline at the \
         state location that it had before, or give the sink another table"
    )]
    OtherLedger { sink: String, found: Uuid, expected: Uuid },
    #[error(
        "sink `{sink}` holds entries up to {mark}, and the ledger ends at {tail}: the state location lost its newest \
         entries or is an old copy. Restore it, or restore the sink to a version that holds at most entry {tail}"
    )]
    AboveTail { sink: String, mark: EntryNumber, tail: EntryNumber },
    #[error(
        "sink `{sink}` holds entries up to {mark}, and held entries up to {recorded} before: it was restored to an \
         older version, or replaced. Restore it to the newest version, or start it anew under another name"
    )]
    WentBack { sink: String, mark: EntryNumber, recorded: EntryNumber },
}

impl ApplyError {
    /// Whether trying again later can help. All other errors stop the pipeline.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::GaveUp { .. } => true,
            Self::Ledger { source, .. } => source.is_transient(),
            _ => false,
        }
    }
}

/// Applies to the sink whatever it lacks of the ledger, as far as this worker's handle knows the ledger, until
/// nothing is missing or [`ApplyBounds::time`] is over.
///
/// - Order: entries are applied in the order of their numbers, each exactly once, whoever else applies to
///   the same sink at the same time.
/// - After any fault the mark is read again before anything else; nothing is concluded from the fault.
/// - Cancellation: dropping the future is like a crash, and safe.
pub async fn apply_sink(
    ledger: &Ledger,
    name: &str,
    sink: &mut dyn SinkApplier,
    bounds: &ApplyBounds,
) -> Result<ApplyProgress, ApplyError> {
    let mut follower = Follower { ledger, name, bounds, entries_at_once: bounds.entries };
    let mut progress = ApplyProgress::default();
    let mut failures = 0;
    let until_ms = ledger.clock().now_ms().saturating_add(milliseconds(bounds.time));
    loop {
        let why = match follower.step(sink, &mut progress).await? {
            Step::Current => return Ok(progress),
            Step::Committed if ledger.clock().now_ms() > until_ms => return Ok(progress),
            Step::Committed => {
                failures = 0;
                continue;
            }
            Step::Again(why) => why,
        };
        failures += 1;
        if failures >= bounds.attempts {
            return Err(ApplyError::GaveUp { sink: name.to_owned(), attempts: failures, why });
        }
        tracing::debug!(sink = name, failures, why, "the sink did not apply; trying again");
        ledger.clock().pause(bounds.pauses.after(failures, ledger.clock().chance())).await;
    }
}

/// What one look at the sink, and at most one commit, came to.
enum Step {
    Current,
    Committed,
    Again(String),
}

struct Follower<'a> {
    ledger: &'a Ledger,
    name: &'a str,
    bounds: &'a ApplyBounds,
    /// At most what the bounds say, and less after a commit that failed.
    entries_at_once: usize,
}

/// Entries with rows for the sink, that one commit may hold.
struct Chunk {
    entries: Vec<Arc<Entry>>,
    /// The last entry that the commit stands for; those that are not in `entries` hold nothing for the sink.
    to: EntryNumber,
    bytes: u64,
    rows: u64,
}

impl Follower<'_> {
    async fn step(
        &mut self,
        sink: &mut dyn SinkApplier,
        progress: &mut ApplyProgress,
    ) -> Result<Step, ApplyError> {
        let mark = match self.look(sink).await {
            Ok(mark) => mark,
            Err(error) => return self.again_or_stop(error),
        };
        let state = self.ledger.state();
        let since = state.sinks.get(self.name).ok_or_else(|| self.removed())?.since;
        let start = mark.number.max(since);
        progress.record = SinkRecord { mark: mark.number, table: sink.table() };
        progress.effective = start;
        if start >= state.number {
            return Ok(Step::Current);
        }
        let most_rows = self.bounds.rows.min(sink.rows_at_once());
        let chunk = match self.gather(start + 1..=state.number, most_rows).await {
            Ok(chunk) => chunk,
            // Swept: then the sink holds it, and the mark that was read is old.
            Err(error) if error.is_transient() => return Ok(Step::Again(error.to_string())),
            Err(source) => return Err(ApplyError::Ledger { sink: self.name.to_owned(), source }),
        };
        if chunk.entries.is_empty() && chunk.to - mark.number < self.bounds.mark_every {
            progress.effective = chunk.to;
            return Ok(Step::Current);
        }
        match self.apply(sink, &chunk).await {
            Ok(Applied::Done) => {
                self.entries_at_once = self.entries_at_once.saturating_mul(2).min(self.bounds.entries);
                progress.effective = chunk.to;
                progress.commits += 1;
                progress.entries += chunk.entries.len() as u64;
                progress.rows += chunk.rows;
                Ok(Step::Committed)
            }
            Ok(Applied::Busy) => Ok(Step::Again("somebody else changed the sink meanwhile".to_owned())),
            Err(error) => {
                self.entries_at_once = (chunk.entries.len() / 2).max(1);
                self.again_or_stop(LookError::Sink(error))
            }
        }
    }

    /// One entry may take as long as it needs: there is nothing smaller.
    async fn apply(&self, sink: &mut dyn SinkApplier, chunk: &Chunk) -> Result<Applied, SinkError> {
        let application = sink.apply(&chunk.entries, chunk.to);
        if chunk.entries.len() <= 1 {
            return application.await;
        }
        match select(application, self.ledger.clock().pause(self.bounds.time)).await {
            Either::Left((applied, _)) => applied,
            Either::Right(_) => Err(SinkError::Unavailable(format!(
                "{} entries were not applied within {:?}",
                chunk.entries.len(),
                self.bounds.time
            ))),
        }
    }

    /// Reads the mark, and compares it with what the ledger says of the sink. The ledger's record is taken
    /// before the mark is read, and its tail after: both only ever grow.
    async fn look(&self, sink: &mut dyn SinkApplier) -> Result<SinkMark, LookError> {
        let state = self.ledger.state();
        let Some(at) = state.sinks.get(self.name) else { return Err(LookError::Stop(self.removed())) };
        if let Some(record) = &at.record {
            sink.recorded(record);
        }
        let mark = sink.mark().await?;
        let name = || self.name.to_owned();
        if mark.ledger != state.ledger {
            let (found, expected) = (mark.ledger, state.ledger);
            return Err(LookError::Stop(ApplyError::OtherLedger { sink: name(), found, expected }));
        }
        let recorded = at.record.as_ref().map_or(0, |record| record.mark);
        if mark.number < recorded {
            return Err(LookError::Stop(ApplyError::WentBack { sink: name(), mark: mark.number, recorded }));
        }
        if mark.number > state.number {
            let tail = self.ledger.refresh().await?.number;
            if mark.number > tail {
                return Err(LookError::Stop(ApplyError::AboveTail { sink: name(), mark: mark.number, tail }));
            }
        }
        Ok(mark)
    }

    async fn gather(
        &self,
        mut numbers: RangeInclusive<EntryNumber>,
        most_rows: u64,
    ) -> Result<Chunk, LedgerError> {
        let mut chunk = Chunk { entries: Vec::new(), to: numbers.start() - 1, bytes: 0, rows: 0 };
        while !numbers.is_empty() {
            let last = (*numbers.end()).min(numbers.start().saturating_add(READ_AHEAD - 1));
            for entry in self.ledger.read(*numbers.start()..=last).await? {
                if !self.take(&mut chunk, entry, most_rows) {
                    return Ok(chunk);
                }
            }
            numbers = last + 1..=*numbers.end();
        }
        Ok(chunk)
    }

    /// Takes the entry into the chunk, or says that it is for the next one.
    fn take(&self, chunk: &mut Chunk, entry: Arc<Entry>, most_rows: u64) -> bool {
        let number = entry.number;
        if let Some(part) = entry.part_of(self.name) {
            let bytes = chunk.bytes + part.files.iter().map(|file| file.size).sum::<u64>();
            let rows = chunk.rows + part.files.iter().map(|file| file.rows).sum::<u64>();
            let is_full =
                chunk.entries.len() >= self.entries_at_once || bytes > self.bounds.bytes || rows > most_rows;
            if is_full && !chunk.entries.is_empty() {
                return false;
            }
            (chunk.bytes, chunk.rows) = (bytes, rows);
            chunk.entries.push(entry);
        }
        chunk.to = number;
        true
    }

    fn again_or_stop(&self, error: LookError) -> Result<Step, ApplyError> {
        let sink = self.name.to_owned();
        match error {
            LookError::Sink(SinkError::Unavailable(why)) => Ok(Step::Again(why)),
            LookError::Sink(SinkError::Refused(why)) => Err(ApplyError::Refused { sink, why }),
            LookError::Ledger(source) if source.is_transient() => Ok(Step::Again(source.to_string())),
            LookError::Ledger(source) => Err(ApplyError::Ledger { sink, source }),
            LookError::Stop(error) => Err(error),
        }
    }

    fn removed(&self) -> ApplyError {
        ApplyError::Removed { sink: self.name.to_owned() }
    }
}

#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error(transparent)]
    Sink(#[from] SinkError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Stop(ApplyError),
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
