//! Bugs, planted to see that the schedules find them.

use std::sync::Arc;

use async_trait::async_trait;
use sluicebox::ledger::entry::{Entry, EntryNumber, FORMAT};
use sluicebox::ledger::store::{EntryStore, Put};
use sluicebox::ledger::{Appended, Ledger, LedgerError, Proposal};
use sluicebox::sink::{Applied, SinkApplier, SinkError, SinkMark};

use crate::fake::{FakeSink, FakeStore};
use crate::world::Shared;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    Nothing,
    /// It puts its entry under the first free number, whoever is before it.
    NoFence,
    /// Its applier reads the mark once.
    RememberedMark,
    /// Who takes a topic over shuts nobody out.
    NoShutOut,
    /// It deletes what is not in the ledger yet, at once and without an entry.
    EarlySweep,
}

/// Puts the entry under the first free number, and asks nobody whether it is valid there.
pub async fn append_without_fence(
    shared: &Shared,
    ledger: &Ledger,
    proposal: Proposal,
) -> Result<Appended, LedgerError> {
    let state = ledger.state();
    let mut entry = Entry {
        format: FORMAT,
        ledger: state.ledger,
        number: state.number,
        writer: proposal.writer,
        written_at_ms: 0,
        body: proposal.body,
    };
    loop {
        entry.number += 1;
        let bytes = serde_json::to_vec(&entry).expect("an entry is JSON");
        let name = format!("entries/{:020}.json", entry.number);
        if FakeStore(shared.clone()).put_if_absent(&name, bytes.into()).await? == Put::Created {
            return Ok(Appended::Entered(Arc::new(entry)));
        }
    }
}

/// Believes the mark that it remembers, and reads the sink only to get its commit in.
pub struct RememberingSink {
    pub inner: FakeSink,
    pub remembered: Option<SinkMark>,
}

#[async_trait]
impl SinkApplier for RememberingSink {
    async fn mark(&mut self) -> Result<SinkMark, SinkError> {
        let mark = self.inner.mark().await?;
        Ok(self.remembered.get_or_insert(mark).clone())
    }

    async fn apply(&mut self, entries: &[Arc<Entry>], to: EntryNumber) -> Result<Applied, SinkError> {
        let applied = self.inner.apply(entries, to).await?;
        if let (Applied::Done, Some(mark)) = (applied, &mut self.remembered) {
            mark.number = to;
        }
        Ok(applied)
    }
}
