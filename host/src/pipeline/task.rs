//! A task: one partition's records through the whole tree of layers.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use bytes::Bytes;

use super::capturing::{Scene, StateAtCut};
use super::event_clock::EventClock;
use super::outputs::{Outputs, WriteError};
use super::passage::Passage;
use super::references::{RefusedTable, StepPlace, switched};
use super::shadow::Shadow;
use super::side_rows;
use super::suspect::Suspect;
use super::tree::{DEAD_LETTERS, LayerTree, OpenLayer, TreeError, decoded_schema};
use crate::batch::RawBatch;
use crate::changes::{StateChanges, StateKind, StateLayout};
use crate::decode::columns::host_columns;
use crate::decode::{Decoded, DecodedRows, Decoder};
use crate::plugin::{Metric, Recycling, Step, StepError};
use crate::progress::{Accounting, LayerCounts, OffsetRange, TopicPartition};
use crate::schema::RecordSchema;
use crate::source::Generation;
use crate::state::{self, StateError};
use crate::telemetry::Metrics;

/// Where a task goes on: what the ledger's last entry of it says.
pub struct TaskStart {
    pub partition: TopicPartition,
    pub generation: Generation,
    pub position: i64,
    pub max_event_time: Option<i64>,
    pub state: Vec<StoredState>,
    pub suspect: Option<Suspect>,
}

/// The state of one step as it was stored: encoded changes, the first of which may be a base.
pub struct StoredState {
    pub layer: String,
    pub step: String,
    pub links: Vec<StoredLink>,
}

/// One segment's bytes, with the digest that the ledger has of them.
pub struct StoredLink {
    pub bytes: Bytes,
    pub sha256: String,
}

impl StoredState {
    /// The whole state and its layout; `None` without links.
    pub fn fold(&self) -> Result<Option<(StateLayout, RecordBatch)>, StateError> {
        state::fold(self.links.iter().map(|link| (&*link.bytes, &*link.sha256)))
    }
}

pub struct Task {
    tree: Arc<LayerTree>,
    partition: TopicPartition,
    generation: Generation,
    retired: bool,
    range: OffsetRange,
    /// Kept until it is cut.
    suspect: Option<Suspect>,
    /// For captures, as long as there are suspects.
    state_at_cut: Option<StateAtCut>,
    decoder: Decoder,
    clock: EventClock,
    metrics: Arc<Metrics>,
    layers: Vec<OpenLayer>,
    accounting: Accounting,
}

/// What processing a batch came to.
pub enum Processed {
    Done,
    /// The batch held suspects: what was done is to be cut before anything else.
    Tried,
    /// Nothing was done: the records ask for this schema first.
    SchemaChange(RecordSchema),
}

/// A task's part of a closed epoch.
pub struct TaskCut {
    pub partition: TopicPartition,
    pub range: OffsetRange,
    pub accounting: Accounting,
    pub max_event_time: Option<i64>,
    pub watermark: Option<i64>,
    pub state: Vec<StepChanges>,
    /// Whether an instance that keeps state has grown so far that the task is to be opened anew.
    pub is_outgrown: bool,
}

/// What changed in one step's state since the last cut.
pub struct StepChanges {
    pub layer: String,
    pub step: String,
    pub kind: StateKind,
    pub layout: StateLayout,
    pub changes: StateChanges,
}

/// Why a task cannot go on, and where it stood.
#[derive(Debug, thiserror::Error)]
#[error("{partition} {range}: {fault}")]
pub struct TaskError {
    pub partition: TopicPartition,
    pub range: OffsetRange,
    pub fault: Box<TaskFault>,
}

impl TaskError {
    pub fn is_broken_step(&self) -> bool {
        matches!(*self.fault, TaskFault::Step(StepError::Broken { .. }))
    }
}

