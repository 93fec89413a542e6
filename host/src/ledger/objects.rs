//! The ledger's objects: their names, their encoding, and what is done when the store fails.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::entry::{Entry, EntryNumber, FORMAT};
use super::error::LedgerError;
use super::state::LedgerState;
use super::store::{EntryStore, Listed, Put, StoreError};
use crate::clock::{Clock, Pauses};

const ENTRIES: &str = "entries";
const SNAPSHOTS: &str = "snapshots";

/// How often an operation is tried, and how long it rests in between. Object stores retry by themselves;
/// this is for what remains, above all for puts whose outcome is unknown.
const ATTEMPTS: u32 = 5;
const PAUSES: Pauses = Pauses { first: Duration::from_millis(100), longest: Duration::from_secs(5) };

pub(super) struct Objects {
    store: Arc<dyn EntryStore>,
    clock: Arc<dyn Clock>,
}

/// What a put came to, with no doubt left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    Mine,
    Taken,
}

#[derive(Serialize, Deserialize)]
struct Snapshot<State> {
    format: u32,
    state: State,
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

impl Objects {
    pub fn new(store: Arc<dyn EntryStore>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// Puts the entry under its number. After any error it asks who has the number, and puts the same
    /// bytes again if nobody has: another number could be a second copy of an entry that arrives late.
    pub async fn put_entry(&self, entry: &Entry) -> Result<Settled, LedgerError> {
        let name = name(ENTRIES, entry.number);
        let bytes = encode(&name, entry)?;
        let mut failures = 0;
        loop {
            let put = self.store.put_if_absent(&name, bytes.clone()).await;
            if matches!(put, Ok(Put::Created)) {
                return Ok(Settled::Mine);
            }
            let found = self.store.get(&name).await;
            match (found, put) {
                (Ok(Some(found)), _) if found == bytes => return Ok(Settled::Mine),
                (Ok(Some(_)), _) => return Ok(Settled::Taken),
                (Ok(None), Ok(_)) => {
                    let swept = StoreError::new("put", &name, "it was there, and is gone");
                    self.rest(&mut failures, swept).await?;
                }
                (Ok(None), Err(error)) | (Err(error), _) => self.rest(&mut failures, error).await?,
            }
        }
    }

    /// `None` if there is no such entry: it is not written yet, or was swept.
    pub async fn entry(
        &self,
        ledger: Option<Uuid>,
        number: EntryNumber,
    ) -> Result<Option<Entry>, LedgerError> {
        let name = name(ENTRIES, number);
        let Some(bytes) = self.get(&name).await? else { return Ok(None) };
        let entry: Entry = decode(&name, &bytes)?;
        let why = match ledger {
            Some(ledger) if ledger != entry.ledger => {
                format!("it is of ledger {}, not {ledger}", entry.ledger)
            }
            _ if entry.number != number => format!("it is entry {}", entry.number),
            _ => return Ok(Some(entry)),
        };
        Err(LedgerError::Torn { name, why })
    }

    pub async fn has_entry(&self, number: EntryNumber) -> Result<bool, LedgerError> {
        Ok(self.get(&name(ENTRIES, number)).await?.is_some())
    }

    pub async fn put_snapshot(&self, state: &LedgerState) -> Result<(), LedgerError> {
        let name = name(SNAPSHOTS, state.number);
        let bytes = encode(&name, &Snapshot { format: FORMAT, state })?;
        let mut failures = 0;
        // Whoever has the name wrote the same: a snapshot is a function of the prefix.
        while let Err(error) = self.store.put_if_absent(&name, bytes.clone()).await {
            self.rest(&mut failures, error).await?;
        }
        Ok(())
    }

    /// `None` if it was swept, for a newer one.
    pub async fn snapshot(&self, number: EntryNumber) -> Result<Option<LedgerState>, LedgerError> {
        let name = name(SNAPSHOTS, number);
        let Some(bytes) = self.get(&name).await? else { return Ok(None) };
        let Snapshot::<LedgerState> { state, .. } = decode(&name, &bytes)?;
        if state.number != number {
            return Err(LedgerError::Torn {
                name,
                why: format!("it is the snapshot of entry {}", state.number),
            });
        }
        Ok(Some(state))
    }

    /// The newest snapshot above `known`.
    pub async fn newest_snapshot(
        &self,
        known: Option<EntryNumber>,
    ) -> Result<Option<EntryNumber>, LedgerError> {
        let listed = self.list(SNAPSHOTS, &known.map(file).unwrap_or_default()).await?;
        Ok(listed.last().map(|(number, _)| *number))
    }

    pub async fn entries(&self) -> Result<Vec<(EntryNumber, Listed)>, LedgerError> {
        self.list(ENTRIES, "").await
    }

    pub async fn snapshots(&self) -> Result<Vec<(EntryNumber, Listed)>, LedgerError> {
        self.list(SNAPSHOTS, "").await
    }

    pub async fn delete_entry(&self, number: EntryNumber) -> Result<(), LedgerError> {
        Ok(self.store.delete(&name(ENTRIES, number)).await?)
    }

    pub async fn delete_snapshot(&self, number: EntryNumber) -> Result<(), LedgerError> {
        Ok(self.store.delete(&name(SNAPSHOTS, number)).await?)
    }

    async fn get(&self, name: &str) -> Result<Option<Bytes>, LedgerError> {
        let mut failures = 0;
        loop {
            match self.store.get(name).await {
                Ok(found) => return Ok(found),
                Err(error) => self.rest(&mut failures, error).await?,
            }
        }
    }

    async fn list(&self, directory: &str, after: &str) -> Result<Vec<(EntryNumber, Listed)>, LedgerError> {
        let mut failures = 0;
        let listed = loop {
            match self.store.list(directory, after).await {
                Ok(listed) => break listed,
                Err(error) => self.rest(&mut failures, error).await?,
            }
        };
        let foreign = |file: &str| LedgerError::Torn {
            name: format!("{directory}/{file}"),
            why: "its name is no number, so it does not belong here".to_owned(),
        };
        let numbered = |listed: Listed| match number_of(&listed.file) {
            Some(number) => Ok((number, listed)),
            None => Err(foreign(&listed.file)),
        };
        listed.into_iter().map(numbered).collect()
    }

    async fn rest(&self, failures: &mut u32, error: StoreError) -> Result<(), LedgerError> {
        *failures += 1;
        if *failures >= ATTEMPTS {
            return Err(error.into());
        }
        tracing::debug!(%error, failures, "the state location failed; trying again");
        self.clock.pause(PAUSES.after(*failures, self.clock.chance())).await;
        Ok(())
    }
}

/// Fixed width, so that names sort as numbers do.
fn file(number: EntryNumber) -> String {
    format!("{number:020}.json")
}

fn name(directory: &str, number: EntryNumber) -> String {
    format!("{directory}/{}", file(number))
}

fn number_of(file: &str) -> Option<EntryNumber> {
    file.strip_suffix(".json")?.parse().ok()
}

fn encode(name: &str, document: &impl Serialize) -> Result<Bytes, LedgerError> {
    match serde_json::to_vec(document) {
        Ok(bytes) => Ok(bytes.into()),
        Err(error) => Err(LedgerError::Torn { name: name.to_owned(), why: error.to_string() }),
    }
}

/// Looks at the format first: a document of another format need not parse.
fn decode<Document: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<Document, LedgerError> {
    let torn = |error: serde_json::Error| LedgerError::Torn { name: name.to_owned(), why: error.to_string() };
    let Format { format: found } = serde_json::from_slice(bytes).map_err(torn)?;
    if found != FORMAT {
        return Err(LedgerError::Format { name: name.to_owned(), found, expected: FORMAT });
    }
    serde_json::from_slice(bytes).map_err(torn)
}
