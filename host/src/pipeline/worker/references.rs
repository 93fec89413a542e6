//! Other versions of reference tables under a running worker: read beside it, tried beside it, and in use from the next
//! cut on, in all its tasks at once.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::task::JoinHandle;
use tracing::{error, info};

use super::{Worker, WorkerError};
use crate::pipeline::references::{
    FreshTable, Refreshing, RefusedTable, StepReference, TableSwitch, names, rehearse, report,
};
use crate::pipeline::tree::LayerTree;
use crate::telemetry::Metrics;

/// A table, and what becomes of it.
type Rehearsal = (FreshTable, JoinHandle<Result<TableSwitch, RefusedTable>>);

/// Tables on their way into use, one at a time.
pub(super) struct References {
    pub refreshing: Refreshing,
    waiting: VecDeque<FreshTable>,
    /// Being tried beside the lanes.
    pub rehearsal: Option<Rehearsal>,
    /// To be put in use at the next cut.
    ready: Option<(FreshTable, TableSwitch)>,
}

impl References {
    /// `tree` has the tables in use.
    pub fn new(references: &[StepReference], tree: &LayerTree, metrics: &Arc<Metrics>) -> Self {
        report(tree, metrics);
        let refreshing = Refreshing::start(references, tree, metrics);
        Self { refreshing, waiting: VecDeque::new(), rehearsal: None, ready: None }
    }

    /// What was tried for the tasks as they were is to be tried again for those that start anew.
    pub fn try_again(&mut self) {
        let ready = self.ready.take().map(|(fresh, _)| fresh);
        let rehearsed = self.rehearsal.take().map(|(fresh, _)| fresh);
        for fresh in ready.into_iter().chain(rehearsed) {
            self.waiting.push_front(fresh);
        }
    }

    pub fn take_ready(&mut self) -> Option<(FreshTable, TableSwitch)> {
        self.ready.take()
    }

    /// The table could not be put in use for reasons of others.
    pub fn put_back(&mut self, fresh: FreshTable) {
        self.waiting.push_front(fresh);
    }
}

impl Worker {
    pub(super) fn on_fresh_table(&mut self, fresh: FreshTable) -> Result<(), WorkerError> {
        self.references.waiting.push_back(fresh);
        self.rehearse_table()
    }

    /// Tries the table that waits first, unless another one is under way.
    pub(super) fn rehearse_table(&mut self) -> Result<(), WorkerError> {
        if self.references.rehearsal.is_some() || self.references.ready.is_some() {
            return Ok(());
        }
        let state = self.writer.ledger.state();
        // Under another schema the tasks start anew, and it is tried then.
        let decoded = match state.schema_version == self.epoch.schema_version {
            true => self.blueprint.decoded_in_force(&state)?,
            false => None,
        };
        let Some((fresh, decoded)) =
            decoded.and_then(|decoded| Some((self.references.waiting.pop_front()?, decoded)))
        else {
            return Ok(());
        };
        let (tree, place, table) = (self.blueprint.tree.clone(), fresh.place, fresh.table.clone());
        let partitions = self.tasks.owned.keys().cloned().collect();
        // Plugins run in it: they would hold up the runtime's own threads.
        let rehearsal =
            tokio::task::spawn_blocking(move || rehearse(&tree, &decoded, place, &table, partitions));
        self.references.rehearsal = Some((fresh, rehearsal));
        Ok(())
    }

    /// What became of the table that was tried. If it was refused, the version before goes on.
    pub(super) fn on_rehearsed(
        &mut self,
        fresh: FreshTable,
        rehearsed: Result<TableSwitch, RefusedTable>,
    ) -> Result<(), WorkerError> {
        match rehearsed {
            Ok(switch) => {
                self.references.ready = Some((fresh, switch));
                Ok(())
            }
            Err(refusal) => {
                let (layer, step) = names(&self.blueprint.tree, fresh.place);
                let version = &fresh.table.version;
                self.metrics.references.failed(&layer, &step);
                error!(
                    layer,
                    step,
                    version,
                    "the reference table is refused, and its version before goes on: {refusal}"
                );
                self.rehearse_table()
            }
        }
    }

    /// All tasks have been cut, and go on with the table.
    pub(super) fn note_switch(
        &mut self,
        fresh: &FreshTable,
        tree: Arc<LayerTree>,
    ) -> Result<(), WorkerError> {
        self.blueprint.tree = tree;
        let (layer, step) = names(&self.blueprint.tree, fresh.place);
        let (version, rows) = (&fresh.table.version, fresh.table.rows());
        info!(layer, step, version, rows, "the reference table has changed");
        self.metrics.references.in_use(&layer, &step, rows);
        self.rehearse_table()
    }
}

/// What became of the table that is being tried; waits for ever where there is none.
pub(super) async fn rehearsed(
    rehearsal: &mut Option<Rehearsal>,
) -> (FreshTable, Result<TableSwitch, RefusedTable>) {
    let outcome = match rehearsal {
        Some((_, trial)) => trial.await,
        None => std::future::pending().await,
    };
    let outcome = outcome.unwrap_or_else(|error| Err(RefusedTable::Failed(error.to_string())));
    match rehearsal.take() {
        Some((fresh, _)) => (fresh, outcome),
        None => std::future::pending().await,
    }
}
