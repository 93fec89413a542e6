//! A step: a plugin opened for one task, with its configuration and limits.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{Schema, SchemaRef};

use crate::changes::StateLayout;
use crate::progress::StepCounts;
use crate::reference_table::ReferenceTable;

use super::component::{Plugin, PluginKind};
use super::error::{At, Fault, PluginError, StepError};
use super::fates::Fates;
use super::faulty_call::CallNotes;
use super::grants::Grants;
use super::guest::{Guest, Metric, Metrics};
use super::instance::Instance;
use super::limits::Limits;
use super::lower::lower;
use super::outcome::{Outcome, Rejected};
use super::plan::Plan;
use super::rows::Rows;
use super::{config, reference, schema, state};

/// What becomes of rows that break a plugin, or get a `data` error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnError {
    /// They come back apart from the others, in [`StepOutcome::failed`]; those that break a stateful step are
    /// for the caller to find ([`StepError::Broken`]).
    #[default]
    SetAside,
    /// The first of them stops the pipeline.
    Stop,
}

/// Settings of a [`Step`].
#[derive(Debug, Clone)]
pub struct StepSettings {
    pub layer: Arc<str>,
    pub step: Arc<str>,
    /// Checked against the plugin's JSON Schema, and handed to it as text.
    pub config: serde_json::Value,
    pub limits: Limits,
    pub on_error: OnError,
    pub grants: Arc<Grants>,
}

/// A plugin at work in one task. It owns its instance and stays on its task's thread.
pub struct Step {
    plugin: Arc<Plugin>,
    pub(super) at: At,
    config: String,
    grants: Arc<Grants>,
    pub(super) limits: Limits,
    pub(super) on_error: OnError,
    pub(super) input: SchemaRef,
    pub(super) plan: Plan,
    pub(super) layout: Option<StateLayout>,
    /// What the plugin looks rows up in.
    pub(super) reference: Option<Arc<ReferenceTable>>,
    /// None before the first call, and after a fault.
    pub(super) instance: Option<Instance>,
    /// Of instances that are gone.
    metrics: Metrics,
    /// As they were when they were last taken.
    taken_metrics: Metrics,
    /// A stateful instance was lost, and nobody has restored it.
    pub(super) is_broken: bool,
    /// The state was stored in another layout, and not handed over in its own yet.
    pub(super) is_migrated: bool,
    pub(super) notes: CallNotes,
}

/// What became of a batch.
#[derive(Debug)]
pub struct StepOutcome {
    /// What goes on to the next step.
    pub rows: Rows,
    /// Of the rows that came in.
    pub fates: Fates,
    pub counts: StepCounts,
    pub rejected: Option<Rejected>,
    pub failed: Option<Failed>,
}

/// Rows that broke the plugin or got a `data` error, as they came in.
#[derive(Debug, Clone, PartialEq)]
pub struct Failed {
    pub rows: RecordBatch,
    pub reasons: StringArray,
}

impl Step {
    /// Opens `plugin` for rows of the schema `input`, and checks its plan.
    pub fn open(plugin: Arc<Plugin>, settings: StepSettings, input: &SchemaRef) -> Result<Self, PluginError> {
        Self::open_with_reference(plugin, settings, input, None)
    }

    /// [`Step::open`] for a plugin that looks rows up in a table, and for others without one.
    pub fn open_with_reference(
        plugin: Arc<Plugin>,
        settings: StepSettings,
        input: &SchemaRef,
        table: Option<Arc<ReferenceTable>>,
    ) -> Result<Self, PluginError> {
        let at = At { layer: settings.layer, step: settings.step, plugin: plugin.name().clone() };
        let refused = |what: String| PluginError::Step { at: at.clone(), what };
        config::check(plugin.config_schema(), &settings.config).map_err(refused)?;
        reference::check(&plugin, table.as_ref()).map_err(refused)?;
        let config = settings.config.to_string();
        let terms = Terms {
            plugin: &plugin,
            at: &at,
            limits: &settings.limits,
            grants: &settings.grants,
            config: &config,
            input,
            table: table.as_deref(),
        };
        let agreed = terms.agree(Metrics::new());
        let (instance, plan, layout) = agreed.map_err(|fault| refused(fault.to_string()))?;
        Ok(Self {
            plugin,
            at,
            config,
            grants: settings.grants,
            limits: settings.limits,
            on_error: settings.on_error,
            input: input.clone(),
            plan,
            layout,
            reference: table,
            instance: Some(instance),
            metrics: Metrics::new(),
            taken_metrics: Metrics::new(),
            is_broken: false,
            is_migrated: false,
            notes: CallNotes::default(),
        })
    }

