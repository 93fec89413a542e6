//! Plugins over Arrow's `RecordBatch` (feature `arrow`): the columns of the contract are Arrow's own buffers, so a batch
//! becomes one without copying a value; only texts are checked again. What the plugin gives back is copied once.
//!
//! The crates are re-exported, so that a plugin cannot pick another version of them. Kernels (`arrow-select`,
//! `arrow-arith` and so on) work on the same arrays, but each brings code for every type: loops over the values of a
//! concrete array keep a component small.

mod from_arrow;
mod schema;
mod to_arrow;

use arrow_array::{Array, BooleanArray, RecordBatch};
use arrow_schema::{Field, Fields, Schema, SchemaRef};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{
    Batch, Bitmap, Description, Error, Outcome, Output, Reads, Rejections, State, Stateful, Transform,
    TransformPlan,
};

pub use {arrow_array, arrow_buffer, arrow_schema};

/// A transform over record batches.
pub trait BatchTransform: Sized {
    const DESCRIPTION: Description;
    /// The configuration; its JSON Schema, kept in `config.schema.json`, is the plugin's `config-schema`.
    type Config: DeserializeOwned + JsonSchema;

    /// Checks the configuration against the columns of the layer at this step. Errors: [`Error::Config`],
    /// [`Error::Schema`].
    fn open(config: Self::Config, input: &Schema) -> Result<(Self, BatchPlan), Error>;

    /// Processes a batch of the plan's columns, in its order; never without rows. Errors: [`Error::Data`].
    fn apply(&mut self, batch: &RecordBatch) -> Result<BatchOutcome, Error>;
}

pub struct BatchPlan {
    /// Top-level columns that `apply` gets; those that the host makes among them, such as `_watermark`.
    pub reads: Vec<String>,
    pub output: BatchOutput,
    /// The names that [`Rejections`] refers to by index: lower case, digits and `_`.
    pub rules: Vec<String>,
}

/// What a transform gives back for the rows that it keeps.
pub enum BatchOutput {
    /// Nothing: rows are only kept or dropped.
    Select,
    /// Row for row, columns that replace those of their names or are added; and names of columns to leave out.
    Columns { set: Vec<Field>, drop: Vec<String> },
    /// New rows of this schema.
    Rows(Schema),
}

/// The fates of a batch's rows.
#[derive(Default)]
pub struct BatchOutcome {
    /// One for each row; a null does not keep. `None`: all rows that are not rejected are kept.
    pub keep: Option<BooleanArray>,
    pub rejected: Rejections,
    /// The columns of [`BatchOutput::Columns`], or the rows of [`BatchOutput::Rows`].
    pub batch: Option<RecordBatch>,
}

/// Any [`BatchTransform`] as a [`Transform`]: what is exported, and what the test kit opens.
pub struct Batchwise<P> {
    plugin: P,
    reads: SchemaRef,
    made: Fields,
}

impl<P: BatchTransform> Transform for Batchwise<P> {
    const DESCRIPTION: Description = P::DESCRIPTION;
    type Config = P::Config;

    fn open(config: P::Config, input: &crate::Schema) -> Result<(Batchwise<P>, TransformPlan), Error> {
        let shown = Schema::new(schema::to_arrow(input.fields())?);
        let (plugin, BatchPlan { reads: names, output, rules }) = P::open(config, &shown)?;
        let mut reads = Reads::default();
        let mut fields = Vec::new();
        for name in &names {
            let place = reads.add(input, name)?;
            if place.is_nested() {
                return Err(Error::Schema(format!("`{name}` is a field in a column; read the column")));
            }
            fields.extend_from_slice(place.fields());
        }
        let reads = schema::to_arrow(&fields)?;
        let (output, made) = match output {
            BatchOutput::Select => (Output::Select, Fields::empty()),
            BatchOutput::Columns { set, drop } => {
                let set = Fields::from(set);
                (Output::Columns { set: schema::from_arrow(&set)?, drop }, set)
            }
            BatchOutput::Rows(schema) => (Output::Rows(schema::from_arrow(&schema.fields)?), schema.fields),
        };
        let plan = TransformPlan { reads: names, output, rules };
        Ok((Batchwise { plugin, reads: Schema::new(reads).into(), made }, plan))
    }

    fn apply(&mut self, batch: &Batch) -> Result<Outcome, Error> {
        self.apply_owned(batch.clone())
    }

    fn apply_owned(&mut self, batch: Batch) -> Result<Outcome, Error> {
        let batch = to_arrow::record_batch(&self.reads, batch)?;
        let rows = batch.num_rows();
        let BatchOutcome { keep, rejected, batch } = self.plugin.apply(&batch)?;
        let keep = keep.map(|keep| kept(&keep, rows)).transpose()?;
        let batch = batch.map(|batch| from_arrow::batch(&self.made, &batch)).transpose()?;
        Ok(Outcome { keep, rejected, batch })
    }
}

fn kept(keep: &BooleanArray, rows: usize) -> Result<Bitmap, Error> {
    if keep.len() != rows {
        return Err(Error::Data(format!(
            "the plugin says of {} rows what to keep, not of {rows}",
            keep.len()
        )));
    }
    let mut bits = Bitmap::from_bytes(&keep.values().sliced(), rows);
    if let Some(nulls) = keep.nulls() {
        bits.and(&nulls.inner().sliced());
    }
    Ok(bits)
}

impl<P: Stateful> Stateful for Batchwise<P> {
    fn state(&mut self) -> &mut dyn State {
        self.plugin.state()
    }
}

#[cfg(test)]
mod tests;
