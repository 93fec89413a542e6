//! One running instance of a plugin, and its calls.

use std::time::Duration;

use wasmtime::component::InstancePre;
use wasmtime::{PoolConcurrencyLimitError, Store, UpdateDeadline};

use super::bindings::{aggregate, describe, records, reference, state, transform, types};
use super::component::{Exports, LogicIndices};
use super::error::Fault;
use super::guest::{Guest, Metrics};
use super::limits::Limits;
use super::lower::LoweredColumn;
use super::text::sanitised;

const MAX_MESSAGE: usize = 2048;

/// An instance with its own memory. After a fault that [ends it](Fault::ends_instance) it must be dropped.
pub(super) struct Instance {
    store: Store<Guest>,
    describe: describe::Guest,
    logic: Logic,
    state: Option<state::Guest>,
    reference: Option<reference::Guest>,
    /// Columns of the step's table that it waits for.
    wanted_columns: Option<Vec<usize>>,
    output_bytes: usize,
    /// Bytes of memory that it had when it was open and its state, if any, restored.
    settled_memory: usize,
}

enum Logic {
    Transform(transform::Guest),
    Records(records::Guest),
    Aggregate(aggregate::Guest),
}

/// What the plugin agrees to in `open`, as it says it.
pub(super) enum StatedPlan {
    Transform(types::TransformPlan),
    Aggregate(aggregate::Plan),
}

/// What the plugin gives back for a batch, as it says it.
pub(super) enum StatedOutcome {
    Transform(transform::Outcome),
    Aggregate(aggregate::Emission),
}

