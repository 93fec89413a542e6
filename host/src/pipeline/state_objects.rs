//! The state of stateful steps in the state location: one object per worker and epoch, of which the entry
//! names each task's ranges.

use std::sync::Arc;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};

use super::task::{StepChanges, StoredLink, StoredState, TaskCut};
use crate::changes::{StateChanges, StateKind};
use crate::ledger::LedgerState;
use crate::ledger::entry::{StateSegment, Writer};
use crate::state;

/// Where state objects lie in the state location.
pub const STATE_FOLDER: &str = "state";

/// A step's chain of changes is folded into a base when it has this many links.
const LONGEST_CHAIN: usize = 64;

#[derive(Clone)]
pub struct StateObjects {
    store: Arc<dyn ObjectStore>,
}

#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("state object `{object}`: {error}")]
    Store { object: String, error: object_store::Error },
    #[error("layer `{layer}`, step `{step}`: state cannot be encoded: {what}")]
    Encode { layer: String, step: String, what: String },
}

impl StateError {
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Store { error, .. } if !matches!(error, object_store::Error::NotFound { .. }))
    }
}

impl StateObjects {
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store }
    }

    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// Puts the changes of all tasks in place, and returns for each task what its entry says of them.
    pub async fn put(
        &self,
        writer: Writer,
        known: &LedgerState,
        tasks: &mut [TaskCut],
    ) -> Result<Vec<Vec<StateSegment>>, StateError> {
        let object = format!("{STATE_FOLDER}/{}-{}-state", writer.incarnation, writer.epoch);
        let mut bytes: Vec<u8> = Vec::new();
        let mut segments = Vec::with_capacity(tasks.len());
        for task in tasks {
            let chain = known.tasks.get(&task.partition).map_or(&[][..], |task| task.state.as_slice());
            let mut own = Vec::with_capacity(task.state.len());
            for step in task.state.drain(..) {
                let changes = self.base_or_changes(chain, step).await?;
                let segment = state::encode(&changes.layout, &changes.changes)
                    .map_err(|error| encoding(&changes, &error))?;
                own.push(StateSegment {
                    kind: changes.kind,
                    layer: changes.layer,
                    step: changes.step,
                    object: object.clone(),
                    offset: bytes.len() as u64,
                    length: segment.bytes.len() as u64,
                    sha256: segment.sha256,
                });
                bytes.extend(segment.bytes);
            }
            segments.push(own);
        }
        if !bytes.is_empty() {
            self.store
                .put(&Path::from(object.as_str()), PutPayload::from(bytes))
                .await
                .map_err(|error| StateError::Store { object, error })?;
        }
        Ok(segments)
    }

    /// The links of each step's chain since its last base.
    pub async fn restore(&self, chain: &[StateSegment]) -> Result<Vec<StoredState>, StateError> {
        let mut restored: Vec<StoredState> = Vec::new();
        for segment in chain {
            let link = self.read(segment).await?;
            let known =
                restored.iter_mut().find(|state| state.layer == segment.layer && state.step == segment.step);
            match known {
                Some(state) if segment.kind == StateKind::Changes => state.links.push(link),
                Some(state) => state.links = vec![link],
                None => restored.push(StoredState {
                    layer: segment.layer.clone(),
                    step: segment.step.clone(),
                    links: vec![link],
                }),
            }
        }
        Ok(restored)
    }

    /// Now and then a base instead of changes, so that chains stay short.
    async fn base_or_changes(
        &self,
        chain: &[StateSegment],
        step: StepChanges,
    ) -> Result<StepChanges, StateError> {
        let links: Vec<StateSegment> =
            chain.iter().filter(|link| link.layer == step.layer && link.step == step.step).cloned().collect();
        if step.kind == StateKind::Base || links.len() < LONGEST_CHAIN {
            return Ok(step);
        }
        let stored = self.restore(&links).await?.pop();
        let base = stored.map(|stored| stored.fold()).transpose().map_err(|error| encoding(&step, &error))?;
        let base = base.flatten().map(|(_, rows)| rows);
        let base = state::compact(&step.layout, base, [step.changes.clone()])
            .map_err(|error| encoding(&step, &error))?;
        let changes = StateChanges { upserts: Some(base), deletes: None };
        Ok(StepChanges { kind: StateKind::Base, changes, ..step })
    }

    async fn read(&self, segment: &StateSegment) -> Result<StoredLink, StateError> {
        let object = segment.object.clone();
        let end = segment.offset.saturating_add(segment.length);
        let bytes = self
            .store
            .get_range(&Path::from(object.as_str()), segment.offset..end)
            .await
            .map_err(|error| StateError::Store { object, error })?;
        Ok(StoredLink { bytes, sha256: segment.sha256.clone() })
    }
}

fn encoding(step: &StepChanges, error: &dyn std::fmt::Display) -> StateError {
    StateError::Encode { layer: step.layer.clone(), step: step.step.clone(), what: error.to_string() }
}
