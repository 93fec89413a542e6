//! The trait of transforms that look rows up in a table.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{Batch, Description, Error, Outcome, Schema, TransformPlan};

/// A transform that looks rows up in a reference table, which the host reads and the step names by `reference`.
///
/// The host calls `columns`, `open`, and then `load` until all rows of the table were given; rows to `apply` come
/// afterwards. When the table has changed it does so again, with another instance, between two epochs: the plugin never
/// sees a table change, and keeps no state beside it.
pub trait ReferenceTransform: Sized {
    const DESCRIPTION: Description;
    /// The configuration; its JSON Schema, kept in `config.schema.json`, is the plugin's `config-schema`.
    type Config: DeserializeOwned + JsonSchema;

    /// The names of the top-level columns of `table` that `load` gets, in this order; each once. Errors:
    /// [`Error::Config`], [`Error::Schema`].
    fn columns(config: &Self::Config, table: &Schema) -> Result<Vec<String>, Error>;

    /// Checks the configuration against the schema of the stream and that of the table, of which `table` has the columns
    /// that were named ([`Schema::place`] finds them in the rows). The plan must not depend on the table's rows. Errors:
    /// [`Error::Config`], [`Error::Schema`].
    fn open(config: Self::Config, input: &Schema, table: &Schema) -> Result<(Self, TransformPlan), Error>;

    /// Takes rows of the table: the columns that were named, in the table's order. Errors: [`Error::Data`], if the table
    /// cannot be used; the host goes on with the version before, if any.
    fn load(&mut self, rows: Batch) -> Result<(), Error>;

    /// Processes a batch of the plan's columns. Errors: [`Error::Data`].
    fn apply(&mut self, batch: &Batch) -> Result<Outcome, Error>;
}