    pub fn plugin(&self) -> &Arc<Plugin> {
        &self.plugin
    }

    /// Of the rows that come out.
    pub fn output_schema(&self) -> &SchemaRef {
        &self.plan.schema
    }

    /// Of what the step remembers, if it is stateful.
    pub fn state_layout(&self) -> Option<&StateLayout> {
        self.layout.as_ref()
    }

    /// The metrics that the plugin has kept since the step was opened.
    pub fn metrics(&self) -> &Metrics {
        self.instance.as_ref().map_or(&self.metrics, Instance::metrics)
    }

    /// What was added to the counters since the last time, and the gauges as they are.
    pub fn take_metrics(&mut self) -> Metrics {
        let now = self.metrics().clone();
        let before = std::mem::replace(&mut self.taken_metrics, now.clone());
        let since = |(name, metric): (String, Metric)| match (metric, before.get(&name)) {
            (Metric::Count(now), Some(Metric::Count(before))) => {
                (name, Metric::Count(now.saturating_sub(*before)))
            }
            (metric, _) => (name, metric),
        };
        now.into_iter().map(since).collect()
    }

    /// Sends rows through the plugin. `watermark`, in microseconds since the Unix epoch, concerns aggregates,
    /// which are called without rows too.
    pub fn run(&mut self, mut rows: Rows, watermark: Option<i64>) -> Result<StepOutcome, StepError> {
        self.check_ready(rows.schema())?;
        let count = rows.num_rows();
        let columns: Vec<ArrayRef> = self.plan.reads.iter().map(|index| rows.column_at(*index)).collect();
        if count == 0 && self.plugin.kind() == PluginKind::Transform {
            let none =
                Outcome::joined(Vec::new(), &self.plan).map_err(|error| self.refused(error.to_string()))?;
            return Ok(self.finish(none, rows));
        }
        self.note_call(&columns, count, watermark);
        let fault = match self.process(&columns, count, watermark, self.limits.cpu) {
            Ok(outcome) => return Ok(self.finish(outcome, rows)),
            Err(fault) if fault.is_final() => return Err(self.refused(fault.to_string())),
            Err(fault) => fault,
        };
        self.note_fault(&columns, count, watermark, &fault);
        match self.plugin.is_stateful() {
            true => Err(self.broken(fault)),
            false => self.run_in_pieces(rows, &columns, fault),
        }
    }

    fn check_ready(&self, schema: &SchemaRef) -> Result<(), StepError> {
        if self.is_broken {
            return Err(self.refused("its state was lost and not restored".to_owned()));
        }
        let same = |a: &Schema, b: &Schema| a.fields() == b.fields();
        if !Arc::ptr_eq(schema, &self.input) && !same(schema, &self.input) {
            return Err(self.refused("it was opened for rows of another schema".to_owned()));
        }
        Ok(())
    }

    pub(super) fn finish(&self, outcome: Outcome, rows: Rows) -> StepOutcome {
        outcome.carry_out(rows, &self.plan)
    }

    /// A batch as a whole. After a fault that ends the instance the next call starts a fresh one.
    pub(super) fn process(
        &mut self,
        columns: &[ArrayRef],
        rows: usize,
        watermark: Option<i64>,
        cpu: Duration,
    ) -> Result<Outcome, Fault> {
        let outcome = match self.plugin.takes_records() {
            true => self.process_as_records(columns, rows, cpu),
            false => self.process_as_columns(columns, rows, watermark, cpu),
        };
        self.drop_instance_after(outcome)
    }

