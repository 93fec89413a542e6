//! Entering an epoch: the whole fence between workers.

use std::sync::Arc;

use super::entry::{Body, Entry, EntryNumber, FORMAT, Writer};
use super::error::LedgerError;
use super::judge::Verdict;
use super::objects::Settled;
use super::state::LedgerState;
use super::{Known, Ledger};

/// What a worker wants to enter.
#[derive(Debug, Clone)]
pub struct Proposal {
    pub writer: Writer,
    /// When the epoch was opened, before its first file was written: milliseconds since the Unix epoch.
    pub opened_at_ms: i64,
    pub body: Body,
}

/// What came of a proposal. Every case is expected.
#[derive(Debug, Clone, PartialEq)]
pub enum Appended {
    /// It is in the ledger, for good.
    Entered(Arc<Entry>),
    /// It is not, and never will be: the verdict says what moved, and so what to recover.
    Lost(Verdict),
    /// It is not, and never will be: it was opened too long ago, and a sweep may soon condemn it.
    Expired,
}

impl Ledger {
    /// Enters the proposal under the next number that is free, if it is valid there. What others entered
    /// meanwhile, and does not concern it, is read and stepped over.
    ///
    /// After an error nobody knows whether it is entered; see the contract of [`Ledger`].
    pub async fn append(&self, proposal: Proposal) -> Result<Appended, LedgerError> {
        let objects = &self.shared.objects;
        let mut known = self.known();
        loop {
            if self.is_expired(&proposal) {
                return Ok(Appended::Expired);
            }
            let entry = self.entry_after(&known.state, &proposal);
            let mut state = known.state.clone();
            let verdict = Arc::make_mut(&mut state).apply(&entry);
            if verdict != Verdict::Valid {
                return Ok(Appended::Lost(verdict));
            }
            let settled = objects.put_entry(&entry).await?;
            let entry = Arc::new(entry);
            if settled == Settled::Mine && self.is_at_tail(&known, entry.number).await? {
                self.learn(Known { state, snapshot: known.snapshot });
                self.cache().insert(entry.clone());
                return Ok(Appended::Entered(entry));
            }
            known = Known { state: self.refresh().await?, ..self.known() };
            // Entered long ago, answered late, and swept since.
            if known.state.has_entered(proposal.writer) {
                return Ok(Appended::Entered(entry));
            }
        }
    }

    /// Whether the number that was just put is the ledger's next, and not one that a sweep had freed: then
    /// a snapshot would lie above it. The entry before must be there, or a snapshot that stands for it.
    async fn is_at_tail(&self, known: &Known, number: EntryNumber) -> Result<bool, LedgerError> {
        let before = known.state.number;
        let has_before = self.shared.objects.has_entry(before).await?;
        let newest = self.shared.objects.newest_snapshot(known.snapshot).await?;
        if !has_before && newest < Some(number) {
            return Err(LedgerError::Vanished { number: before });
        }
        Ok(newest <= Some(number))
    }

    fn is_expired(&self, proposal: &Proposal) -> bool {
        let age = self.clock().now_ms().saturating_sub(proposal.opened_at_ms);
        i128::from(age) > self.shared.settings.grace.as_millis() as i128 / 2
    }

    fn entry_after(&self, state: &LedgerState, proposal: &Proposal) -> Entry {
        Entry {
            format: FORMAT,
            ledger: state.ledger,
            number: state.number.saturating_add(1),
            writer: proposal.writer,
            written_at_ms: self.clock().now_ms(),
            body: proposal.body.clone(),
        }
    }
}
