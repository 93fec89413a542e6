//! Removing what nothing reaches: files of epochs that never were, state that was superseded, old entries.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::Ledger;
use super::append::{Appended, Proposal};
use super::entry::{Body, EntryNumber, Sweep, Writer};
use super::error::LedgerError;
use super::state::LedgerState;
use super::store::StoreError;

/// A file in place, found by a listing of a table or of the state location.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FoundFile {
    /// As entries name it: for state, the `object` of its segments.
    pub path: String,
    pub writer: Writer,
    pub modified_at_ms: i64,
    pub holds: Holds,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holds {
    /// Once its epoch is entered the file is the sink's, for ever.
    Rows,
    /// Once its epoch is entered the file is the pipeline's, until its sink has merged or sent the rows.
    Staged,
    /// Once its epoch is entered the file is the pipeline's, as long as a task's state reaches it.
    State,
}

/// Who wrote the file of this name: `<incarnation>-<epoch>-...`, after the last slash. `None` if it was
/// no worker: such a file is never touched.
pub fn writer_of(path: &str) -> Option<Writer> {
    const UUID: usize = 36;
    let name = path.rsplit('/').next()?;
    let incarnation = Uuid::try_parse(name.get(..UUID)?).ok()?;
    let (epoch, _) = name.get(UUID..)?.strip_prefix('-')?.split_once('-')?;
    Some(Writer { incarnation, epoch: epoch.parse().ok()? })
}

/// What a sweep is to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SweepPlan {
    /// Epochs with files older than the grace period, that are not in the ledger.
    pub condemn: Vec<Writer>,
    /// What may go at once, by the ledger as it is: no later entry can reach it.
    pub delete: Vec<FoundFile>,
}

/// Decides by the ledger alone what may go; age only decides what is worth condemning.
///
/// `unapplied` are the writers of the entries that some sink lacks; `None` if that is not known.
pub fn plan_sweep(
    state: &LedgerState,
    unapplied: Option<&BTreeSet<Writer>>,
    found: &[FoundFile],
    now_ms: i64,
    grace: Duration,
) -> SweepPlan {
    let grace_ms = i64::try_from(grace.as_millis()).unwrap_or(i64::MAX);
    let reached: BTreeSet<&str> =
        state.tasks.values().flat_map(|task| &task.state).map(|segment| segment.object.as_str()).collect();
    let mut plan = SweepPlan::default();
    let mut condemn = BTreeSet::new();
    for file in found {
        let is_old = now_ms.saturating_sub(file.modified_at_ms) > grace_ms;
        if state.has_entered(file.writer) {
            let is_needed = match file.holds {
                Holds::Rows => true,
                Holds::Staged => unapplied.is_none_or(|unapplied| unapplied.contains(&file.writer)),
                Holds::State => reached.contains(file.path.as_str()),
            };
            if is_old && !is_needed {
                plan.delete.push(file.clone());
            }
        } else if state.is_condemned(file.writer) {
            plan.delete.push(file.clone());
        } else if is_old {
            condemn.insert(file.writer);
        }
    }
    plan.condemn = condemn.into_iter().collect();
    plan
}

/// The files of a pipeline, wherever they are.
#[async_trait]
pub trait PipelineFiles: Send + Sync {
    /// At least the old ones; files that no worker wrote are left out.
    async fn list(&self) -> Result<Vec<FoundFile>, StoreError>;

    /// Deleting what is not there is no error.
    async fn delete(&self, file: &FoundFile) -> Result<(), StoreError>;
}

/// What a sweep came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    pub condemned: usize,
    pub deleted: usize,
}

impl Ledger {
    /// Removes the files that no entry reaches and none ever will. The sweep's entry comes first, deletion
    /// after it; a crash in between leaves the rest to the next sweep.
    ///
    /// `writer` is a pair of its own, as for any proposal; `marks` are as for
    /// [`sweep_entries`](Self::sweep_entries).
    pub async fn sweep_files(
        &self,
        writer: Writer,
        files: &dyn PipelineFiles,
        marks: &BTreeMap<String, EntryNumber>,
    ) -> Result<Swept, LedgerError> {
        let found = files.list().await?;
        let grace = self.settings().grace;
        let opened_at_ms = self.clock().now_ms();
        let state = self.refresh().await?;
        let condemned = plan_sweep(&state, None, &found, opened_at_ms, grace).condemn;
        let mut swept = Swept::default();
        if !condemned.is_empty() {
            let count = condemned.len();
            let body = Body::Sweep(Sweep { condemned });
            // If it is lost, somebody entered one of the epochs just now. The next sweep will see that.
            if let Appended::Entered(_) = self.append(Proposal { writer, opened_at_ms, body }).await? {
                swept.condemned = count;
            }
        }
        // What was entered since then may be old by our clock: all is judged by one state.
        let state = self.state();
        let unapplied = match found.iter().any(|file| file.holds == Holds::Staged) {
            true => self.unapplied(&state, marks).await?,
            false => None,
        };
        for file in plan_sweep(&state, unapplied.as_ref(), &found, opened_at_ms, grace).delete {
            files.delete(&file).await?;
            swept.deleted += 1;
        }
        Ok(swept)
    }

    /// The writers of all entries above the lowest mark; `None` if a sink's mark is not given, or so old that
    /// entries above it are gone.
    async fn unapplied(
        &self,
        state: &LedgerState,
        marks: &BTreeMap<String, EntryNumber>,
    ) -> Result<Option<BTreeSet<Writer>>, LedgerError> {
        let Some(applied) = applied_by_all(state, marks) else { return Ok(None) };
        if applied >= state.number {
            return Ok(Some(BTreeSet::new()));
        }
        match self.read(applied + 1..=state.number).await {
            Ok(entries) => Ok(Some(entries.iter().map(|entry| entry.writer).collect())),
            Err(LedgerError::Gone { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes old entries that nothing needs, and all snapshots but the newest; returns how many entries.
    ///
    /// `marks` are the sinks' own marks, as read from them. A sink of the configuration in force whose mark
    /// is not given keeps everything.
    pub async fn sweep_entries(&self, marks: &BTreeMap<String, EntryNumber>) -> Result<u64, LedgerError> {
        let state = self.refresh().await?;
        let Some(snapshot) = self.known().snapshot else { return Ok(0) };
        let objects = &self.shared.objects;
        for (number, _) in objects.snapshots().await? {
            if number < snapshot {
                objects.delete_snapshot(number).await?;
            }
        }
        let Some(applied) = applied_by_all(&state, marks) else { return Ok(0) };
        let keep_from = snapshot.min(applied);
        let grace_ms = i64::try_from(self.settings().grace.as_millis()).unwrap_or(i64::MAX);
        let mut deleted = 0;
        // Ascending, each one gone before the next: what is missing is always a beginning.
        for (number, listed) in objects.entries().await? {
            let age_ms = self.clock().now_ms().saturating_sub(listed.modified_at_ms);
            if number >= keep_from || age_ms <= grace_ms {
                break;
            }
            objects.delete_entry(number).await?;
            deleted += 1;
        }
        Ok(deleted)
    }
}

/// The entry up to which no sink lacks anything; `None` if a sink's mark is not given.
fn applied_by_all(state: &LedgerState, marks: &BTreeMap<String, EntryNumber>) -> Option<EntryNumber> {
    state
        .sinks
        .iter()
        .try_fold(EntryNumber::MAX, |least, (sink, at)| Some(least.min((*marks.get(sink)?).max(at.since))))
}
