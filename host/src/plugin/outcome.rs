//! What a plugin made of a batch: checked, joined where a batch went in pieces, and carried out.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, BooleanBufferBuilder, RecordBatch, RecordBatchOptions, StringArray, new_empty_array,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{concat, concat_batches};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;

use crate::progress::StepCounts;

use super::bindings::types;
use super::fates::Fates;
use super::instance::StatedOutcome;
use super::joining::{bytes_of, check_elements};
use super::lift::{lift_batch, lift_bits, lift_strings};
use super::limits::Limits;
use super::plan::{Output, Plan};
use super::rows::Rows;
use super::step::StepOutcome;
use super::text::cut;

/// Rows that a plugin refused, as they came in.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejected {
    pub rows: RecordBatch,
    /// For each row the name of the rule.
    pub rules: StringArray,
    pub reasons: StringArray,
}

/// The fates of the rows of one call, without contradictions.
#[derive(Debug)]
pub(super) struct Outcome {
    rows: usize,
    /// Of those that are not rejected; `None` keeps all of them.
    keep: Option<BooleanBuffer>,
    rejections: Rejections,
    /// The plugin's columns, or its new rows.
    made: Option<RecordBatch>,
}

/// Rows that are refused, in ascending order.
#[derive(Debug)]
pub(super) struct Rejections {
    rows: Vec<u32>,
    rules: Vec<u16>,
    reasons: StringArray,
}

impl Outcome {
    /// Says what is wrong with what the plugin gave back for `rows` rows.
    pub fn check(stated: StatedOutcome, rows: usize, plan: &Plan, limits: &Limits) -> Result<Self, String> {
        let (keep, rejected, batch) = match stated {
            StatedOutcome::Transform(outcome) => (outcome.keep, outcome.rejected, outcome.batch),
            StatedOutcome::Aggregate(emission) => (None, emission.rejected, emission.batch),
        };
        let rejections = rejected
            .map_or_else(
                || Ok(Rejections::none()),
                |stated| Rejections::check(stated, rows, plan.rules.len(), limits.reason_bytes),
            )
            .map_err(|what| format!("rejections: {what}"))?;
        let keep =
            keep.map(|bits| lift_bits(bits, rows)).transpose().map_err(|what| format!("keep: {what}"))?;
        let made = match (&plan.output, batch) {
            (Output::Select, None) => None,
            (Output::Select, Some(_)) => {
                return Err("it gives columns, though it only selects rows".to_owned());
            }
            (Output::Columns { made, .. }, None) if made.fields().is_empty() => None,
            (Output::Columns { .. }, None) => {
                return Err("it does not give the columns of its plan".to_owned());
            }
            (Output::Columns { made, .. }, Some(batch)) => {
                let found = batch.rows as usize;
                if found != rows {
                    return Err(format!("its columns have {found} rows, the batch has {rows}"));
                }
                Some(lift_batch(made, batch, rows)?)
            }
            (Output::Rows, _) if keep.is_some() => {
                return Err("it keeps rows, though it makes new ones".to_owned());
            }
            (Output::Rows, None) => None,
            (Output::Rows, Some(batch)) => Some(lift_batch(&plan.schema, batch, limits.output_rows)?),
        };
        Ok(Self::new(rows, keep, rejections, made))
    }

    pub fn new(
        rows: usize,
        keep: Option<BooleanBuffer>,
        rejections: Rejections,
        made: Option<RecordBatch>,
    ) -> Self {
        Self { rows, keep, rejections, made }
    }

