//! What a `records` plugin gives back for its rows, checked and turned into the outcome of any transform.

use std::collections::HashMap;

use arrow::array::{BooleanBufferBuilder, RecordBatch, StringArray};
use arrow::buffer::BooleanBuffer;

use super::super::bindings::records;
use super::super::lift::lift_batch;
use super::super::outcome::{Outcome, Rejections};
use super::super::plan::{Output, Plan};
use super::super::text::sanitised;
use super::allowance::Allowance;
use super::read::{Expected, read_rows};

impl Outcome {
    /// Says what is wrong with what the plugin gave back for `rows` rows.
    pub(in super::super) fn of_records(
        stated: records::Outcome,
        rows: usize,
        plan: &Plan,
        allowance: &mut Allowance,
    ) -> Result<Self, String> {
        let rejections = rejections(stated.rejected, rows, plan, allowance.reason_bytes)
            .map_err(|what| format!("rejected: {what}"))?;
        let keep = stated.keep.map(|keep| kept(&keep, rows)).transpose()?;
        if keep.is_some() && plan.output != Output::Select {
            return Err("it gives `keep`, though it does not only select rows".to_owned());
        }
        let mut read = |schema, expected| {
            let text = stated.rows.as_deref();
            let read = text.map(|text| read_rows(text, schema, expected, &mut allowance.columns)).transpose();
            read.map_err(|what| format!("rows: {what}"))
        };
        match &plan.output {
            Output::Select if stated.rows.is_some() => {
                Err("it gives rows, though it only selects them".to_owned())
            }
            Output::Select => Ok(Self::new(rows, keep, rejections, None)),
            Output::Columns { made, .. } => match read(made, Expected { rows, nulls: true })? {
                None if made.fields().is_empty() => Ok(Self::new(rows, None, rejections, None)),
                None => Err("it does not give the columns of its plan".to_owned()),
                Some(read) => {
                    let keep = kept(&read.present, rows)?;
                    let made = lift_batch(made, read.batch, rows)?;
                    Ok(Self::new(rows, Some(keep), rejections, Some(made)))
                }
            },
            Output::Rows => {
                let most = allowance.new_rows;
                let read = read(&plan.schema, Expected { rows: most, nulls: false })?;
                let made = read.map(|read| lift_batch(&plan.schema, read.batch, most)).transpose()?;
                allowance.new_rows -= made.as_ref().map_or(0, RecordBatch::num_rows);
                Ok(Self::new(rows, None, rejections, made))
            }
        }
    }
}

fn kept(keep: &[bool], rows: usize) -> Result<BooleanBuffer, String> {
    if keep.len() != rows {
        return Err(format!("it gives the fates of {} rows, the batch has {rows}", keep.len()));
    }
    let mut bits = BooleanBufferBuilder::new(rows);
    bits.append_slice(keep);
    Ok(bits.finish())
}

fn rejections(
    stated: Vec<records::Rejection>,
    rows: usize,
    plan: &Plan,
    reason_bytes: usize,
) -> Result<Rejections, String> {
    let rules: HashMap<&str, u16> = plan.rules.iter().map(AsRef::as_ref).zip(0..).collect();
    let index = |rejection: &records::Rejection| {
        let known = rules.get(rejection.rule.as_str()).copied();
        known.ok_or_else(|| format!("`{}` is not one of the plan's rules", sanitised(&rejection.rule, 64)))
    };
    let indices = stated.iter().map(index).collect::<Result<_, _>>()?;
    let numbers = stated.iter().map(|rejection| rejection.row).collect();
    let reasons = StringArray::from_iter_values(stated.iter().map(|rejection| &rejection.reason));
    Rejections::new(numbers, indices, reasons, rows, reason_bytes)
}
