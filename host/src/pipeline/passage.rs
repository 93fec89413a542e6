//! A batch's rows on their way through the steps of a layer, and where they go that leave it on the way.

use std::time::Instant;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::cmp;
use arrow::datatypes::TimestampMicrosecondType;

use super::capturing::{Capturing, Scene, StateAtCut};
use super::keyed_rows::{self, Checked};
use super::message_rows;
use super::outputs::{Outputs, WriteError};
use super::shadow::{Place, Shadow};
use super::side_rows::SetAside;
use super::suspect::Suspect;
use super::task::{TaskError, TaskFault};
use super::tree::{DEAD_LETTERS, LayerSpec, OpenLayer, StepSpec};
use crate::batch::RawBatch;
use crate::plugin::{Rows, Step};
use crate::progress::{LayerCounts, OffsetRange, StepCounts, TopicPartition};
use crate::telemetry::Metrics;

/// What a batch's rows meet on their way through the layers.
pub struct Passage<'a> {
    pub partition: &'a TopicPartition,
    pub range: OffsetRange,
    pub raw: Option<&'a RawBatch>,
    pub watermark: Option<i64>,
    pub suspect: Option<&'a Suspect>,
    pub metrics: &'a Metrics,
    pub capturing: Option<&'a Capturing>,
    /// Before the batch, if the task has suspects.
    pub state: Option<&'a StateAtCut>,
}

