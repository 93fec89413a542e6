//! A second plugin beside a step's own: it gets the same batches, and what it makes of them is compared, counted and
//! shown, and goes nowhere else. Whatever it does, the step and its task go on.

mod columns;
mod comparison;
#[cfg(test)]
mod comparison_tests;
mod description;
mod encoded;
mod kinds;
mod report;
mod rest;
mod samples;
mod seats;
mod values;
mod verdict;

use std::sync::Arc;
use std::time::Instant;

use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use serde_json::Value;

use self::columns::Columns;
use self::comparison::compare;
use self::description::{Describer, describe_failure};
use self::kinds::Selection;
use self::report::Report;
use self::rest::Rest;
use self::seats::{SEATS, Seat};
use self::verdict::{Counts, Verdict};
use crate::plugin::{
    Capability, Limits, OnError, Plugin, PluginError, Recycling, Rows, Step, StepOutcome, StepSettings,
};
use crate::telemetry::Metrics;

pub use self::description::Place;
pub use self::samples::SampleFile;

/// Differences that are described for one batch.
const DESCRIBED: usize = 256;

/// A shadow with all that it is opened with, except the columns of its input.
#[derive(Debug)]
pub struct ShadowSpec {
    plugin: Arc<Plugin>,
    config: Value,
    limits: Limits,
    layer: String,
    step: String,
    report: Report,
    rest: Rest,
}

impl ShadowSpec {
    pub fn new(
        layer: &str,
        step: &str,
        plugin: Arc<Plugin>,
        config: Value,
        limits: Limits,
        samples: Option<SampleFile>,
    ) -> Self {
        let (layer, step) = (layer.to_owned(), step.to_owned());
        let report = Report::new(layer.clone(), step.clone(), samples);
        // A batch that breaks it may not cost much more than one that does not.
        let limits = Limits { search_cpu: limits.cpu, ..limits };
        Self { plugin, config, limits, layer, step, report, rest: Rest::default() }
    }

    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// What came of its rows so far, in one line.
    pub fn summary(&self) -> String {
        format!("shadow {}.{} ({}): {}", self.layer, self.step, self.named(), self.report.counts())
    }

    /// What it could make use of, and gets nothing of: it must have no effect.
    pub fn lacks(&self) -> Vec<Capability> {
        self.plugin.asks()
    }

    /// Waits until its samples are written, but not for long.
    pub fn finish(&self) {
        self.report.finish();
    }

    /// Opens it once beside the step, and says which columns the two do not have in common.
    pub fn try_out(&self, primary: &Step) -> Result<Vec<String>, PluginError> {
        let step = self.open(primary.input_schema())?;
        Ok(Columns::of(primary, &step).unlike)
    }

    fn named(&self) -> String {
        format!("{} {}", self.plugin.name(), self.plugin.version())
    }

    fn open(&self, input: &SchemaRef) -> Result<Step, PluginError> {
        let settings = StepSettings {
            layer: self.layer.as_str().into(),
            step: format!("{} (shadow)", self.step).into(),
            config: self.config.clone(),
            limits: self.limits.clone(),
            // It must have no effect, and what it is granted could have some.
            grants: Arc::default(),
            on_error: OnError::SetAside,
        };
        Step::open(self.plugin.clone(), settings, input)
    }
}

/// A shadow at work in one task.
pub struct Shadow {
    spec: Arc<ShadowSpec>,
    instance: Instance,
}

enum Instance {
    /// It rested when the task started.
    Due,
    Opened(Box<Opened>),
    /// It could not be opened: it sits out this task.
    Out,
}

struct Opened {
    input: SchemaRef,
    columns: Columns,
    /// None after it broke for good, until the next batch.
    step: Option<Step>,
    _seat: Seat<'static>,
}

impl Shadow {
    /// Opens it beside the step, once it does not rest. What goes wrong is logged.
    pub fn open(spec: &Arc<ShadowSpec>, primary: &Step) -> Self {
        let mut shadow = Self { spec: spec.clone(), instance: Instance::Due };
        if spec.rest.is_over() {
            shadow.open_beside(primary);
        }
        shadow
    }

    fn open_beside(&mut self, primary: &Step) {
        let spec = &self.spec;
        let opened = spec.rest.after(|| Self::take_seat(spec, primary), Result::is_err);
        self.instance = match opened {
            Ok(opened) => Instance::Opened(Box::new(opened)),
            Err(why) => {
                spec.report.complain(&format!("the shadow is not tried: {why}"));
                Instance::Out
            }
        };
    }

    fn take_seat(spec: &ShadowSpec, primary: &Step) -> Result<Opened, String> {
        let input = primary.input_schema().clone();
        let seat = SEATS.take().ok_or("there are too many shadows in this worker already")?;
        let step = spec.open(&input).map_err(|error| error.to_string())?;
        let columns = Columns::of(primary, &step);
        spec.greet(&columns, primary, &step);
        Ok(Opened { input, columns, step: Some(step), _seat: seat })
    }

    /// Gives it the step's kept state, as a swap would. If it does not take that, it starts without.
    pub fn restore(&mut self, restore: impl FnOnce(&mut Step) -> Result<(), String>) {
        let Instance::Opened(opened) = &mut self.instance else { return };
        let Some(step) = opened.step.as_mut().filter(|step| step.state_layout().is_some()) else { return };
        match self.spec.rest.after(|| restore(step), Result::is_err) {
            Ok(()) => self.spec.report.say_once("the shadow goes on with the step's state"),
            Err(what) => {
                self.spec.report.say_once(&format!(
                    "the shadow starts without state, and differs until it has caught up: {what}"
                ));
                opened.step = None;
            }
        }
    }

