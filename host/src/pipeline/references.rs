//! The reference tables of a worker's steps: read at the start, looked at while it runs, and put in the place of the
//! version before at a cut, in all tasks at once.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tracing::error;

use super::tree::{LayerTree, OpenLayer, StepSpec, TreeError};
use crate::plugin::{Step, StepError};
use crate::progress::TopicPartition;
use crate::reference::{ReferenceError, ReferenceSource, Stamp};
use crate::reference_table::ReferenceTable;
use crate::telemetry::Metrics;

/// A step by its places in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepPlace {
    pub layer: usize,
    pub step: usize,
}

/// Where a step's table is read, and how often it is looked at.
#[derive(Clone)]
pub struct StepReference {
    pub place: StepPlace,
    pub source: ReferenceSource,
    pub refresh: Option<Duration>,
    /// Of the table that was last read.
    pub stamp: Option<Stamp>,
}

#[derive(Debug, thiserror::Error)]
#[error("layer `{layer}`, step `{step}`: its reference table: {error}")]
pub struct ReadError {
    pub layer: String,
    pub step: String,
    pub error: ReferenceError,
}

/// Reads all tables, and gives them to their steps.
pub async fn read_all(references: &mut [StepReference], tree: &LayerTree) -> Result<LayerTree, ReadError> {
    let mut tree = tree.clone();
    for reference in references {
        let (stamp, table) = reference.source.read().await.map_err(|error| {
            let (layer, step) = names(&tree, reference.place);
            ReadError { layer, step, error }
        })?;
        reference.stamp = Some(stamp);
        tree = with_table(&tree, reference.place, Arc::new(table));
    }
    Ok(tree)
}

/// The tree with another table for one of its steps.
pub fn with_table(tree: &LayerTree, place: StepPlace, table: Arc<ReferenceTable>) -> LayerTree {
    let mut tree = tree.clone();
    let layer = tree.layers.get_mut(place.layer);
    if let Some(step) = layer.and_then(|layer| layer.steps.get_mut(place.step)) {
        step.reference = Some(table);
    }
    tree
}

fn step(tree: &LayerTree, place: StepPlace) -> Option<(&str, &StepSpec)> {
    let layer = tree.layers.get(place.layer)?;
    Some((&layer.name, layer.steps.get(place.step)?))
}

/// Of the layer and the step.
pub fn names(tree: &LayerTree, place: StepPlace) -> (String, String) {
    step(tree, place).map_or_else(Default::default, |(layer, step)| (layer.to_owned(), step.name.clone()))
}

/// The version in use of each table, by `layer/step`.
pub fn versions(tree: &LayerTree) -> BTreeMap<String, String> {
    let steps = tree.layers.iter().flat_map(|layer| layer.steps.iter().map(move |step| (layer, step)));
    steps
        .filter_map(|(layer, step)| {
            let table = step.reference.as_ref()?;
            Some((format!("{}/{}", layer.name, step.name), table.version.clone()))
        })
        .collect()
}

/// Says of each table that it is in use from now on.
pub fn report(tree: &LayerTree, metrics: &Metrics) {
    for layer in &tree.layers {
        for step in &layer.steps {
            if let Some(table) = &step.reference {
                metrics.references.in_use(&layer.name, &step.name, table.rows());
            }
        }
    }
}

/// A table that was read because it had changed.
pub struct FreshTable {
    pub place: StepPlace,
    pub table: Arc<ReferenceTable>,
    /// Until this is dropped, the table is not looked at again: at most one version waits beside that in use.
    _turn: oneshot::Sender<Infallible>,
}

impl FreshTable {
    /// With what ends when it is dropped.
    pub fn new(place: StepPlace, table: Arc<ReferenceTable>) -> (Self, oneshot::Receiver<Infallible>) {
        let (turn, taken) = oneshot::channel();
        (Self { place, table, _turn: turn }, taken)
    }
}

/// Looks at the tables in the background, until it is dropped.
pub struct Refreshing {
    pub fresh: mpsc::UnboundedReceiver<FreshTable>,
    _tasks: JoinSet<()>,
}

impl Refreshing {
    /// `tree` has the tables in use.
    pub fn start(references: &[StepReference], tree: &LayerTree, metrics: &Arc<Metrics>) -> Self {
        let (found, fresh) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        for reference in references {
            let Some(every) = reference.refresh else { continue };
            let (layer, step) = names(tree, reference.place);
            let look =
                Look { reference: reference.clone(), layer, step, failure: None, metrics: metrics.clone() };
            tasks.spawn(look.run(every, found.clone()));
        }
        Self { fresh, _tasks: tasks }
    }
}

struct Look {
    reference: StepReference,
    layer: String,
    step: String,
    /// What went wrong the last time: the same again is not logged again.
    failure: Option<String>,
    metrics: Arc<Metrics>,
}

