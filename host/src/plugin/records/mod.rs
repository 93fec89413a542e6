//! The row-wise form of a transform: rows go in as JSON, and come back as JSON. What comes back is turned into the
//! columns that a typed plugin would have given, and goes through the same checks.

mod allowance;
mod column;
mod outcome;
mod read;
mod scalar;
#[cfg(test)]
mod tests;
mod write;

use std::ops::Range;
use std::time::Duration;

use arrow::array::ArrayRef;
use arrow::datatypes::TimeUnit;

pub(super) use self::allowance::Allowance;
use self::write::RowWriter;
use super::error::Fault;
use super::limits::thread_cpu_time;
use super::outcome::Outcome;
use super::step::Step;

/// A batch is handed over in texts of about this many bytes, so that neither side holds all of it as JSON and as its
/// language's objects, which are ten times as large.
const TEXT_BYTES: usize = 1 << 20;

impl Step {
    /// Hands a batch over as JSON, in as many calls as its size asks for, which have the time of one. The outcome is that of
    /// the whole.
    pub(super) fn process_as_records(
        &mut self,
        columns: &[ArrayRef],
        rows: usize,
        cpu: Duration,
    ) -> Result<Outcome, Fault> {
        let input = self.input.clone();
        let reads = self.plan.reads.clone();
        let names = reads.iter().map(|index| input.field(*index).name().as_str());
        let writer = RowWriter::new(names.zip(columns.iter().map(AsRef::as_ref)));
        let mut allowance = Allowance::new(&self.limits);
        let mut outcomes = Vec::new();
        let mut left = cpu;
        let mut done = 0;
        while done < rows {
            let (text, range) = write_text(&writer, done..rows);
            done = range.end;
            let instance = self.live_instance()?;
            let started = thread_cpu_time();
            let stated = instance.process_records(left, &text).map_err(|fault| match fault {
                Fault::Time(_) => Fault::Time(cpu),
                other => other,
            })?;
            left = left.saturating_sub(thread_cpu_time().saturating_sub(started));
            allowance.take(&stated)?;
            let checked = Outcome::of_records(stated, range.len(), &self.plan, &mut allowance);
            outcomes.push(checked.map_err(Fault::Malformed)?);
        }
        match outcomes.len() {
            1 => outcomes.pop().ok_or_else(|| Fault::Malformed("a batch without rows".to_owned())),
            _ => Outcome::joined(outcomes, &self.plan).map_err(|error| Fault::Malformed(error.to_string())),
        }
    }
}

/// All rows in one text.
#[cfg(test)]
pub(super) fn write_all(batch: &arrow::array::RecordBatch) -> String {
    let schema = batch.schema();
    let names = schema.fields().iter().map(|field| field.name().as_str());
    let writer = RowWriter::new(names.zip(batch.columns().iter().map(AsRef::as_ref)));
    write_text(&writer, 0..batch.num_rows()).0
}

/// As many of `rows` as fit into one text, at least one.
fn write_text(writer: &RowWriter<'_>, rows: Range<usize>) -> (String, Range<usize>) {
    let mut text = "[".to_owned();
    let mut end = rows.start;
    while end < rows.end && (end == rows.start || text.len() < TEXT_BYTES) {
        if end > rows.start {
            text.push(',');
        }
        writer.write(end, &mut text);
        end += 1;
    }
    text.push(']');
    (text, rows.start..end)
}

fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}