impl Passage<'_> {
    pub fn run_steps(
        &self,
        layer: &LayerSpec,
        open: &mut OpenLayer,
        rows: RecordBatch,
        counts: &mut LayerCounts,
        out: &mut Outputs,
    ) -> Result<RecordBatch, TaskError> {
        let mut rows = Rows::new(rows);
        let steps = open.steps.iter_mut().zip(&mut open.shadows);
        for (spec, (step, shadow)) in layer.steps.iter().zip(steps) {
            let mut aside = StepCounts::default();
            if spec.aggregates() {
                aside.late = self.set_late_rows_aside(layer, spec, &mut rows, out)?;
            }
            if let Some(reason) = self.suspect.and_then(|suspect| suspect.bypass(&layer.name, &spec.name)) {
                aside.failed = self.set_all_rows_aside(layer, spec, &mut rows, reason, out)?;
            }
            aside.rows_in = aside.late + aside.failed;
            let step_counts;
            (rows, step_counts) = self.run_step(layer, spec, step, shadow.as_mut(), rows, out)?;
            aside.add(&step_counts);
            counts.steps.push(aside);
        }
        self.deliver(layer, open, rows.into_batch(), counts, out)
    }

    fn run_step(
        &self,
        layer: &LayerSpec,
        spec: &StepSpec,
        step: &mut Step,
        shadow: Option<&mut Shadow>,
        rows: Rows,
        out: &mut Outputs,
    ) -> Result<(Rows, StepCounts), TaskError> {
        let shadowed = shadow.map(|shadow| (shadow, rows.clone()));
        let started = Instant::now();
        let outcome = step.run(rows, self.watermark);
        if let (Some(call), Some(capturing)) = (step.take_faulty_call(), self.capturing) {
            let Self { partition, range, suspect, state, .. } = *self;
            capturing.keep(&Scene { partition, range, suspect, state }, layer, spec, step, call);
        }
        let mut outcome = outcome.map_err(|error| self.failed(error))?;
        self.metrics.plugins.called(&layer.name, &spec.name, started.elapsed());
        if let Some((shadow, rows)) = shadowed {
            let (partition, range) = (self.partition, self.range);
            let place = Place { layer: &layer.name, step: &spec.name, partition, range };
            shadow.observe(rows, (step, &mut outcome), self.watermark, &place, self.metrics);
        }
        if let Some(rejected) = &outcome.rejected {
            let aside = SetAside {
                layer: &layer.name,
                step: &spec.name,
                rows: &rejected.rows,
                rules: rejected.rules.iter().flatten().collect(),
                reasons: &rejected.reasons,
            };
            self.put_aside(&aside, layer.quarantine, out)?;
        }
        if let Some(failed) = &outcome.failed {
            self.put_failed_aside(layer, spec, &failed.rows, &failed.reasons, out)?;
        }
        Ok((outcome.rows, outcome.counts))
    }

    /// Takes the rows of a record that breaks the step around it, and counts them.
    fn set_all_rows_aside(
        &self,
        layer: &LayerSpec,
        step: &StepSpec,
        rows: &mut Rows,
        reason: &str,
        out: &mut Outputs,
    ) -> Result<u64, TaskError> {
        let count = rows.num_rows();
        if count == 0 {
            return Ok(0);
        }
        let failed = rows.take_where(&BooleanBuffer::new_set(count));
        let reasons = StringArray::from_iter_values(std::iter::repeat_n(reason, count));
        self.put_failed_aside(layer, step, &failed, &reasons, out)?;
        Ok(count as u64)
    }

    fn put_failed_aside(
        &self,
        layer: &LayerSpec,
        step: &StepSpec,
        rows: &RecordBatch,
        reasons: &StringArray,
        out: &mut Outputs,
    ) -> Result<(), TaskError> {
        let rules = vec!["failed"; rows.num_rows()];
        let aside = SetAside { layer: &layer.name, step: &step.name, rows, rules, reasons };
        self.put_aside(&aside, layer.quarantine.filter(|_| step.quarantines_failed_rows), out)
    }

    /// Takes the rows behind their own watermark away from a step that aggregates, and counts them.
    fn set_late_rows_aside(
        &self,
        layer: &LayerSpec,
        step: &StepSpec,
        rows: &mut Rows,
        out: &mut Outputs,
    ) -> Result<u64, TaskError> {
        let (Some(times), Some(watermarks)) = (rows.column("_event_time"), rows.column("_watermark")) else {
            return Ok(0);
        };
        let late = cmp::lt(&times, &watermarks).map_err(|error| self.failed(error))?;
        let late = BooleanArray::new(late.values() & &validity(&late), None);
        let count = late.true_count();
        if count == 0 {
            return Ok(0);
        }
        let rows = rows.take_where(late.values());
        if layer.quarantine_late_rows {
            let reasons = lateness(&rows);
            let aside = SetAside {
                layer: &layer.name,
                step: &step.name,
                rules: vec!["late"; rows.num_rows()],
                reasons: &reasons,
                rows: &rows,
            };
            self.put_aside(&aside, layer.quarantine, out)?;
        }
        Ok(count as u64)
    }

    /// Gives the sink its rows. Those that it could not take are set aside, and counted as a last step does.
    fn deliver(
        &self,
        layer: &LayerSpec,
        open: &OpenLayer,
        rows: RecordBatch,
        counts: &mut LayerCounts,
        out: &mut Outputs,
    ) -> Result<RecordBatch, TaskError> {
        let rows_in = rows.num_rows() as u64;
        if let Some(encoder) = &open.messages {
            let write = |messages: &RecordBatch| match messages.num_rows() {
                0 => Ok(()),
                _ => out.write(layer.sink, messages).map_err(|failed| failed.error),
            };
            let checked = message_rows::encode(encoder, rows, write);
            let checked =
                checked.map_err(|error| self.failed(WriteError { sink: layer.name.clone(), error }))?;
            return self.set_refused_rows_aside(layer, message_rows::STEP, rows_in, checked, counts, out);
        }
        let kept = match &layer.keyed {
            Some(keyed) => {
                let checked = keyed.check(rows).map_err(|error| self.failed(error))?;
                self.set_refused_rows_aside(layer, keyed_rows::STEP, rows_in, checked, counts, out)?
            }
            None => rows,
        };
        if kept.num_rows() > 0 {
            out.write(layer.sink, &kept).map_err(|error| self.failed(error))?;
        }
        Ok(kept)
    }

    fn set_refused_rows_aside(
        &self,
        layer: &LayerSpec,
        check: &str,
        rows_in: u64,
        checked: Checked,
        counts: &mut LayerCounts,
        out: &mut Outputs,
    ) -> Result<RecordBatch, TaskError> {
        let kept = checked.kept.num_rows() as u64;
        let mut step = StepCounts { rows_in, kept, ..StepCounts::default() };
        if let Some(refused) = checked.refused {
            for rule in &refused.rules {
                *step.rejected.entry((*rule).to_owned()).or_default() += 1;
            }
            let aside = SetAside {
                layer: &layer.name,
                step: check,
                rows: &refused.rows,
                rules: refused.rules,
                reasons: &refused.reasons,
            };
            self.put_aside(&aside, layer.quarantine, out)?;
        }
        counts.steps.push(step);
        Ok(checked.kept)
    }

    /// Into the quarantine where there is one, else to the dead letters: nothing is lost.
    fn put_aside(
        &self,
        aside: &SetAside<'_>,
        quarantine: Option<usize>,
        out: &mut Outputs,
    ) -> Result<(), TaskError> {
        let (sink, rows) = match quarantine {
            Some(sink) => (sink, aside.quarantined()),
            None => (DEAD_LETTERS, aside.dead_letters(self.raw)),
        };
        out.write(sink, &rows.map_err(|error| self.failed(error))?).map_err(|error| self.failed(error))
    }

    pub fn failed(&self, fault: impl Into<TaskFault>) -> TaskError {
        TaskError { partition: self.partition.clone(), range: self.range, fault: Box::new(fault.into()) }
    }
}

fn validity(mask: &BooleanArray) -> BooleanBuffer {
    match mask.nulls() {
        Some(nulls) => nulls.inner().clone(),
        None => BooleanBuffer::new_set(mask.len()),
    }
}

fn lateness(rows: &RecordBatch) -> StringArray {
    let column = |name| {
        rows.column_by_name(name).and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>())
    };
    let (times, watermarks) = (column("_event_time"), column("_watermark"));
    StringArray::from_iter_values((0..rows.num_rows()).map(|row| {
        let behind = times.zip(watermarks).map_or(0, |(time, mark)| mark.value(row) - time.value(row));
        format!("{:.3} s behind the watermark", behind as f64 / 1e6)
    }))
}
