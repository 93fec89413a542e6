//! A plugin as the only step, over a stream cut in one way or another: what becomes of each row.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, SchemaRef};
use serde_json::Value;

use super::json_rows::{Row, json_rows};
use super::stream::{Cut, Piece, Stream};
use crate::plugin::{
    Grants, Limits, OnError, Plugin, PluginError, PluginKind, Rows, Step, StepOutcome, StepSettings,
};
use crate::reference_table::ReferenceTable;
use crate::state;

/// A plugin with all that it is opened with, except the columns of its input.
#[derive(Debug, Clone)]
pub struct Setup {
    pub plugin: Arc<Plugin>,
    pub config: Value,
    pub limits: Limits,
    pub grants: Arc<Grants>,
    /// The table of a plugin that looks rows up.
    pub reference: Option<Arc<ReferenceTable>>,
}

/// What becomes of one row of the input.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// With its columns as the plugin leaves them.
    Kept(Row),
    Dropped,
    Rejected {
        rule: String,
        reason: String,
    },
    /// It breaks the plugin, or gets a `data` error.
    Failed {
        reason: String,
    },
    /// It is behind its watermark and never came to the plugin.
    Late,
    /// What the plugin made of it is among the new rows.
    Used,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// For each row of the input.
    pub fates: Vec<Fate>,
    /// New rows, in the order in which they came.
    pub made: Vec<Row>,
}

impl Setup {
    pub fn open(&self, input: &SchemaRef) -> Result<Step> {
        let settings = StepSettings {
            layer: "plugin".into(),
            step: self.plugin.name().clone(),
            config: self.config.clone(),
            limits: self.limits.clone(),
            on_error: OnError::SetAside,
            grants: self.grants.clone(),
        };
        let table = self.reference.clone();
        Step::open_with_reference(self.plugin.clone(), settings, input, table).map_err(|error| match error {
            PluginError::Step { what, .. } => anyhow!(what),
            other => other.into(),
        })
    }

    pub fn aggregates(&self) -> bool {
        self.plugin.kind() == PluginKind::Aggregate
    }

    /// Sends all rows through. `restores`: after each batch, another instance goes on with the state.
    pub fn run(&self, stream: &Stream, cut: Cut, restores: bool) -> Result<Trial> {
        let mut step = self.open(stream.rows.schema_ref())?;
        let mut trial = Trial { fates: vec![Fate::Dropped; stream.rows.num_rows()], made: Vec::new() };
        let mut kept_state = None;
        let pieces = stream.pieces(cut);
        for (number, piece) in pieces.iter().enumerate() {
            self.run_piece(&mut step, stream, piece, &mut trial)
                .with_context(|| format!("at rows {}..{}", piece.rows.start, piece.rows.end))?;
            if restores && number + 1 < pieces.len() {
                step = self.restored(step, stream, &mut kept_state).context("restoring the state")?;
            }
        }
        Ok(trial)
    }

    fn run_piece(&self, step: &mut Step, stream: &Stream, piece: &Piece, trial: &mut Trial) -> Result<()> {
        let rows = stream.rows_of(piece, self.aggregates())?;
        if self.aggregates() {
            for row in piece.rows.clone().filter(|row| stream.late[*row]) {
                trial.fates[row] = Fate::Late;
            }
        }
        let first = piece.rows.start;
        let numbers = Numbers::new(&stream.rows, first, piece.rows.len())?;
        let handed_over = numbers.of(&rows)?;
        let outcome =
            step.run(Rows::new(rows), piece.watermark).map_err(|error| anyhow!(error.into_what()))?;
        note(trial, outcome, &numbers, &handed_over)
    }

    fn restored(&self, mut step: Step, stream: &Stream, kept: &mut Option<RecordBatch>) -> Result<Step> {
        let (changes, layout) = (step.changes()?, step.state_layout().cloned());
        let mut next = self.open(stream.rows.schema_ref())?;
        let Some(layout) = layout else { return Ok(next) };
        let rows = state::compact(&layout, kept.take(), changes.map(|(_, changes)| changes))?;
        next.restore(&layout, &rows)?;
        *kept = Some(rows);
        Ok(next)
    }
}

/// Finds rows again by their offsets, which no plugin can change. Offsets ascend.
struct Numbers<'a> {
    first: usize,
    offsets: &'a [i64],
}

impl<'a> Numbers<'a> {
    fn new(rows: &'a RecordBatch, first: usize, count: usize) -> Result<Self> {
        Ok(Self { first, offsets: &offsets(rows)?[first..first + count] })
    }

    fn of(&self, rows: &RecordBatch) -> Result<Vec<usize>> {
        let number = |offset: &i64| {
            let at = self.offsets.binary_search(offset);
            at.map(|at| self.first + at).map_err(|_| anyhow!("a row has the offset of none"))
        };
        offsets(rows)?.iter().map(number).collect()
    }
}

fn offsets(rows: &RecordBatch) -> Result<&[i64]> {
    let column = rows.column_by_name("_offset").context("the rows have no `_offset`")?;
    Ok(column.as_primitive_opt::<Int64Type>().context("`_offset` is not int64")?.values())
}

fn note(trial: &mut Trial, outcome: StepOutcome, numbers: &Numbers<'_>, handed_over: &[usize]) -> Result<()> {
    let out = outcome.rows.into_batch();
    if out.column_by_name("_offset").is_some() {
        for (number, row) in numbers.of(&out)?.into_iter().zip(json_rows(&out)?) {
            trial.fates[number] = Fate::Kept(row);
        }
    } else {
        trial.made.extend(json_rows(&out)?);
        for number in handed_over {
            trial.fates[*number] = Fate::Used;
        }
    }
    if let Some(rejected) = &outcome.rejected {
        for (at, number) in numbers.of(&rejected.rows)?.into_iter().enumerate() {
            let text = |array: &arrow::array::StringArray| match array.is_valid(at) {
                true => array.value(at).to_owned(),
                false => String::new(),
            };
            trial.fates[number] =
                Fate::Rejected { rule: text(&rejected.rules), reason: text(&rejected.reasons) };
        }
    }
    if let Some(failed) = &outcome.failed {
        for (number, reason) in numbers.of(&failed.rows)?.into_iter().zip(failed.reasons.iter()) {
            trial.fates[number] = Fate::Failed { reason: reason.unwrap_or_default().to_owned() };
        }
    }
    Ok(())
}