    /// The outcomes of pieces of a batch as that of the whole, in the order of the pieces.
    pub fn joined(pieces: Vec<Self>, plan: &Plan) -> Result<Self, ArrowError> {
        let total = pieces.iter().map(|piece| piece.rows).sum();
        let mut keep = BooleanBufferBuilder::new(total);
        let mut rejections = Rejections::none();
        let mut start = 0;
        for piece in &pieces {
            keep.append_buffer(&piece.kept());
            rejections.rows.extend(piece.rejections.rows.iter().map(|row| start + row));
            rejections.rules.extend(&piece.rejections.rules);
            start += piece.rows as u32;
        }
        let reasons: Vec<&dyn Array> =
            pieces.iter().map(|piece| &piece.rejections.reasons as &dyn Array).collect();
        if !reasons.is_empty() {
            rejections.reasons = StringArray::from(concat(&reasons)?.to_data());
        }
        let made: Vec<&RecordBatch> = pieces.iter().filter_map(|piece| piece.made.as_ref()).collect();
        check_elements(made.iter().copied())?;
        let made = match &plan.output {
            Output::Columns { made: schema, .. } => Some(concatenated(schema, &made, total)?),
            Output::Rows if !made.is_empty() => Some(concat_batches(&plan.schema, made)?),
            Output::Select | Output::Rows => None,
        };
        Ok(Self { rows: total, keep: Some(keep.finish()), rejections, made })
    }

    /// Gives each of `rows` its fate. `rows` are those that the plugin saw.
    pub fn carry_out(self, mut rows: Rows, plan: &Plan) -> StepOutcome {
        let kept = self.kept();
        let rejected_count = self.rejections.rows.len();
        let rejected = (rejected_count > 0).then(|| Rejected {
            rows: rows.copy_where(&self.rejections.mask(self.rows)),
            rules: self.rejections.rules.iter().map(|rule| Some(&*plan.rules[*rule as usize])).collect(),
            reasons: self.rejections.reasons.clone(),
        });
        let mut counts = StepCounts {
            rows_in: self.rows as u64,
            rejected: self.rejections.by_rule(plan),
            ..StepCounts::default()
        };
        let mut fates = Fates { kept, rejected: self.rejections.rows, failed: Vec::new() };
        match &plan.output {
            Output::Rows => {
                fates.kept = BooleanBuffer::new_unset(self.rows);
                let made = self.made.unwrap_or_else(|| RecordBatch::new_empty(plan.schema.clone()));
                counts.consumed = (self.rows - rejected_count) as u64;
                counts.made = made.num_rows() as u64;
                rows = Rows::new(made);
            }
            Output::Select | Output::Columns { .. } => {
                if let Output::Columns { sources, .. } = &plan.output {
                    let made = self.made.as_ref().map_or(&[][..], RecordBatch::columns);
                    rows.splice(plan.schema.clone(), sources, made);
                }
                rows.keep_where(&fates.kept);
                counts.kept = rows.num_rows() as u64;
                counts.dropped = (self.rows - rejected_count) as u64 - counts.kept;
            }
        }
        debug_assert!(counts.balances(), "{counts:?}");
        StepOutcome { rows, fates, counts, rejected, failed: None }
    }

    /// Of the input.
    pub fn num_rows(&self) -> usize {
        self.rows
    }

    /// Bytes of all that the plugin gave back.
    pub fn bytes(&self) -> usize {
        let Rejections { rows, rules, reasons } = &self.rejections;
        let made = self.made.iter().flat_map(RecordBatch::columns).map(|column| bytes_of(column));
        let rejected = size_of_val(rows.as_slice()) + size_of_val(rules.as_slice()) + bytes_of(reasons);
        let keep = self.keep.as_ref().map_or(0, |keep| keep.len().div_ceil(8));
        made.fold(rejected + keep, usize::saturating_add)
    }

    /// Rows that take the place of the input's.
    pub fn new_rows(&self, plan: &Plan) -> usize {
        let made = self.made.as_ref().filter(|_| Self::makes_new_rows(plan));
        made.map_or(0, RecordBatch::num_rows)
    }

    /// Whether the rows of the input are used up.
    pub fn makes_new_rows(plan: &Plan) -> bool {
        matches!(plan.output, Output::Rows)
    }

