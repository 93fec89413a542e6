//! The call on which a plugin failed, kept for who wants to see it fail again.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Schema, SchemaRef};

use super::error::Fault;
use super::limits::Limits;
use super::step::Step;

/// What a plugin got when it failed, and how it failed.
#[derive(Debug, Clone)]
pub struct FaultyCall {
    /// Of the rows that come to the step, of which the plugin reads some columns.
    pub input: SchemaRef,
    pub limits: Limits,
    /// The columns that the plugin got.
    pub rows: RecordBatch,
    /// For aggregates: the task's, in microseconds.
    pub watermark: Option<i64>,
    pub fault: String,
    /// The rows that fail by themselves, ascending, with the reasons. `None` where that was not found out: in stateful
    /// steps, and where the search for them ended early.
    pub failing_rows: Option<Vec<(usize, String)>>,
}

/// What a step remembers of its calls.
#[derive(Default)]
pub(super) struct CallNotes {
    /// Whether the last call is kept until the state's changes were taken: they may be what fails.
    keeps_last: bool,
    last: Option<(RecordBatch, Option<i64>)>,
    faulty: Option<FaultyCall>,
}

impl Step {
    /// The last call that failed since this was last asked.
    pub fn take_faulty_call(&mut self) -> Option<FaultyCall> {
        self.notes.faulty.take()
    }

    /// Whether calls are noted too after which the state's changes cannot be taken. Then a step with state holds on to a
    /// batch.
    pub fn keep_last_call(&mut self, keeps: bool) {
        self.notes.keeps_last = keeps && self.layout.is_some();
        self.notes.last = None;
    }

    pub(super) fn note_call(&mut self, columns: &[ArrayRef], rows: usize, watermark: Option<i64>) {
        if self.notes.keeps_last {
            self.notes.last = self.call_batch(columns, rows).map(|batch| (batch, watermark));
        }
    }

    pub(super) fn note_fault(
        &mut self,
        columns: &[ArrayRef],
        rows: usize,
        watermark: Option<i64>,
        fault: &Fault,
    ) {
        self.notes.faulty = self.call_batch(columns, rows).map(|rows| self.faulty(rows, watermark, fault));
    }

    pub(super) fn note_failing_rows(&mut self, found: &[(usize, Fault)]) {
        if let Some(faulty) = &mut self.notes.faulty {
            faulty.failing_rows = Some(found.iter().map(|(row, fault)| (*row, fault.to_string())).collect());
        }
    }

    pub(super) fn note_taken_changes(&mut self, fault: Option<&Fault>) {
        let last = self.notes.last.take();
        if let Some((fault, (rows, watermark))) = fault.zip(last) {
            self.notes.faulty = Some(self.faulty(rows, watermark, fault));
        }
    }

    fn faulty(&self, rows: RecordBatch, watermark: Option<i64>, fault: &Fault) -> FaultyCall {
        FaultyCall {
            input: self.input.clone(),
            limits: self.limits.clone(),
            rows,
            watermark,
            fault: fault.to_string(),
            failing_rows: None,
        }
    }

    /// The columns that the plugin gets, under their names.
    fn call_batch(&self, columns: &[ArrayRef], rows: usize) -> Option<RecordBatch> {
        let fields: Vec<_> =
            self.plan.reads.iter().map(|index| self.input.fields()[*index].clone()).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns.to_vec(), &options).ok()
    }
}
