//! What a pipeline file comes to for a worker: everything of it that can be put in force while the worker runs.

use std::sync::Arc;

use object_store::ObjectStore;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::blueprint::{Blueprint, PlanError};
use super::event_clock::EventClock;
use super::references::{RefusedTable, StepReference};
use super::state_objects::{StateError, StateObjects};
use super::task::{Task, TaskError, TaskStart};
use super::worker::OpenSinks;
use crate::decode::Decoder;
use crate::ledger::entry::{Body, Configuration, Configure, EntryNumber, Writer};
use crate::ledger::state::Replaced;
use crate::ledger::{Appended, Ledger, LedgerError, LedgerState, Proposal};
use crate::source::Generation;
use crate::telemetry::Metrics;

pub struct Deployment {
    pub configuration: Configuration,
    pub blueprint: Blueprint,
    /// For each sink, where its files go.
    pub tables: Arc<[Arc<dyn ObjectStore>]>,
    pub open_sinks: Box<dyn OpenSinks>,
    /// Whose tables the blueprint's tree has.
    pub references: Vec<StepReference>,
}

/// Where a running worker gets other deployments from.
pub struct Deployments {
    /// Those that were [rehearsed](rehearse).
    pub ready: mpsc::Receiver<Deployment>,
    /// To have the pipeline file read again, because another worker has put another configuration in force.
    pub ask: mpsc::Sender<()>,
}

/// Why a deployment would not run where the pipeline stands.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error("decode: {0}")]
    Decode(#[from] crate::decode::DecodeError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Reference(#[from] RefusedTable),
    #[error(transparent)]
    Task(#[from] TaskError),
}

/// Opens all steps, without their shadows, under the schema in force, restores the state of every task into them once, and lets go of them. The
/// plugins run on the calling thread.
pub async fn rehearse(
    blueprint: &Blueprint,
    state: &LedgerState,
    objects: &StateObjects,
    metrics: &Arc<Metrics>,
) -> Result<(), RehearsalError> {
    let plan = blueprint.plan_in_force(state)?;
    if let Some(decoded) = blueprint.decoded_in_force(state)? {
        blueprint.tree.try_references(&decoded)?;
    }
    // The running shadows may hold all seats that there are.
    let tree = Arc::new(plan.tree.without_shadows());
    for task in state.tasks.values().filter(|task| !task.state.is_empty()) {
        let start = TaskStart {
            partition: task.partition.clone(),
            generation: Generation::default(),
            position: task.position,
            max_event_time: task.max_event_time,
            state: objects.restore(&task.state).await?,
            suspect: None,
        };
        let decoder = Decoder::new(plan.decode.clone(), plan.records.clone())?;
        let clock = EventClock::new(plan.event_time.clone(), task.max_event_time, 0);
        Task::open(tree.clone(), decoder, clock, metrics.clone(), start)?;
    }
    Ok(())
}

/// Whether a configuration may come back after another one took its place.
#[derive(Debug, Clone, Copy)]
pub enum Comeback<'digest> {
    Allowed,
    /// Not by mistake, as when a worker starts with an old file: only if the configuration that is meant to be replaced is
    /// in force, and has been since then.
    Only {
        /// The entry that put it in force, and its digest.
        replaces: Option<(EntryNumber, &'digest str)>,
    },
}

/// What became of a configuration.
#[derive(Debug)]
pub enum PutInForce {
    InForce,
    /// It was in force once, and is left as it is.
    WasReplaced(Replaced),
}

/// Puts the configuration in force, if another one is. Workers on the other one take this one up, or stop.
pub async fn put_in_force(
    ledger: &Ledger,
    configuration: &Configuration,
    comeback: Comeback<'_>,
) -> Result<PutInForce, LedgerError> {
    loop {
        let state = ledger.refresh().await?;
        let in_force = &state.configuration.digest;
        if *in_force == configuration.digest {
            return Ok(PutInForce::InForce);
        }
        if let Comeback::Only { replaces } = comeback
            && replaces != Some((state.configured.entry, in_force.as_str()))
            && let Some(replaced) =
                state.replaced.iter().find(|replaced| replaced.configuration.digest == configuration.digest)
        {
            return Ok(PutInForce::WasReplaced(replaced.clone()));
        }
        tracing::info!(digest = configuration.digest, "the configuration changed; entering it in the ledger");
        // An incarnation of its own: the worker's proposals count from 1.
        let writer = Writer { incarnation: Uuid::new_v4(), epoch: 1 };
        let body = Body::Configure(Configure {
            replaces: state.configuration.digest.clone(),
            configuration: configuration.clone(),
        });
        let opened_at_ms = ledger.clock().now_ms();
        match ledger.append(Proposal { writer, opened_at_ms, body }).await? {
            Appended::Entered(_) => return Ok(PutInForce::InForce),
            lost => tracing::debug!(?lost, "somebody else changed the configuration too"),
        }
    }
}