    /// Each rejected row with its rule and the reason.
    pub fn rejected<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = (usize, &'a str, &'a str)> {
        let Rejections { rows, rules, reasons } = &self.rejections;
        let told = rows.iter().zip(rules).zip(reasons.iter());
        told.map(|((row, rule), reason)| (*row as usize, &*plan.rules[*rule as usize], reason.unwrap_or("")))
    }

    /// The plugin's columns, or its new rows.
    pub fn into_made(self) -> Option<RecordBatch> {
        self.made
    }

    pub fn kept(&self) -> BooleanBuffer {
        let keep = self.keep.clone().unwrap_or_else(|| BooleanBuffer::new_set(self.rows));
        if self.rejections.rows.is_empty() {
            return keep;
        }
        &keep & &!&self.rejections.mask(self.rows)
    }
}

/// One after the other; where there is none, empty columns.
fn concatenated(
    schema: &SchemaRef,
    batches: &[&RecordBatch],
    rows: usize,
) -> Result<RecordBatch, ArrowError> {
    let arrays = (0..schema.fields().len()).map(|index| {
        let arrays: Vec<&dyn Array> = batches.iter().map(|batch| batch.column(index).as_ref()).collect();
        if arrays.is_empty() {
            return Ok(new_empty_array(schema.field(index).data_type()));
        }
        concat(&arrays)
    });
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.clone(), arrays.collect::<Result<_, _>>()?, &options)
}

impl Rejections {
    fn none() -> Self {
        Self { rows: Vec::new(), rules: Vec::new(), reasons: StringArray::new_null(0) }
    }

    fn check(
        stated: types::Rejections,
        rows: usize,
        rules: usize,
        reason_bytes: usize,
    ) -> Result<Self, String> {
        let count = stated.rows.len();
        if stated.rules.len() != count {
            return Err(format!("{count} rows have {} rules", stated.rules.len()));
        }
        if let Some(rule) = stated.rules.iter().find(|rule| **rule as usize >= rules) {
            return Err(format!("rule {rule} is not one of the {rules} rules"));
        }
        let reasons =
            lift_strings(stated.reasons, count, None).map_err(|what| format!("the reasons: {what}"))?;
        Self::new(stated.rows, stated.rules, reasons, rows, reason_bytes)
    }

    /// `rows`, each with a rule of the plan and a reason, of a batch of `total`. Reasons are cut at `reason_bytes`.
    pub fn new(
        rows: Vec<u32>,
        rules: Vec<u16>,
        reasons: StringArray,
        total: usize,
        reason_bytes: usize,
    ) -> Result<Self, String> {
        if !rows.windows(2).all(|pair| pair[0] < pair[1]) {
            return Err("the row numbers do not ascend".to_owned());
        }
        if let Some(last) = rows.last().filter(|last| **last as usize >= total) {
            return Err(format!("row {last} is not one of the {total} rows"));
        }
        Ok(Self { rows, rules, reasons: shortened(reasons, reason_bytes) })
    }

    fn mask(&self, rows: usize) -> BooleanBuffer {
        let mut mask = BooleanBufferBuilder::new(rows);
        mask.append_n(rows, false);
        for row in &self.rows {
            mask.set_bit(*row as usize, true);
        }
        mask.finish()
    }

    fn by_rule(&self, plan: &Plan) -> BTreeMap<String, u64> {
        let mut counts = vec![0; plan.rules.len()];
        for rule in &self.rules {
            counts[*rule as usize] += 1;
        }
        let named = plan.rules.iter().map(Arc::as_ref).map(str::to_owned).zip(counts);
        named.filter(|(_, count)| *count > 0).collect()
    }
}

/// No reason longer than `limit` bytes, but for the mark where it was cut.
fn shortened(reasons: StringArray, limit: usize) -> StringArray {
    if (0..reasons.len()).all(|row| reasons.value_length(row) as usize <= limit) {
        return reasons;
    }
    reasons.iter().map(|reason| reason.map(|reason| cut(reason, limit))).collect()
}