    /// Sends it what the step `primary` got, and compares what both made of it.
    pub fn observe(
        &mut self,
        input: Rows,
        primary: (&Step, &mut StepOutcome),
        watermark: Option<i64>,
        place: &Place<'_>,
        metrics: &Metrics,
    ) {
        let (step, outcome) = primary;
        let counts = match self.awake(step) {
            None => Counts::of(Verdict::Skipped, input.num_rows() as u64),
            Some((spec, opened)) => {
                let tried = spec.rest.after(
                    || opened.try_batch(spec, input, outcome, watermark, place, metrics),
                    |tried| tried.broke,
                );
                tried.counts
            }
        };
        for (verdict, rows) in counts.iter() {
            metrics.shadows.rows(&self.spec.layer, &self.spec.step, verdict.name(), rows);
        }
        self.spec.report.add(&counts);
    }

    /// Nothing, while it rests or sits out.
    fn awake(&mut self, primary: &Step) -> Option<(&ShadowSpec, &mut Opened)> {
        if !self.spec.rest.is_over() {
            return None;
        }
        if matches!(self.instance, Instance::Due) {
            self.open_beside(primary);
        }
        match &mut self.instance {
            Instance::Opened(opened) => Some((&self.spec, opened)),
            Instance::Due | Instance::Out => None,
        }
    }

    /// Between two epochs: what it remembers of its changes is forgotten, for nobody stores it. While it rests, nothing is
    /// added to that.
    pub fn cut(&mut self) {
        let Instance::Opened(opened) = &mut self.instance else { return };
        let Some(step) = opened.step.as_mut().filter(|_| self.spec.rest.is_over()) else { return };
        if let Err(error) = self.spec.rest.after(|| step.changes(), Result::is_err) {
            self.spec.report.complain(&format!("the shadow broke: {error}"));
            opened.step = None;
            return;
        }
        // One that keeps state goes on until its memory is used up.
        let _: Recycling = step.recycle();
    }
}

/// What came of a batch.
struct Tried {
    counts: Counts,
    /// Whether it broke on the batch or on some of its rows. A batch without rows can do that too.
    broke: bool,
}

impl Opened {
    fn try_batch(
        &mut self,
        spec: &ShadowSpec,
        input: Rows,
        primary: &mut StepOutcome,
        watermark: Option<i64>,
        place: &Place<'_>,
        metrics: &Metrics,
    ) -> Tried {
        let started = Instant::now();
        let outcome = self.run(spec, input.clone(), watermark);
        metrics.shadows.took(&spec.layer, &spec.step, "plugin", started.elapsed());
        let started = Instant::now();
        let tried = match outcome {
            Ok(mut shadow) => {
                let compared = self.compare(spec, input, primary, &mut shadow, place);
                let counts = compared.unwrap_or_else(|error| {
                    spec.report.complain(&format!("the shadow cannot be compared: {error}"));
                    Counts::of(Verdict::Skipped, primary.counts.rows_in)
                });
                Tried { counts, broke: shadow.failed.is_some() }
            }
            Err(reason) => {
                let rows = input.num_rows();
                spec.report.complain(&format!("a batch of {rows} rows broke the shadow: {reason}"));
                if spec.report.wants_samples() && spec.report.takes_sample("failed as a whole") {
                    spec.report.show([describe_failure(place, rows, &reason)]);
                }
                Tried { counts: Counts::of(Verdict::Failed, rows as u64), broke: true }
            }
        };
        metrics.shadows.took(&spec.layer, &spec.step, "comparison", started.elapsed());
        tried
    }

    /// A shadow that broke for good, and its state with it, is opened anew.
    fn run(&mut self, spec: &ShadowSpec, rows: Rows, watermark: Option<i64>) -> Result<StepOutcome, String> {
        if self.step.is_none() {
            self.step = Some(spec.open(&self.input).map_err(|error| error.to_string())?);
        }
        let Some(step) = &mut self.step else { return Err("it is not open".to_owned()) };
        let outcome = step.run(rows, watermark);
        // Nobody captures it, and it holds on to the batch.
        drop(step.take_faulty_call());
        outcome.map_err(|error| {
            self.step = None;
            error.into_what()
        })
    }

    fn compare(
        &self,
        spec: &ShadowSpec,
        input: Rows,
        primary: &mut StepOutcome,
        shadow: &mut StepOutcome,
        place: &Place<'_>,
    ) -> Result<Counts, ArrowError> {
        let wants = |kind: &str| spec.report.takes_sample(kind);
        let described = if spec.report.wants_samples() { DESCRIBED } else { 0 };
        let comparison = compare(&self.columns, primary, shadow, Selection::new(described, &wants))?;
        let shown = comparison.differences;
        if !shown.is_empty() {
            let describer = Describer::new(place, &self.columns, input, primary, shadow);
            spec.report.show(shown.iter().map(|difference| describer.describe(difference)));
        }
        Ok(comparison.counts)
    }
}

impl ShadowSpec {
    fn greet(&self, columns: &Columns, primary: &Step, step: &Step) {
        let report = &self.report;
        report.say_once(&format!("{} runs as a shadow, sha256 {}", self.named(), self.plugin.digest()));
        if !columns.unlike.is_empty() {
            report.say_once(&format!("the shadow has other columns: {}", columns.unlike.join("; ")));
        }
        let lacks: Vec<_> = self.lacks().iter().map(|capability| capability.name()).collect();
        if !lacks.is_empty() {
            report.say_once(&format!(
                "nothing is granted to a shadow, and this one may ask for {}",
                lacks.join(", ")
            ));
        }
        if step.state_layout().is_some() && primary.state_layout().is_none() {
            report.say_once("the shadow keeps state, which the step does not: it starts without");
        }
    }
}