#[derive(Debug, thiserror::Error)]
pub enum TaskFault {
    #[error(transparent)]
    Open(#[from] TreeError),
    #[error(transparent)]
    Step(#[from] StepError),
    #[error("another version of a reference table: {0}")]
    Reference(#[from] RefusedTable),
    #[error(
        "layer `{layer}`, step `{step}`: the state cannot be restored: {what}. Go back to the plugin that wrote it, or \
         start a new pipeline `id`"
    )]
    Restore { layer: String, step: String, what: String },
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Arrow(#[from] ArrowError),
}

impl Task {
    pub fn open(
        tree: Arc<LayerTree>,
        decoder: Decoder,
        clock: EventClock,
        metrics: Arc<Metrics>,
        start: TaskStart,
    ) -> Result<Self, TaskError> {
        let (partition, range) = (start.partition, OffsetRange::empty_at(start.position));
        let failed =
            |fault: TaskFault| TaskError { partition: partition.clone(), range, fault: Box::new(fault) };
        let decoded = decoded_schema(decoder.output_schema());
        let mut layers = tree.open(&decoded).map_err(|error| failed(error.into()))?;
        tree.open_shadows(&mut layers);
        let mut state_at_cut =
            (start.suspect.is_some() && tree.capturing.is_some()).then(StateAtCut::default);
        for state in &start.state {
            let layer = tree.layers.iter().zip(&mut layers).find(|(spec, _)| spec.name == state.layer);
            let Some((spec, open)) = layer else { continue };
            let Some(index) = spec.steps.iter().position(|spec| spec.name == state.step) else { continue };
            let stored = restore(&mut open.steps[index], state).map_err(|what| {
                let (layer, step) = (state.layer.clone(), state.step.clone());
                failed(TaskFault::Restore { layer, step, what })
            })?;
            if let Some(shadow) = &mut open.shadows[index] {
                shadow.restore(|step| restore(step, state).map(drop));
            }
            if let Some((known, (layout, rows))) = state_at_cut.as_mut().zip(stored) {
                known.restored(&state.layer, &state.step, layout, rows);
            }
        }
        if state_at_cut.is_some() {
            layers.iter_mut().flat_map(|layer| &mut layer.steps).for_each(|step| step.keep_last_call(true));
        }
        for (spec, open) in tree.layers.iter().zip(&mut layers) {
            spec.prepare(open).map_err(|error| failed(error.into()))?;
        }
        Ok(Self {
            range,
            partition,
            generation: start.generation,
            retired: false,
            suspect: start.suspect,
            state_at_cut,
            accounting: Accounting::default(),
            tree,
            decoder,
            clock,
            metrics,
            layers,
        })
    }

    /// Whether the batch is the next of this task; one that was fetched for an earlier start is not.
    pub fn expects(&self, batch: &RawBatch, generation: Generation) -> bool {
        !self.retired && self.generation == generation && self.range.to == batch.range.from
    }

    /// Where the batch is to be divided before its first part is processed.
    pub fn divides(&self, batch: &RawBatch) -> Option<i64> {
        self.suspect.as_ref()?.divides(batch.range)
    }

    /// Whether what was done is to be cut before the batch is processed.
    pub fn must_cut_before(&self, batch: &RawBatch) -> bool {
        !self.range.is_empty() && self.suspect.as_ref().is_some_and(|suspect| suspect.covers(batch.range))
    }

    /// Takes no more batches; what was done is still to be cut.
    pub fn retire(&mut self) {
        self.retired = true;
    }

    /// Takes a batch through all layers. After an error the task must not be used again: its epoch is lost.
    pub fn process(
        &mut self,
        raw: &RawBatch,
        now_us: i64,
        out: &mut Outputs,
    ) -> Result<Processed, TaskError> {
        let decoded = match self.decoder.decode(raw) {
            Decoded::SchemaChange(next) => return Ok(Processed::SchemaChange(next)),
            // No layer runs before a schema is known, not even an empty one.
            Decoded::Rows(decoded) if self.tree.layers.is_empty() && decoded.batch.num_rows() > 0 => {
                return Ok(Processed::SchemaChange(self.decoder.schema().clone()));
            }
            Decoded::Rows(decoded) => decoded,
        };
        if raw.lost {
            self.accounting.lost += raw.range.length();
        }
        self.accounting.records += raw.records.len() as u64;
        self.accounting.dead_letters += decoded.dead.len() as u64;
        if !decoded.dead.is_empty() {
            let dead = decoded.dead.iter().map(|dead| (dead.record as usize, dead.reason.as_str()));
            let rows = side_rows::undecodable(raw, dead).map_err(|error| self.failed(error))?;
            out.write(DEAD_LETTERS, &rows).map_err(|error| self.failed(error))?;
        }
        // Offsets without records are no sign of life.
        if !raw.records.is_empty() {
            let rows = self.with_host_columns(raw, decoded, now_us).map_err(|error| self.failed(error))?;
            self.run_layers(rows, raw.range, Some(raw), out)?;
        }
        self.range.to = raw.range.to;
        let tried = self.suspect.as_ref().is_some_and(|suspect| suspect.covers(raw.range));
        Ok(if tried { Processed::Tried } else { Processed::Done })
    }

    /// Lets the watermark of a task without records follow the wall clock, where the pipeline says so.
    pub fn advance_idle(&mut self, now_us: i64, out: &mut Outputs) -> Result<(), TaskError> {
        if self.retired || !self.clock.advance_idle(now_us) {
            return Ok(());
        }
        let none = RecordBatch::new_empty(decoded_schema(self.decoder.output_schema()));
        self.run_layers(none, OffsetRange::empty_at(self.range.to), None, out)
    }

    /// Hands over what happened since the last cut, and starts anew after it. `None` if nothing happened.
    pub fn cut(&mut self) -> Result<Option<TaskCut>, TaskError> {
        let moved = self.clock.take_moved();
        if self.range.is_empty() && !moved {
            return Ok(None);
        }
        let mut state = Vec::new();
        let mut is_outgrown = false;
        for (spec, open) in self.tree.layers.iter().zip(&mut self.layers) {
            for (step_spec, step) in spec.steps.iter().zip(&mut open.steps) {
                let changes = step.changes();
                if let (Some(call), Some(capturing)) = (step.take_faulty_call(), &self.tree.capturing) {
                    let (suspect, state) = (self.suspect.as_ref(), self.state_at_cut.as_ref());
                    let scene = Scene { partition: &self.partition, range: self.range, suspect, state };
                    capturing.keep(&scene, spec, step_spec, step, call);
                }
                let changes = changes.map_err(|error| TaskError {
                    partition: self.partition.clone(),
                    range: self.range,
                    fault: Box::new(error.into()),
                })?;
                if let Some((layout, (kind, changes))) = step.state_layout().cloned().zip(changes) {
                    let (layer, step) = (spec.name.clone(), step_spec.name.clone());
                    state.push(StepChanges { layer, step, kind, layout, changes });
                    if let (Some(known), Some(changes)) = (&mut self.state_at_cut, state.last()) {
                        known.cut(changes);
                    }
                }
                for (name, metric) in step.take_metrics() {
                    let (layer, step) = (&spec.name, &step_spec.name);
                    match metric {
                        Metric::Count(add) => self.metrics.plugins.counted(layer, step, &name, add),
                        Metric::Gauge(value) => self.metrics.plugins.gauge(layer, step, &name, value),
                    }
                }
                // A task that was retired is opened anew in any case.
                let recycling = if self.retired { Recycling::NotNeeded } else { step.recycle() };
                if recycling != Recycling::NotNeeded {
                    self.metrics.plugins.recycled(&spec.name, &step_spec.name);
                }
                is_outgrown |= recycling == Recycling::Needed;
            }
            open.shadows.iter_mut().flatten().for_each(Shadow::cut);
        }
        let range = self.range;
        self.range = OffsetRange::empty_at(range.to);
        self.suspect = self.suspect.take().and_then(|suspect| suspect.passed(range.to));
        if self.suspect.is_none() && self.state_at_cut.take().is_some() {
            let steps = self.layers.iter_mut().flat_map(|layer| &mut layer.steps);
            steps.for_each(|step| step.keep_last_call(false));
        }
        Ok(Some(TaskCut {
            partition: self.partition.clone(),
            range,
            accounting: std::mem::take(&mut self.accounting),
            max_event_time: self.clock.max_event_time(),
            watermark: self.clock.watermark(),
            state,
            is_outgrown,
        }))
    }

    /// Goes on with another version of a step's table; to be called right after a cut.
    pub fn switch(
        &mut self,
        place: StepPlace,
        tree: &Arc<LayerTree>,
        ready: Option<Step>,
    ) -> Result<(), TaskError> {
        let spec = tree.layers.get(place.layer);
        let spec = spec.and_then(|layer| Some((&layer.name, layer.steps.get(place.step)?)));
        let running = self.layers.get_mut(place.layer).and_then(|layer| layer.steps.get_mut(place.step));
        if let Some(((layer, spec), running)) = spec.zip(running) {
            match switched(running, spec, layer, ready) {
                Ok(next) => *running = next,
                Err(error) => return Err(self.failed(error)),
            }
        }
        self.tree = tree.clone();
        Ok(())
    }

    fn with_host_columns(
        &mut self,
        raw: &RawBatch,
        decoded: DecodedRows,
        now_us: i64,
    ) -> Result<RecordBatch, ArrowError> {
        let schema = decoded_schema(&decoded.batch.schema());
        let positions = host_columns(raw, &decoded.records).map(|(_, column)| column);
        let times = self.clock.advance(&decoded.batch, &positions[3], now_us)?;
        let columns = decoded.batch.columns().iter().cloned().chain(positions).chain(times).collect();
        RecordBatch::try_new(schema, columns)
    }

    fn run_layers(
        &mut self,
        decoded: RecordBatch,
        range: OffsetRange,
        raw: Option<&RawBatch>,
        out: &mut Outputs,
    ) -> Result<(), TaskError> {
        let Self { tree, layers, accounting, partition, clock, suspect, metrics, state_at_cut, .. } = self;
        let suspect = suspect.as_ref().filter(|suspect| suspect.covers(range));
        let (watermark, capturing, state) =
            (clock.watermark(), tree.capturing.as_ref(), state_at_cut.as_ref());
        let passage = Passage { partition, range, raw, watermark, suspect, metrics, capturing, state };
        let mut produced: Vec<RecordBatch> = Vec::with_capacity(layers.len());
        for (spec, open) in tree.layers.iter().zip(layers) {
            let rows = spec.parent.and_then(|parent| produced.get(parent)).unwrap_or(&decoded).clone();
            let mut counts = LayerCounts { rows_in: rows.num_rows() as u64, ..LayerCounts::default() };
            let rows = passage.run_steps(spec, open, rows, &mut counts, out)?;
            counts.rows_out = rows.num_rows() as u64;
            accounting.layers.entry(spec.name.clone()).or_default().add(&counts);
            produced.push(rows);
        }
        Ok(())
    }

    fn failed(&self, fault: impl Into<TaskFault>) -> TaskError {
        TaskError { partition: self.partition.clone(), range: self.range, fault: Box::new(fault.into()) }
    }
}

/// The layout and the rows that were restored, if there were any.
fn restore(step: &mut Step, stored: &StoredState) -> Result<Option<(StateLayout, RecordBatch)>, String> {
    if step.state_layout().is_none() {
        return Err("the plugin keeps no state any more".to_owned());
    }
    let stored = stored.fold().map_err(|error| error.to_string())?;
    if let Some((layout, rows)) = &stored {
        step.restore(layout, rows).map_err(|error| error.to_string())?;
    }
    Ok(stored)
}