impl Instance {
    pub fn start(
        pre: &InstancePre<Guest>,
        exports: &Exports,
        guest: Guest,
        limits: &Limits,
        cpu: Duration,
    ) -> Result<Self, Fault> {
        let mut store = Store::new(pre.engine(), guest);
        store.limiter(|guest| &mut guest.meter);
        store.set_hostcall_fuel(limits.output_bytes);
        // Set before anything of the plugin runs: instantiation runs its start function.
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|mut context| {
            Ok(match context.data_mut().meter.check_time() {
                true => UpdateDeadline::Interrupt,
                false => UpdateDeadline::Continue(1),
            })
        });
        store.data_mut().start_call(cpu);
        let instance = pre.instantiate(&mut store);
        store.data_mut().end_call();
        let instance = instance.map_err(|error| {
            Fault::Instantiate(match error.is::<PoolConcurrencyLimitError>() {
                true => format!(
                    "this worker runs as many plugin instances as it can: {error:#}. Start more workers, which share the \
                     partitions, or have fewer steps"
                ),
                false => classify(&store, &error, limits.output_bytes).to_string(),
            })
        })?;
        let unlike = |error: wasmtime::Error| {
            let error = sanitised(&format!("{error:#}"), MAX_MESSAGE);
            Fault::Instantiate(format!("its functions are not those of the contract: {error}"))
        };
        let describe = exports.describe.load(&mut store, &instance).map_err(unlike)?;
        let logic = match &exports.logic {
            LogicIndices::Transform(indices) => {
                Logic::Transform(indices.load(&mut store, &instance).map_err(unlike)?)
            }
            LogicIndices::Records(indices) => {
                Logic::Records(indices.load(&mut store, &instance).map_err(unlike)?)
            }
            LogicIndices::Aggregate(indices) => {
                Logic::Aggregate(indices.load(&mut store, &instance).map_err(unlike)?)
            }
        };
        let state = exports.state.as_ref().map(|indices| indices.load(&mut store, &instance));
        let state = state.transpose().map_err(unlike)?;
        let reference = exports.reference.as_ref().map(|indices| indices.load(&mut store, &instance));
        let reference = reference.transpose().map_err(unlike)?;
        Ok(Self {
            store,
            describe,
            logic,
            state,
            reference,
            wanted_columns: None,
            output_bytes: limits.output_bytes,
            settled_memory: 0,
        })
    }

    pub fn describe(&mut self, cpu: Duration) -> Result<describe::Description, Fault> {
        let describe = self.describe.clone();
        self.call(cpu, |store| describe.call_describe(store).map(Ok))
    }

    pub fn open(
        &mut self,
        cpu: Duration,
        config: &str,
        input: &[types::FieldParam<'_>],
    ) -> Result<StatedPlan, Fault> {
        let plan = match &self.logic {
            Logic::Transform(guest) => {
                let guest = guest.clone();
                self.call(cpu, |store| guest.call_open(store, config, input)).map(StatedPlan::Transform)
            }
            Logic::Records(guest) => {
                let guest = guest.clone();
                self.call(cpu, |store| guest.call_open(store, config, input)).map(StatedPlan::Transform)
            }
            Logic::Aggregate(guest) => {
                let guest = guest.clone();
                self.call(cpu, |store| guest.call_open(store, config, input)).map(StatedPlan::Aggregate)
            }
        };
        self.settle_memory();
        plan
    }

    /// Hands over a batch as columns. `watermark` concerns aggregates only, in microseconds.
    pub fn process(
        &mut self,
        cpu: Duration,
        rows: usize,
        columns: &[LoweredColumn],
        watermark: Option<i64>,
    ) -> Result<StatedOutcome, Fault> {
        let columns: Vec<_> = columns.iter().map(LoweredColumn::param).collect();
        let batch = batch_param(rows, &columns)?;
        match &self.logic {
            Logic::Transform(guest) => {
                let guest = guest.clone();
                self.call(cpu, |store| guest.call_apply(store, batch)).map(StatedOutcome::Transform)
            }
            Logic::Aggregate(guest) => {
                let guest = guest.clone();
                self.call(cpu, |store| guest.call_update(store, batch, watermark))
                    .map(StatedOutcome::Aggregate)
            }
            Logic::Records(_) => Err(Fault::Malformed("the plugin takes rows as JSON only".to_owned())),
        }
    }

    /// Hands over rows as JSON.
    pub fn process_records(&mut self, cpu: Duration, rows: &str) -> Result<records::Outcome, Fault> {
        match &self.logic {
            Logic::Records(guest) => {
                let guest = guest.clone();
                self.call(cpu, |store| guest.call_apply(store, rows))
            }
            _ => Err(Fault::Malformed("the plugin takes columns only".to_owned())),
        }
    }

    pub fn state_layout(&mut self, cpu: Duration) -> Result<state::FieldsResult, Fault> {
        let state = self.state()?;
        self.call(cpu, |store| state.call_layout(store))
    }

    pub fn state_migrate(&mut self, cpu: Duration, stored: state::FieldsParam<'_>) -> Result<(), Fault> {
        let state = self.state()?;
        self.call(cpu, |store| state.call_migrate(store, stored))
    }

    pub fn state_changes(&mut self, cpu: Duration) -> Result<state::Delta, Fault> {
        let state = self.state()?;
        self.call(cpu, |store| state.call_changes(store))
    }

    pub fn state_restore(
        &mut self,
        cpu: Duration,
        rows: usize,
        columns: &[LoweredColumn],
    ) -> Result<(), Fault> {
        let state = self.state()?;
        let columns: Vec<_> = columns.iter().map(LoweredColumn::param).collect();
        let batch = batch_param(rows, &columns)?;
        let restored = self.call(cpu, |store| state.call_restore(store, batch));
        self.settle_memory();
        restored
    }

    /// The columns of a table that `load` is to get, as the plugin names them. To be called before `open`.
    pub fn reference_columns(
        &mut self,
        cpu: Duration,
        config: &str,
        table: &[types::FieldParam<'_>],
    ) -> Result<Vec<String>, Fault> {
        let reference = self.reference()?;
        self.call(cpu, |store| reference.call_columns(store, config, table))
    }

    pub fn reference_load(
        &mut self,
        cpu: Duration,
        rows: usize,
        columns: &[LoweredColumn],
    ) -> Result<(), Fault> {
        let reference = self.reference()?;
        let columns: Vec<_> = columns.iter().map(LoweredColumn::param).collect();
        let batch = batch_param(rows, &columns)?;
        let loaded = self.call(cpu, |store| reference.call_load(store, batch));
        self.settle_memory();
        loaded
    }

    pub fn want_columns(&mut self, columns: Vec<usize>) {
        self.wanted_columns = Some(columns);
    }

    /// Nothing, if it has them or wants none.
    pub fn take_wanted_columns(&mut self) -> Option<Vec<usize>> {
        self.wanted_columns.take()
    }

    /// Bytes of linear memory, all memories together.
    pub fn memory(&self) -> usize {
        self.store.data().meter.memory_used()
    }

    /// The same when it was ready for its first batch.
    pub fn settled_memory(&self) -> usize {
        self.settled_memory
    }

    fn settle_memory(&mut self) {
        self.settled_memory = self.memory();
    }

    pub fn metrics(&self) -> &Metrics {
        &self.store.data().metrics
    }

    pub fn into_metrics(self) -> Metrics {
        self.store.into_data().metrics
    }

    fn state(&self) -> Result<state::Guest, Fault> {
        self.state.clone().ok_or_else(|| Fault::Malformed("the plugin has no state".to_owned()))
    }

    fn reference(&self) -> Result<reference::Guest, Fault> {
        self.reference.clone().ok_or_else(|| Fault::Malformed("the plugin looks nothing up".to_owned()))
    }

    fn call<T>(
        &mut self,
        cpu: Duration,
        call: impl FnOnce(&mut Store<Guest>) -> wasmtime::Result<Result<T, types::Error>>,
    ) -> Result<T, Fault> {
        self.store.data_mut().start_call(cpu);
        let result = call(&mut self.store);
        self.store.data_mut().end_call();
        match result {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(types::Error::Config(what))) => Err(Fault::Config(sanitised(&what, MAX_MESSAGE))),
            Ok(Err(types::Error::Schema(what))) => Err(Fault::Schema(sanitised(&what, MAX_MESSAGE))),
            Ok(Err(types::Error::Data(what))) => Err(Fault::Data(sanitised(&what, MAX_MESSAGE))),
            Err(error) => Err(classify(&self.store, &error, self.output_bytes)),
        }
    }
}

