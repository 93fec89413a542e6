//! Opening the ledger, or beginning it.

use std::sync::Arc;

use uuid::Uuid;

use super::entry::{Body, Configuration, Entry, FORMAT, Genesis, Writer};
use super::error::LedgerError;
use super::objects::Objects;
use super::state::LedgerState;
use super::store::EntryStore;
use super::{Known, Ledger, LedgerSettings};
use crate::clock::{Clock, SystemClock};

/// Who opens the ledger, and what a new ledger would begin with.
#[derive(Debug, Clone)]
pub struct Opening {
    pub pipeline: String,
    /// For a new ledger. Compare with [`LedgerState::configuration`] afterwards: the one in force may be
    /// another, and is changed by a [`Configure`](super::entry::Configure) entry.
    pub configuration: Configuration,
    /// Of the worker. Epoch 0 writes the genesis; the worker's proposals count from 1.
    pub incarnation: Uuid,
    /// Random: the id of a new ledger.
    pub new_id: Uuid,
    /// The ledger that the sinks' marks name, if they have any: a state location without it was deleted
    /// or swapped.
    pub known: Option<Uuid>,
}

impl Ledger {
    /// Whether there is a ledger to open.
    pub async fn is_begun(store: Arc<dyn EntryStore>) -> Result<bool, LedgerError> {
        let objects = Objects::new(store, Arc::new(SystemClock));
        Ok(objects.newest_snapshot(None).await?.is_some() || !objects.entries().await?.is_empty())
    }

    /// Starts from the newest snapshot and reads to the tail; begins the ledger if there is none.
    pub async fn open(
        store: Arc<dyn EntryStore>,
        clock: Arc<dyn Clock>,
        settings: LedgerSettings,
        opening: Opening,
    ) -> Result<Self, LedgerError> {
        let objects = Objects::new(store, clock);
        let ledger = Self::read_to_the_tail(objects, settings, &opening.pipeline, Some(&opening)).await?;
        let found = ledger.state().ledger;
        match opening.known {
            Some(known) if known != found => Err(LedgerError::OtherLedger { found, known }),
            _ => Ok(ledger),
        }
    }

    /// [`open`](Self::open) for one who only looks: begins nothing.
    pub async fn open_begun(
        store: Arc<dyn EntryStore>,
        clock: Arc<dyn Clock>,
        settings: LedgerSettings,
        pipeline: &str,
    ) -> Result<Self, LedgerError> {
        Self::read_to_the_tail(Objects::new(store, clock), settings, pipeline, None).await
    }

    async fn read_to_the_tail(
        objects: Objects,
        settings: LedgerSettings,
        pipeline: &str,
        opening: Option<&Opening>,
    ) -> Result<Self, LedgerError> {
        let known = loop {
            if let Some(known) = find(&objects, opening).await? {
                break known;
            }
        };
        let ledger = Self::new(objects, settings, known);
        let state = ledger.refresh().await?;
        if state.pipeline != pipeline {
            let (found, expected) = (state.pipeline.clone(), pipeline.to_owned());
            return Err(LedgerError::OtherPipeline { found, expected });
        }
        Ok(ledger)
    }
}

/// A state to start from, to be believed only after a [`refresh`](Ledger::refresh); `None` if somebody
/// else changed what was there meanwhile.
async fn find(objects: &Objects, opening: Option<&Opening>) -> Result<Option<Known>, LedgerError> {
    if let Some(number) = objects.newest_snapshot(None).await? {
        let found = objects.snapshot(number).await?;
        return Ok(found.map(|state| Known { state: Arc::new(state), snapshot: Some(number) }));
    }
    if let Some(entry) = objects.entry(None, 0).await? {
        return match LedgerState::genesis(&entry) {
            Some(state) => Ok(Some(Known { state: Arc::new(state), snapshot: None })),
            None => Err(LedgerError::Torn { name: "entry 0".to_owned(), why: "it is no genesis".to_owned() }),
        };
    }
    if let Some((first, _)) = objects.entries().await?.first() {
        // Begun, or swept, by somebody else since the look at entry 0?
        let begun = *first == 0 || objects.newest_snapshot(None).await?.is_some();
        return if begun { Ok(None) } else { Err(LedgerError::Beheaded { first: *first }) };
    }
    let opening = opening.ok_or(LedgerError::NotBegun)?;
    if let Some(known) = opening.known {
        return Err(LedgerError::Missing { known });
    }
    objects.put_entry(&genesis(objects, opening)).await?;
    Ok(None)
}

fn genesis(objects: &Objects, opening: &Opening) -> Entry {
    let (pipeline, configuration) = (opening.pipeline.clone(), opening.configuration.clone());
    Entry {
        format: FORMAT,
        ledger: opening.new_id,
        number: 0,
        writer: Writer { incarnation: opening.incarnation, epoch: 0 },
        written_at_ms: objects.clock().now_ms(),
        body: Body::Genesis(Genesis { pipeline, configuration }),
    }
}
