//! What is measured for `plugin bench`: the plugin itself, and the same columns through a plugin that does nothing.
//!
//! Only calls are timed. Rows that a step drops are taken out of other columns later, and in a pipeline by the next
//! step; that is no cost of the plugin's.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use serde_json::json;

use super::stream::{Cut, Stream};
use super::trial::Setup;
use crate::plugin::{GivesBack, Limits, Plugin, Rows, Step, thread_cpu_time};

/// Batches with the watermarks after them.
pub type Pieces = Vec<(RecordBatch, Option<i64>)>;

/// A plugin and the batches that go through it.
pub struct Load {
    setup: Setup,
    input: SchemaRef,
    pub pieces: Pieces,
}

impl Load {
    pub fn of_stream(setup: &Setup, stream: &Stream, cut: Cut) -> Result<Self> {
        let pieces = stream.pieces(cut).into_iter().map(|piece| {
            let rows = stream.rows_of(&piece, setup.aggregates())?;
            Ok((rows, piece.watermark))
        });
        let pieces = pieces.collect::<Result<_>>()?;
        Ok(Self { setup: setup.clone(), input: stream.rows.schema(), pieces })
    }

    /// Sends all batches through a new instance, and says what CPU time the calls took.
    pub fn run(&self) -> Result<Duration> {
        let mut step = self.setup.open(&self.input)?;
        let mut took = Duration::ZERO;
        for (batch, watermark) in &self.pieces {
            let rows = Rows::new(batch.clone());
            let started = thread_cpu_time();
            let outcome = step.run(rows, *watermark)?;
            took += thread_cpu_time().saturating_sub(started);
            drop(outcome);
        }
        Ok(took)
    }

    /// The columns that the plugin gets.
    pub fn reads(&self) -> Result<Vec<String>> {
        let step = self.setup.open(&self.input)?;
        Ok(step.reads().into_iter().map(str::to_owned).collect())
    }

    /// Bytes of the instance's memory once all batches have gone through.
    pub fn memory(&self) -> Result<usize> {
        Ok(self.outcomes(|_, _| Ok(()))?.memory())
    }

    fn outcomes(&self, mut with: impl FnMut(&Step, RecordBatch) -> Result<()>) -> Result<Step> {
        let mut step = self.setup.open(&self.input)?;
        for (batch, watermark) in &self.pieces {
            let outcome = step.run(Rows::new(batch.clone()), *watermark)?;
            with(&step, outcome.rows.into_batch())?;
        }
        Ok(step)
    }
}

/// What a plugin gave back.
pub struct Given {
    pub names: Vec<String>,
    pub pieces: Pieces,
    /// Rows that crossed the boundary, by those that are here: the ones that were kept.
    pub share: f64,
}

/// Lets the plugin run once, and takes what it gives back; `None` if there is nothing.
pub fn out_of(load: &Load) -> Result<Option<Given>> {
    let (mut names, mut pieces, mut crossed, mut here) = (Vec::new(), Vec::new(), 0, 0);
    let mut inputs = load.pieces.iter();
    load.outcomes(|step, out| {
        let rows_in = inputs.next().map_or(0, |(batch, _)| batch.num_rows());
        let (schema, rows) = match step.gives_back() {
            GivesBack::Nothing => return Ok(()),
            GivesBack::Columns(schema) => (schema, rows_in),
            GivesBack::Rows(schema) => (schema, out.num_rows()),
        };
        crossed += rows;
        here += out.num_rows();
        names = schema.fields().iter().map(|field| field.name().clone()).collect();
        let places = names.iter().map(|name| out.schema().index_of(name)).collect::<Result<Vec<_>, _>>()?;
        if out.num_rows() > 0 {
            pieces.push((out.project(&places)?, None));
        }
        Ok(())
    })?;
    if here == 0 || names.is_empty() {
        return Ok(None);
    }
    Ok(Some(Given { names, pieces, share: crossed as f64 / here as f64 }))
}

/// The echo over these columns.
pub fn over_columns(echo: &Arc<Plugin>, columns: &[String], give_back: bool, pieces: Pieces) -> Load {
    let config = json!({ "columns": columns, "give_back": give_back });
    let input = pieces.first().map_or_else(|| Arc::new(Schema::empty()), |(batch, _)| batch.schema());
    Load {
        setup: Setup {
            plugin: echo.clone(),
            config,
            limits: Limits::default(),
            grants: Arc::default(),
            reference: None,
        },
        input,
        pieces,
    }
}
