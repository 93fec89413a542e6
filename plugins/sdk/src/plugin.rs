//! The traits that plugins implement, and what they hand back.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{Batch, Bitmap, Error, Field, Rejections, Schema};

/// What a plugin says of itself; see `describe` in the contract.
pub struct Description {
    pub name: &'static str,
    pub version: &'static str,
    pub summary: &'static str,
}

/// A plugin that keeps, drops, rejects, changes or replaces rows.
pub trait Transform: Sized {
    const DESCRIPTION: Description;
    /// The configuration; its JSON Schema, kept in `config.schema.json`, is the plugin's `config-schema`.
    type Config: DeserializeOwned + JsonSchema;

    /// Checks the configuration against the schema. Errors: [`Error::Config`], [`Error::Schema`].
    fn open(config: Self::Config, input: &Schema) -> Result<(Self, TransformPlan), Error>;

    /// Processes a batch of the plan's columns. Errors: [`Error::Data`].
    fn apply(&mut self, batch: &Batch) -> Result<Outcome, Error>;

    /// The same with a batch of one's own, as the host gives it: for who makes something else of its buffers.
    fn apply_owned(&mut self, batch: Batch) -> Result<Outcome, Error> {
        self.apply(&batch)
    }
}

/// A plugin that takes rows in and gives out rows of another schema, now or later.
pub trait Aggregate: Stateful + Sized {
    const DESCRIPTION: Description;
    /// The configuration; its JSON Schema, kept in `config.schema.json`, is the plugin's `config-schema`.
    type Config: DeserializeOwned + JsonSchema;

    /// Checks the configuration against the schema. Errors: [`Error::Config`], [`Error::Schema`].
    fn open(config: Self::Config, input: &Schema) -> Result<(Self, AggregatePlan), Error>;

    /// Processes a batch, which may have no rows. `watermark`: the task's after it, in microseconds.
    fn update(&mut self, batch: &Batch, watermark: Option<i64>) -> Result<Emission, Error>;
}

/// A plugin that remembers something between batches.
pub trait Stateful {
    fn state(&mut self) -> &mut dyn State;
}

/// The memory of a plugin, as the host stores it. [`crate::KeyedState`] implements it.
pub trait State {
    fn layout(&self) -> Fields;
    /// Makes ready for rows of another layout, which `restore` takes next and which count as changed. Refuses them,
    /// unless a plugin knows better. Errors: [`Error::Data`].
    fn migrate(&mut self, stored: &Fields) -> Result<(), Error> {
        Err(crate::state::cannot_migrate(stored, &self.layout()))
    }
    /// What changed since the last call, in the order of the keys.
    fn changes(&mut self) -> Result<Delta, Error>;
    /// Takes rows back in, with the columns of key and value.
    fn restore(&mut self, upserts: &Batch) -> Result<(), Error>;
}

/// The columns of a state: those of the key, and the others; and the version of what they mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Fields {
    pub version: u32,
    pub key: Vec<Field>,
    pub value: Vec<Field>,
}

/// Changes of a state: whole rows that are new or changed, and keys that are gone.
pub struct Delta {
    pub upserts: Option<Batch>,
    pub deletes: Option<Batch>,
}

pub struct TransformPlan {
    /// Top-level columns that `apply` gets, in this order; [`crate::Reads::names`] gives them.
    pub reads: Vec<String>,
    pub output: Output,
    /// The names that [`Rejections`] refers to by index.
    pub rules: Vec<String>,
}

/// What a transform gives back for the rows that it keeps.
pub enum Output {
    /// Nothing: rows are only kept or dropped.
    Select,
    /// Row for row, columns that replace those of their names or are added; and names of columns to leave out.
    Columns { set: Vec<Field>, drop: Vec<String> },
    /// New rows of this schema.
    Rows(Vec<Field>),
}

/// The fates of a batch's rows.
#[derive(Default)]
pub struct Outcome {
    /// `None`: all rows that are not rejected are kept.
    pub keep: Option<Bitmap>,
    pub rejected: Rejections,
    /// The columns of [`Output::Columns`], or the rows of [`Output::Rows`].
    pub batch: Option<Batch>,
}

pub struct AggregatePlan {
    pub reads: Vec<String>,
    pub output: Vec<Field>,
    pub rules: Vec<String>,
}

/// What an aggregate makes of a batch.
#[derive(Default)]
pub struct Emission {
    pub rejected: Rejections,
    /// Rows of the plan's output.
    pub batch: Option<Batch>,
}
