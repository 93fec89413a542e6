//! Creating a table, adopting one that others made, or taking up one's own.

use deltalake_core::kernel::{Action, MetadataExt, Protocol, StructType, new_metadata};
use serde_json::json;

use super::actions;
use super::guard::Guard;
use super::log::{State, TableLog};
use super::{DeltaSettings, ledger_property};
use crate::sink::SinkError;

/// Attempts to create or adopt a table against others who do so at the same time.
const OPEN_ATTEMPTS: usize = 20;
/// How far back, at opening, others' commits are looked at.
const LOOK_BACK: u64 = 10_000;

pub(super) struct Opening<'a> {
    pub settings: &'a DeltaSettings,
    pub log: &'a TableLog,
    pub guard: &'a Guard,
    /// The rows that the table is to take.
    pub rows: &'a StructType,
}

impl Opening<'_> {
    /// The table with our mark in it, which may have cost a commit.
    pub async fn open(&self) -> Result<State, SinkError> {
        for _ in 0..OPEN_ATTEMPTS {
            if !self.log.exists().await? {
                if self.settings.record.as_ref().is_some_and(|record| record.table.id.is_some()) {
                    return self.guard.refuse(
                        "the table is gone; put it back, or give the sink another name, under which it starts at the ledger's newest entry",
                    );
                }
                self.create().await?;
                continue;
            }
            let state = self.log.load().await?;
            self.guard.check_table(&state.protocol, &state.metadata)?;
            self.guard.grown(&state.metadata, self.rows)?;
            if let Some(record) = &self.settings.record {
                self.guard.check_not_backwards(record, &state)?;
            }
            if state.mark.is_some() {
                check_opened(self.log, self.guard, &state, state.version.saturating_sub(LOOK_BACK)).await?;
                return Ok(state);
            }
            self.adopt(&state).await?;
        }
        Err(SinkError::Unavailable(format!("{}: others keep changing the table", self.guard.location)))
    }

    /// Version 0, with the mark: a table that exists without it would be open to commits that check nothing.
    /// Whoever else creates it first wins; either way it exists afterwards.
    async fn create(&self) -> Result<(), SinkError> {
        let refused = |error: &dyn std::fmt::Display| format!("the table cannot be created: {error}");
        let protocol: Protocol =
            serde_json::from_value(json!({"minReaderVersion": 1, "minWriterVersion": 2}))
                .or_else(|error| self.guard.refuse(&refused(&error)))?;
        let configuration = [(self.ledger_property(), self.settings.ledger.to_string())];
        let metadata = new_metadata(self.rows, &self.guard.partition_by, configuration)
            .or_else(|error| self.guard.refuse(&refused(&error)))?;
        let info = actions::first_info(self.settings, "CREATE TABLE", None);
        let actions = [
            info,
            Action::Protocol(protocol),
            Action::Metadata(metadata),
            actions::txn(self.settings, self.settings.start),
        ];
        self.log.put(0, &actions).await.map(|_| ())
    }

    /// The first mark in a table that others made.
    async fn adopt(&self, state: &State) -> Result<(), SinkError> {
        let property = self.ledger_property();
        if let Some(ledger) = state.metadata.configuration().get(&property) {
            return self.guard.refuse(&format!(
                "the table has the property `{property}` of the ledger {ledger}, but no mark: its log was tampered with; give the sink another name, under which it starts at the ledger's newest entry"
            ));
        }
        let metadata = state
            .metadata
            .clone()
            .add_config_key(property, self.settings.ledger.to_string())
            .or_else(|error| self.guard.refuse(&error.to_string()))?;
        let info = actions::first_info(self.settings, "SET TBLPROPERTIES", Some(state.version));
        let actions = [info, Action::Metadata(metadata), actions::txn(self.settings, self.settings.start)];
        self.log.put(state.version + 1, &actions).await.map(|_| ())
    }

    fn ledger_property(&self) -> String {
        ledger_property(&self.settings.pipeline, &self.settings.sink)
    }
}

/// A loaded table that has our mark: the ledger must be ours, and nothing that we would have stopped at may
/// have happened since our newest commit, nor before that down to `oldest`.
pub(super) async fn check_opened(
    log: &TableLog,
    guard: &Guard,
    state: &State,
    oldest: u64,
) -> Result<(), SinkError> {
    guard.check_table(&state.protocol, &state.metadata)?;
    for commit in log.back_to_ours(state.version, oldest).await?.iter().rev() {
        guard.check_foreign(commit)?;
    }
    guard.check_ledger(&state.metadata)
}