impl Look {
    async fn run(mut self, every: Duration, found: mpsc::UnboundedSender<FreshTable>) {
        loop {
            tokio::time::sleep(every).await;
            let table = match self.read_if_changed().await {
                Ok(table) => table,
                Err(error) => {
                    self.failed(&error);
                    continue;
                }
            };
            self.failure = None;
            let Some(table) = table else { continue };
            let (fresh, taken) = FreshTable::new(self.reference.place, table);
            if found.send(fresh).is_err() {
                return;
            }
            // Nothing is ever sent: it waits until the table is in use, or refused.
            let _ = taken.await;
        }
    }

    async fn read_if_changed(&mut self) -> Result<Option<Arc<ReferenceTable>>, ReferenceError> {
        let source = &self.reference.source;
        if Some(source.stamp().await?) == self.reference.stamp {
            return Ok(None);
        }
        let (stamp, table) = source.read().await?;
        self.reference.stamp = Some(stamp);
        Ok(Some(Arc::new(table)))
    }

    fn failed(&mut self, error: &ReferenceError) {
        self.metrics.references.failed(&self.layer, &self.step);
        let what = error.to_string();
        if self.failure.as_ref() != Some(&what) {
            let (layer, step) = (&self.layer, &self.step);
            error!(
                layer,
                step, "the reference table is not refreshed, and its version before goes on: {what}"
            );
        }
        self.failure = Some(what);
    }
}

/// A table that was tried, to be put in the place of the version before.
pub struct TableSwitch {
    pub place: StepPlace,
    /// With the table.
    pub tree: Arc<LayerTree>,
    /// The steps of some tasks, with the table loaded. The others open theirs at the cut.
    pub ready: HashMap<TopicPartition, Step>,
}

#[derive(Debug, thiserror::Error)]
pub enum RefusedTable {
    #[error(transparent)]
    Open(#[from] TreeError),
    #[error(transparent)]
    Load(#[from] StepError),
    #[error(
        "its columns have changed so that the step would give other columns than before: start the worker again, or change \
         the step in the pipeline file"
    )]
    OtherPlan,
    #[error("trying it failed: {0}")]
    Failed(String),
}

/// Steps that wait for a cut with a table loaded. Each takes an instance beside the one in use, with its memory.
const MOST_READY: usize = 16;

/// Opens the step over the new table beside those that run, and loads the table into it: once to see that it can be used,
/// and for a few more partitions, so that their tasks do not wait for it. Runs plugins on the calling thread. Ends soon
/// once it is given up.
pub fn rehearse(
    tree: &LayerTree,
    decoded: &SchemaRef,
    place: StepPlace,
    table: &Arc<ReferenceTable>,
    partitions: Vec<TopicPartition>,
    given_up: &AtomicBool,
) -> Result<TableSwitch, RefusedTable> {
    let next = Arc::new(with_table(tree, place, table.clone()));
    let mut after = next.open(decoded)?;
    if !agree(&tree.open(decoded)?, &after) {
        return Err(RefusedTable::OtherPlan);
    }
    let mut ready = HashMap::new();
    let first = after.get_mut(place.layer).filter(|layer| place.step < layer.steps.len());
    let first = first.map(|layer| layer.steps.swap_remove(place.step));
    // Only this one is needed any more.
    drop(after);
    if let Some((first, (layer, spec))) = first.zip(step(&next, place)) {
        let input = first.input_schema().clone();
        let mut first = Some(prepared(first, given_up)?);
        for partition in partitions.into_iter().take(MOST_READY) {
            if given_up.load(Ordering::Relaxed) {
                return Err(RefusedTable::Failed("nobody waits for it any more".to_owned()));
            }
            let step = match first.take() {
                Some(step) => step,
                None => prepared(spec.open(layer, &input).map_err(TreeError::from)?, given_up)?,
            };
            ready.insert(partition, step);
        }
    }
    Ok(TableSwitch { place, tree: next, ready })
}

/// Whether the rows of all steps are of the same columns, with the same rules.
fn agree(before: &[OpenLayer], after: &[OpenLayer]) -> bool {
    let steps = |open: &[OpenLayer]| open.iter().map(|layer| layer.steps.len()).sum::<usize>();
    let mut pairs =
        before.iter().zip(after).flat_map(|(before, after)| before.steps.iter().zip(&after.steps));
    steps(before) == steps(after) && pairs.all(|(before, after)| before.agrees_with(after))
}

fn prepared(mut step: Step, given_up: &AtomicBool) -> Result<Step, StepError> {
    step.prepare_unless(given_up)?;
    Ok(step)
}

/// Another version of the table for a step that runs: `ready`, if it is for the same rows, else opened now.
pub fn switched(
    running: &Step,
    spec: &StepSpec,
    layer: &str,
    ready: Option<Step>,
) -> Result<Step, RefusedTable> {
    match ready.filter(|ready| ready.input_schema() == running.input_schema()) {
        Some(ready) => Ok(ready),
        None => Ok(prepared(
            spec.open(layer, running.input_schema()).map_err(TreeError::from)?,
            &AtomicBool::new(false),
        )?),
    }
}