    fn process_as_columns(
        &mut self,
        columns: &[ArrayRef],
        rows: usize,
        watermark: Option<i64>,
        cpu: Duration,
    ) -> Result<Outcome, Fault> {
        let stated = self.live_instance()?.process(cpu, rows, &lower(columns), watermark)?;
        Outcome::check(stated, rows, &self.plan, &self.limits).map_err(Fault::Malformed)
    }

    pub(super) fn drop_instance_after<T>(&mut self, result: Result<T, Fault>) -> Result<T, Fault> {
        if result.as_ref().is_err_and(Fault::ends_instance) {
            self.drop_instance();
        }
        result
    }

    pub(super) fn drop_instance(&mut self) {
        if let Some(instance) = self.instance.take() {
            self.metrics = instance.into_metrics();
        }
    }

    pub(super) fn live_instance(&mut self) -> Result<&mut Instance, Fault> {
        if self.instance.is_none() {
            let metrics = self.metrics.clone();
            let terms = Terms {
                plugin: &self.plugin,
                at: &self.at,
                limits: &self.limits,
                grants: &self.grants,
                config: &self.config,
                input: &self.input,
                table: self.reference.as_deref(),
            };
            let (instance, plan, layout) = terms.agree(metrics)?;
            if plan != self.plan || layout != self.layout {
                return Err(Fault::Instantiate("it states another plan than before".to_owned()));
            }
            self.instance = Some(instance);
        }
        self.load_reference()?;
        self.instance.as_mut().ok_or_else(|| Fault::Instantiate("it is gone".to_owned()))
    }

    pub(super) fn refused(&self, what: String) -> StepError {
        StepError::Refused { at: self.at.clone(), what }
    }

    /// The state is not to be trusted any more, so the instance goes.
    pub(super) fn broken(&mut self, fault: Fault) -> StepError {
        self.drop_instance();
        self.is_broken = true;
        let (at, what) = (self.at.clone(), fault.to_string());
        match self.on_error {
            OnError::SetAside => StepError::Broken { at, what },
            OnError::Stop => StepError::Refused { at, what },
        }
    }
}

/// What an instance is started with.
struct Terms<'a> {
    plugin: &'a Plugin,
    at: &'a At,
    limits: &'a Limits,
    grants: &'a Arc<Grants>,
    config: &'a str,
    input: &'a SchemaRef,
    table: Option<&'a ReferenceTable>,
}

impl Terms<'_> {
    /// Starts an instance, and agrees with it on a plan and on the layout of its state.
    fn agree(&self, metrics: Metrics) -> Result<(Instance, Plan, Option<StateLayout>), Fault> {
        let Self { plugin, at, limits, grants, config, input, table } = *self;
        let mut guest = Guest::new(at.layer.clone(), at.step.clone(), limits.clone(), grants.clone());
        guest.metrics = metrics;
        let mut instance = Instance::start(&plugin.pre, &plugin.exports, guest, limits, limits.cpu)?;
        if let Some(table) = table {
            reference::agree(&mut instance, table, config, limits).map_err(in_open)?;
        }
        let fields = schema::to_contract(input.fields());
        let stated = instance.open(limits.cpu, config, &fields).map_err(in_open)?;
        let plan = Plan::check(stated, input)
            .map_err(|what| Fault::Schema(format!("its plan is not sound: {what}")))?;
        let layout = match plugin.is_stateful() {
            true => Some(
                instance
                    .state_layout(limits.cpu)
                    .and_then(|fields| state::check_layout(fields).map_err(Fault::Schema))
                    .map_err(in_open)?,
            ),
            false => None,
        };
        Ok((instance, plan, layout))
    }
}

/// Whatever goes wrong there, other rows make no difference.
fn in_open(fault: Fault) -> Fault {
    if fault.is_final() { fault } else { Fault::Instantiate(fault.to_string()) }
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Step").field("at", &self.at).field("plan", &self.plan).finish_non_exhaustive()
    }
}