fn batch_param<'a>(
    rows: usize,
    columns: &'a [types::ColumnParam<'a>],
) -> Result<types::BatchParam<'a>, Fault> {
    let rows =
        u32::try_from(rows).map_err(|_| Fault::Malformed(format!("a batch cannot have {rows} rows")))?;
    Ok(types::BatchParam { rows, columns })
}

fn classify(store: &Store<Guest>, error: &wasmtime::Error, output_bytes: usize) -> Fault {
    let meter = &store.data().meter;
    if meter.out_of_time() {
        return Fault::Time(meter.cpu_limit());
    }
    if meter.out_of_memory() {
        return Fault::Memory(meter.memory_limit());
    }
    let text = format!("{error:#}");
    // wasmtime keeps the type of this error to itself.
    if text.contains("fuel allocated for hostcalls has been exhausted") {
        return Fault::Output(output_bytes);
    }
    // The last line of a trap says why; the lines before it are frames of the plugin.
    let reason = match error.downcast_ref::<wasmtime::Trap>() {
        Some(trap) => trap.to_string(),
        None => text,
    };
    // Runtimes of scripting languages have one trap for all exceptions, and write why to their standard error.
    let words = store.data().last_words().map_or_else(String::new, |words| format!("; it said: {words}"));
    Fault::Trap(sanitised(&(reason + &words), MAX_MESSAGE))
}
