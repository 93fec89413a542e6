//! A call that was kept, once more: the same columns, without the rows around them.

use arrow::array::{ArrayRef, RecordBatch};

use super::error::{Fault, StepError};
use super::outcome::Outcome;
use super::rows::Rows;
use super::search::Found;
use super::step::Step;

/// What came of it.
#[derive(Debug)]
pub enum Replay {
    /// As [`FaultyCall`](super::FaultyCall) has it.
    Failed {
        fault: String,
        failing_rows: Option<Vec<(usize, String)>>,
    },
    Passed(ReplayedRows),
}

/// What became of the rows.
#[derive(Debug)]
pub struct ReplayedRows {
    /// For each row of the call.
    pub fates: Vec<ReplayedFate>,
    /// The columns that the plugin gives back, with a row for each of the call; or its new rows.
    pub made: Option<RecordBatch>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplayedFate {
    Kept,
    Dropped,
    Rejected { rule: String, reason: String },
    Used,
}

impl Step {
    /// Sends the plugin a batch of the columns that it reads, and takes the changes of its state, if it has any. The
    /// step must have been opened, and its state restored, as it was then.
    pub fn replay(&mut self, rows: &RecordBatch, watermark: Option<i64>) -> Result<Replay, StepError> {
        let columns = self.columns_to_replay(rows)?;
        let outcome = match self.process(&columns, rows.num_rows(), watermark, self.limits.cpu) {
            Ok(outcome) => outcome,
            Err(fault) if fault.is_final() => return Err(self.refused(fault.to_string())),
            Err(fault) => return Ok(self.failed_again(rows, &columns, fault)),
        };
        match self.changes() {
            Ok(_) => Ok(Replay::Passed(self.fates(outcome))),
            Err(error) => Ok(Replay::Failed { fault: error.into_what(), failing_rows: None }),
        }
    }

    fn columns_to_replay(&self, rows: &RecordBatch) -> Result<Vec<ArrayRef>, StepError> {
        let column = |index: &usize| {
            let field = self.input.field(*index);
            let column = rows.column_by_name(field.name());
            let column = column.filter(|column| column.data_type() == field.data_type()).cloned();
            column.ok_or_else(|| {
                self.refused(format!("it reads `{}`, which the plugin that failed did not", field.name()))
            })
        };
        self.plan.reads.iter().map(column).collect()
    }

    fn failed_again(&mut self, rows: &RecordBatch, columns: &[ArrayRef], fault: Fault) -> Replay {
        let told = fault.to_string();
        if self.plugin().is_stateful() {
            return Replay::Failed { fault: told, failing_rows: None };
        }
        let found = self.search(&mut Rows::new(rows.clone()), columns, fault).ok();
        let failing =
            |found: Found| found.failed.iter().map(|(row, fault)| (*row, fault.to_string())).collect();
        Replay::Failed { fault: told, failing_rows: found.map(failing) }
    }

    fn fates(&self, outcome: Outcome) -> ReplayedRows {
        let rows = outcome.num_rows();
        let makes_new_rows = Outcome::makes_new_rows(&self.plan);
        let kept = outcome.kept();
        let mut fates: Vec<_> = (0..rows)
            .map(|row| match (makes_new_rows, kept.value(row)) {
                (true, _) => ReplayedFate::Used,
                (false, true) => ReplayedFate::Kept,
                (false, false) => ReplayedFate::Dropped,
            })
            .collect();
        for (row, rule, reason) in outcome.rejected(&self.plan) {
            fates[row] = ReplayedFate::Rejected { rule: rule.to_owned(), reason: reason.to_owned() };
        }
        ReplayedRows { fates, made: outcome.into_made() }
    }
}
