//! The search for the rows that break a stateless plugin: halves of halves, until they stand alone.

use std::ops::Range;
use std::time::Duration;

use arrow::array::{Array, ArrayRef, AsArray, BooleanBufferBuilder, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Int64Type};

use super::error::{Fault, StepError};
use super::joining::Allotment;
use super::limits::thread_cpu_time;
use super::outcome::Outcome;
use super::rows::Rows;
use super::step::{Failed, OnError, Step, StepOutcome};
use super::wasi::thread_waited;

/// Below this no piece of a batch is interrupted, however small it is.
const LEAST_CPU: Duration = Duration::from_millis(100);

pub(super) struct Found {
    pieces: Vec<Outcome>,
    pub failed: Vec<(usize, Fault)>,
}

impl Step {
    /// Runs the batch that failed with `fault` in pieces: all rows go on but those that fail alone.
    pub(super) fn run_in_pieces(
        &mut self,
        mut rows: Rows,
        columns: &[ArrayRef],
        fault: Fault,
    ) -> Result<StepOutcome, StepError> {
        let Found { pieces, failed } = self.search(&mut rows, columns, fault)?;
        self.note_failing_rows(&failed);
        let outcome = Outcome::joined(pieces, &self.plan).map_err(|error| self.refused(error.to_string()))?;
        let failed_rows = failed.iter().map(|(row, _)| *row as u32).collect();
        let failed = set_aside(&mut rows, failed);
        let failed_count = failed.rows.num_rows() as u64;
        let mut finished = self.finish(outcome, rows);
        if failed_count > 0 {
            finished.counts.rows_in += failed_count;
            finished.counts.failed = failed_count;
            finished.fates = finished.fates.with_failed(failed_rows);
            finished.failed = Some(failed);
        }
        Ok(finished)
    }

    /// All rows but those that fail alone, in pieces.
    pub(super) fn search(
        &mut self,
        rows: &mut Rows,
        columns: &[ArrayRef],
        fault: Fault,
    ) -> Result<Found, StepError> {
        let total = rows.num_rows();
        let spent = || thread_cpu_time() + thread_waited();
        let started = spent();
        let mut allotment = Allotment::new(&self.limits);
        let mut found = Found { pieces: Vec::new(), failed: Vec::new() };
        let mut pending: Vec<(Range<usize>, Option<Fault>)> = vec![(0..total, Some(fault))];
        while let Some((range, known)) = pending.pop() {
            let fault = match known {
                Some(fault) => fault,
                None => match self.process_piece(columns, &range, total) {
                    Ok(outcome) => {
                        // Of rows that only together give too much, none is at fault: which of them would hang on the batch.
                        let allotted = allotment.take(&outcome, &self.plan);
                        allotted.map_err(|what| self.refused(format!("{what}: raise the limit")))?;
                        found.pieces.push(outcome);
                        continue;
                    }
                    Err(fault) => fault,
                },
            };
            if fault.is_final() {
                return Err(self.refused(fault.to_string()));
            }
            if range.len() > 1 {
                let middle = range.start + range.len() / 2;
                pending.push((middle..range.end, None));
                pending.push((range.start..middle, None));
            } else if self.on_error == OnError::Stop {
                return Err(self.refused(format!("{fault} ({})", position(rows, range.start))));
            } else {
                found.failed.push((range.start, fault));
            }
            if spent().saturating_sub(started) > self.limits.search_cpu && !pending.is_empty() {
                let failed = found.failed.len();
                let last =
                    found.failed.last().map_or_else(String::new, |(_, fault)| format!("; the last: {fault}"));
                return Err(self.refused(format!(
                    "finding the rows that break it took more than {} s in a batch of {total} rows, \
                     {failed} found{last}",
                    self.limits.search_cpu.as_secs_f64()
                )));
            }
        }
        Ok(found)
    }

    fn process_piece(
        &mut self,
        columns: &[ArrayRef],
        range: &Range<usize>,
        total: usize,
    ) -> Result<Outcome, Fault> {
        let piece: Vec<ArrayRef> =
            columns.iter().map(|column| column.slice(range.start, range.len())).collect();
        // A piece that is slow for its size is only split further: a single row gets all the time there is.
        let share = self.limits.cpu.mul_f64(range.len() as f64 / total as f64).max(LEAST_CPU);
        let cpu = if range.len() == 1 { self.limits.cpu } else { share.min(self.limits.cpu) };
        self.process(&piece, range.len(), None, cpu)
    }
}

fn set_aside(rows: &mut Rows, failed: Vec<(usize, Fault)>) -> Failed {
    let mut mask = BooleanBufferBuilder::new(rows.num_rows());
    mask.append_n(rows.num_rows(), false);
    for (row, _) in &failed {
        mask.set_bit(*row, true);
    }
    let reasons: StringArray = failed.iter().map(|(_, fault)| Some(fault.to_string())).collect();
    let rows: RecordBatch = rows.take_where(&mask.finish());
    Failed { rows, reasons }
}

/// Where the row came from, as far as the host's columns tell.
fn position(rows: &mut Rows, row: usize) -> String {
    match rows.column("_offset") {
        Some(offsets) if *offsets.data_type() == DataType::Int64 && row < offsets.len() => {
            format!("at offset {}", offsets.as_primitive::<Int64Type>().value(row))
        }
        _ => format!("row {row} of its batch"),
    }
}
