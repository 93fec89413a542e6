//! A second plugin beside a step's own: it gets the same batches, and what it makes of them is compared, counted and
//! shown, and goes nowhere else. Whatever it does, the step and its task go on.

mod columns;
mod comparison;
#[cfg(test)]
mod comparison_tests;
mod description;
mod report;
mod samples;
mod seats;
mod values;
mod verdict;

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use serde_json::Value;

use self::columns::Columns;
use self::comparison::compare;
use self::description::{Describer, describe_failure, kind};
use self::report::Report;
use self::seats::{SEATS, Seat};
use self::verdict::{Counts, Verdict};
use crate::plugin::{
    Limits, OnError, Plugin, PluginError, Recycling, Rows, Step, StepError, StepOutcome, StepSettings,
    thread_cpu_time,
};
use crate::telemetry::Metrics;

pub use self::description::Place;
pub use self::samples::SampleFile;

/// Differences of each verdict that are described for one batch.
const DESCRIBED: usize = 64;
/// CPU time from which on a batch that breaks the shadow is followed by a rest, and how many times as long that is: a
/// shadow that breaks slows its task down by a twentieth.
const DEAR: Duration = Duration::from_millis(100);
const REST: u32 = 20;

/// A shadow with all that it is opened with, except the columns of its input.
#[derive(Debug)]
pub struct ShadowSpec {
    plugin: Arc<Plugin>,
    config: Value,
    limits: Limits,
    layer: String,
    step: String,
    report: Report,
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
        Self { plugin, config, limits, layer, step, report }
    }

    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// What came of its rows so far, in one line.
    pub fn summary(&self) -> String {
        format!("shadow {}.{} ({}): {}", self.layer, self.step, self.named(), self.report.counts())
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
    /// None where it could not be opened: it sits out this task.
    opened: Option<Opened>,
    rests_until: Option<Instant>,
}

struct Opened {
    input: SchemaRef,
    columns: Columns,
    /// None after it broke for good, until the next batch.
    step: Option<Step>,
    _seat: Seat<'static>,
}

impl Shadow {
    /// Opens it beside the step. What goes wrong is logged.
    pub fn open(spec: &Arc<ShadowSpec>, primary: &Step) -> Self {
        let input = primary.input_schema().clone();
        let opened = Self::take_seat(spec, primary, input).inspect_err(|why| {
            spec.report.complain(&format!("the shadow is not tried: {why}"));
        });
        Self { spec: spec.clone(), opened: opened.ok(), rests_until: None }
    }

    fn take_seat(spec: &ShadowSpec, primary: &Step, input: SchemaRef) -> Result<Opened, String> {
        let seat = SEATS.take().ok_or("there are too many shadows in this worker already")?;
        let step = spec.open(&input).map_err(|error| error.to_string())?;
        let columns = Columns::of(primary, &step);
        spec.greet(&columns, primary, &step);
        Ok(Opened { input, columns, step: Some(step), _seat: seat })
    }

    /// Gives it the step's kept state, as a swap would. If it does not take that, it starts without.
    pub fn restore(&mut self, restore: impl FnOnce(&mut Step) -> Result<(), String>) {
        let Some(opened) = &mut self.opened else { return };
        let Some(step) = opened.step.as_mut().filter(|step| step.state_layout().is_some()) else { return };
        match restore(step) {
            Ok(()) => self.spec.report.say_once("the shadow goes on with the step's state"),
            Err(what) => {
                self.spec.report.say_once(&format!(
                    "the shadow starts without state, and differs until it has caught up: {what}"
                ));
                opened.step = None;
            }
        }
    }

    /// Sends it what the step got, and compares what both made of it.
    pub fn observe(
        &mut self,
        input: Rows,
        primary: &mut StepOutcome,
        watermark: Option<i64>,
        place: &Place<'_>,
        metrics: &Metrics,
    ) {
        let counts = match self.opened.as_mut().filter(|_| !is_resting(&mut self.rests_until)) {
            None => Counts::of(Verdict::Skipped, input.num_rows() as u64),
            Some(opened) => {
                let started = thread_cpu_time();
                let counts = opened.try_batch(&self.spec, input, primary, watermark, place, metrics);
                let took = thread_cpu_time().saturating_sub(started);
                if counts.get(Verdict::Failed) > 0 && took > DEAR {
                    self.rests_until = Some(Instant::now() + took * REST);
                }
                counts
            }
        };
        for (verdict, rows) in counts.iter() {
            metrics.shadows.rows(&self.spec.layer, &self.spec.step, verdict.name(), rows);
        }
        self.spec.report.add(&counts);
    }

    /// Between two epochs: what it remembers of its changes is forgotten, for nobody stores it.
    pub fn cut(&mut self) {
        let Some(opened) = &mut self.opened else { return };
        let Some(step) = &mut opened.step else { return };
        if let Err(error) = step.changes() {
            self.spec.report.complain(&format!("the shadow broke: {error}"));
            opened.step = None;
            return;
        }
        // One that keeps state goes on until its memory is used up.
        let _: Recycling = step.recycle();
    }
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
    ) -> Counts {
        let started = Instant::now();
        let outcome = self.run(spec, input.clone(), watermark);
        metrics.shadows.took(&spec.layer, &spec.step, "plugin", started.elapsed());
        let started = Instant::now();
        let counts = match outcome {
            Ok(mut shadow) => {
                self.compare(spec, input, primary, &mut shadow, place).unwrap_or_else(|error| {
                    spec.report.complain(&format!("the shadow cannot be compared: {error}"));
                    Counts::of(Verdict::Skipped, primary.counts.rows_in)
                })
            }
            Err(reason) => {
                let rows = input.num_rows();
                spec.report.complain(&format!("a batch of {rows} rows broke the shadow: {reason}"));
                if spec.report.wants_samples() && spec.report.takes_sample("failed as a whole") {
                    spec.report.show([describe_failure(place, rows, &reason)]);
                }
                Counts::of(Verdict::Failed, rows as u64)
            }
        };
        metrics.shadows.took(&spec.layer, &spec.step, "comparison", started.elapsed());
        counts
    }

    /// A shadow that broke for good, and its state with it, is opened anew.
    fn run(&mut self, spec: &ShadowSpec, rows: Rows, watermark: Option<i64>) -> Result<StepOutcome, String> {
        if self.step.is_none() {
            self.step = Some(spec.open(&self.input).map_err(|error| error.to_string())?);
        }
        let Some(step) = &mut self.step else { return Err("it is not open".to_owned()) };
        step.run(rows, watermark).map_err(|error| {
            self.step = None;
            match error {
                StepError::Refused { what, .. } | StepError::Broken { what, .. } => what,
            }
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
        let described = if spec.report.wants_samples() { DESCRIBED } else { 0 };
        let comparison = compare(&self.columns, primary, shadow, described)?;
        let mut shown = comparison.differences;
        shown.retain(|difference| spec.report.takes_sample(&kind(difference, primary, shadow)));
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
        if step.state_layout().is_some() && primary.state_layout().is_none() {
            report.say_once("the shadow keeps state, which the step does not: it starts without");
        }
    }
}

fn is_resting(until: &mut Option<Instant>) -> bool {
    let is_over = until.is_some_and(|until| until <= Instant::now());
    if is_over {
        *until = None;
    }
    until.is_some()
}
