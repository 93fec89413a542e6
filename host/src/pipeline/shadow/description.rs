//! Differences as samples: where the row was, and what both sides made of it, as JSON.

use arrow::array::{Array, AsArray, RecordBatch, StringArray, UInt64Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::Int64Type;
use serde_json::{Map, Value, json};

use super::columns::Columns;
use super::comparison::{Difference, Fate, rule};
use super::samples::{MAX_LINE, Sample};
use crate::json::rows::{Nulls, json_lines};
use crate::plugin::{HOST_COLUMNS, Rows, StepOutcome};
use crate::progress::{OffsetRange, TopicPartition};

/// Where a batch comes from.
pub struct Place<'a> {
    pub layer: &'a str,
    pub step: &'a str,
    pub partition: &'a TopicPartition,
    pub range: OffsetRange,
}

impl Place<'_> {
    fn position(&self, result: &str) -> Map<String, Value> {
        let mut position = Map::new();
        position.insert("layer".to_owned(), self.layer.into());
        position.insert("step".to_owned(), self.step.into());
        position.insert("topic".to_owned(), (&*self.partition.topic).into());
        position.insert("partition".to_owned(), self.partition.partition.into());
        position.insert("range".to_owned(), json!([self.range.from, self.range.to]));
        position.insert("result".to_owned(), result.into());
        position
    }
}

/// A batch that broke the shadow as a whole.
pub fn describe_failure(place: &Place<'_>, rows: usize, reason: &str) -> Sample {
    let mut position = place.position("failed");
    position.insert("rows".to_owned(), rows.into());
    Sample { position: position.into(), rows: json!({"shadow": {"fate": "failed", "reason": reason}}) }
}

/// Differences of one batch.
pub struct Describer<'a> {
    place: &'a Place<'a>,
    columns: &'a Columns,
    input: RecordBatch,
    primary: Side<'a>,
    shadow: Side<'a>,
}

impl<'a> Describer<'a> {
    pub fn new(
        place: &'a Place<'a>,
        columns: &'a Columns,
        input: Rows,
        primary: &'a StepOutcome,
        shadow: &'a StepOutcome,
    ) -> Self {
        let input = input.into_batch();
        Self { place, columns, input, primary: Side::of(primary), shadow: Side::of(shadow) }
    }

    pub fn describe(&self, difference: &Difference) -> Sample {
        let columns: Vec<&str> =
            difference.columns.iter().map(|column| self.columns.compared[*column].as_str()).collect();
        let mut position = self.place.position(difference.verdict.name());
        let mut rows = Map::new();
        if let Some(row) = difference.row {
            let offsets = self
                .input
                .column_by_name("_offset")
                .and_then(|column| column.as_primitive_opt::<Int64Type>());
            if let Some(offsets) = offsets.filter(|offsets| offsets.is_valid(row)) {
                position.insert("offset".to_owned(), offsets.value(row).into());
            }
            rows.insert("input".to_owned(), row_as_json(&self.input, row));
        }
        if !columns.is_empty() {
            position.insert("columns".to_owned(), json!(columns));
        }
        rows.insert("primary".to_owned(), self.primary.shown(difference.primary));
        rows.insert("shadow".to_owned(), self.shadow.shown(difference.shadow));
        Sample { position: position.into(), rows: rows.into() }
    }
}

struct Side<'a> {
    outcome: &'a StepOutcome,
    /// What came out, but for the columns that the host makes: the input shows them.
    out: RecordBatch,
}

impl<'a> Side<'a> {
    fn of(outcome: &'a StepOutcome) -> Self {
        let out = outcome.rows.clone().into_batch();
        let own = |index: &usize| !HOST_COLUMNS.contains(&out.schema_ref().field(*index).name().as_str());
        let own: Vec<usize> = (0..out.num_columns()).filter(own).collect();
        Self { outcome, out: out.project(&own).unwrap_or(out) }
    }

    fn shown(&self, fate: Fate) -> Value {
        let reason = |reasons: Option<&StringArray>, number: usize| {
            reasons.filter(|reasons| number < reasons.len()).map(|reasons| reasons.value(number).to_owned())
        };
        let named = fate.name();
        match fate {
            Fate::Kept(number) | Fate::Made(number) => {
                json!({"fate": named, "row": row_as_json(&self.out, number)})
            }
            Fate::Dropped | Fate::Used | Fate::Missing => json!({"fate": named}),
            Fate::Rejected(number) => {
                let rejected = self.outcome.rejected.as_ref();
                let reason = reason(rejected.map(|rejected| &rejected.reasons), number);
                json!({"fate": named, "rule": rule(rejected, number), "reason": reason})
            }
            Fate::Failed(number) => {
                let reasons = self.outcome.failed.as_ref().map(|failed| &failed.reasons);
                json!({"fate": named, "reason": reason(reasons, number)})
            }
        }
    }
}

/// Null, where JSON cannot hold the row. One that is too long for a line is not written in the first place.
fn row_as_json(rows: &RecordBatch, row: usize) -> Value {
    if row >= rows.num_rows() || rows.num_columns() == 0 {
        return Value::Null;
    }
    let Ok(row) = take_record_batch(rows, &UInt64Array::from(vec![row as u64])) else { return Value::Null };
    let bytes: usize = row.columns().iter().map(|column| column.get_buffer_memory_size()).sum();
    if bytes > MAX_LINE {
        return json!({ "too_long": bytes });
    }
    let line = json_lines(&row, Nulls::Written).ok();
    line.and_then(|line| serde_json::from_slice(&line).ok()).unwrap_or_default()
}
