//! Other versions of reference tables under a running worker: read beside it, tried beside it, and in use from the next
//! cut on, in all its tasks at once.

use std::collections::VecDeque;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinHandle;
use tracing::{error, info};

use super::{Worker, WorkerError};
use crate::pipeline::references::{
    FreshTable, Refreshing, RefusedTable, StepReference, TableSwitch, names, rehearse, report,
};
use crate::pipeline::tree::LayerTree;
use crate::telemetry::Metrics;

/// A table that is being tried.
pub(super) struct Rehearsal {
    /// None once nobody wants to know: what it was tried for is no more.
    fresh: Option<FreshTable>,
    trial: JoinHandle<Result<TableSwitch, RefusedTable>>,
    given_up: Arc<AtomicBool>,
}

impl Rehearsal {
    /// Plugins run in it: they would hold up the runtime's own threads.
    fn start(
        fresh: FreshTable,
        trial: impl FnOnce(&AtomicBool) -> Result<TableSwitch, RefusedTable> + Send + 'static,
    ) -> Self {
        let given_up = Arc::new(AtomicBool::new(false));
        let told = given_up.clone();
        let trial = tokio::task::spawn_blocking(move || trial(&told));
        Self { fresh: Some(fresh), trial, given_up }
    }

    /// It ends when it has noticed.
    fn give_up(&mut self) -> Option<FreshTable> {
        self.given_up.store(true, Ordering::Relaxed);
        self.fresh.take()
    }
}

impl Drop for Rehearsal {
    fn drop(&mut self) {
        self.given_up.store(true, Ordering::Relaxed);
    }
}

/// Tables on their way into use, one at a time.
pub(super) struct References {
    pub refreshing: Refreshing,
    waiting: VecDeque<FreshTable>,
    /// Being tried beside the lanes. There is never a second one, whether anybody wants to know of this one or not.
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

    /// Those of another tree.
    pub fn replace(&mut self, references: &[StepReference], tree: &LayerTree, metrics: &Arc<Metrics>) {
        let mut rehearsal = self.rehearsal.take();
        drop(rehearsal.as_mut().and_then(Rehearsal::give_up));
        *self = Self { rehearsal, ..Self::new(references, tree, metrics) };
    }

    /// What was tried for the tasks as they were is to be tried again for those that there are now.
    pub fn try_again(&mut self) {
        let ready = self.ready.take().map(|(fresh, _)| fresh);
        let rehearsed = self.rehearsal.as_mut().and_then(Rehearsal::give_up);
        for fresh in ready.into_iter().chain(rehearsed) {
            self.waiting.push_front(fresh);
        }
    }

    /// Whether the table that waits first may be tried.
    fn is_free(&self) -> bool {
        self.rehearsal.is_none() && self.ready.is_none() && !self.waiting.is_empty()
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
        if !self.references.is_free() {
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
        let rehearsal = Rehearsal::start(fresh, move |given_up| {
            rehearse(&tree, &decoded, place, &table, partitions, given_up)
        });
        self.references.rehearsal = Some(rehearsal);
        Ok(())
    }

    /// What became of the table that was tried, unless nobody wants to know any more.
    pub(super) fn on_rehearsed(
        &mut self,
        fresh: Option<FreshTable>,
        rehearsed: Result<TableSwitch, RefusedTable>,
    ) -> Result<(), WorkerError> {
        match (fresh, rehearsed) {
            (Some(fresh), Ok(switch)) => self.references.ready = Some((fresh, switch)),
            (Some(fresh), Err(refusal)) => self.refuse_table(&fresh, &refusal),
            (None, _) => {}
        }
        self.rehearse_table()
    }

    /// The version before goes on.
    pub(super) fn refuse_table(&self, fresh: &FreshTable, refusal: &dyn Display) {
        let (layer, step) = names(&self.blueprint.tree, fresh.place);
        let version = &fresh.table.version;
        self.metrics.references.failed(&layer, &step);
        error!(
            layer,
            step, version, "the reference table is refused, and its version before goes on: {refusal}"
        );
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
) -> (Option<FreshTable>, Result<TableSwitch, RefusedTable>) {
    let outcome = match rehearsal {
        Some(rehearsal) => (&mut rehearsal.trial).await,
        None => std::future::pending().await,
    };
    let fresh = rehearsal.take().and_then(|mut rehearsal| rehearsal.fresh.take());
    (fresh, outcome.unwrap_or_else(|error| Err(RefusedTable::Failed(error.to_string()))))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use arrow::datatypes::Schema;
    use tokio::time::timeout;

    use super::*;
    use crate::pipeline::references::StepPlace;
    use crate::reference_table::ReferenceTable;

    fn fresh() -> FreshTable {
        let table = ReferenceTable {
            version: "v1".to_owned(),
            schema: Arc::new(Schema::empty()),
            batches: Vec::new(),
        };
        FreshTable::new(StepPlace { layer: 0, step: 0 }, Arc::new(table)).0
    }

    fn until_given_up(given_up: &AtomicBool) -> Result<TableSwitch, RefusedTable> {
        while !given_up.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Err(RefusedTable::OtherPlan)
    }

    #[tokio::test]
    async fn a_rehearsal_for_tasks_that_are_no_more_ends_before_the_next_one_starts() {
        let tree = LayerTree { layers: Vec::new(), sinks: Vec::new(), capturing: None };
        let metrics = Arc::new(Metrics::new(tree.step_names()));
        let mut references = References::new(&[], &tree, &metrics);
        references.rehearsal = Some(Rehearsal::start(fresh(), until_given_up));
        references.try_again();
        references.try_again();
        assert_eq!(references.waiting.len(), 1);
        assert!(!references.is_free(), "the first one still runs");
        let ended = timeout(Duration::from_secs(30), rehearsed(&mut references.rehearsal)).await;
        let (fresh, _) = ended.expect("it notices");
        assert!(fresh.is_none() && references.is_free());

        let waits = references.waiting.pop_front().expect("the table");
        references.rehearsal = Some(Rehearsal::start(waits, until_given_up));
        references.replace(&[], &tree, &metrics);
        assert!(references.waiting.is_empty() && references.rehearsal.is_some());
        let given_up = references.rehearsal.as_ref().map(|rehearsal| rehearsal.given_up.clone());
        drop(references);
        assert!(given_up.is_some_and(|given_up| given_up.load(Ordering::Relaxed)));
    }
}
