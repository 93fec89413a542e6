//! What a step agreed on with its plugin, and what it holds: for tools.

use arrow::datatypes::SchemaRef;

use super::instance::Instance;
use super::plan::Output;
use super::step::Step;

/// What a plugin gives back for a batch, beside the fates of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GivesBack<'a> {
    /// Nothing.
    Nothing,
    /// These columns, with a row for each row of the batch.
    Columns(&'a SchemaRef),
    /// Rows of this schema, any number.
    Rows(&'a SchemaRef),
}

impl Step {
    /// Of the rows that come in.
    pub fn input_schema(&self) -> &SchemaRef {
        &self.input
    }

    /// The columns that the plugin gets, in its order.
    pub fn reads(&self) -> Vec<&str> {
        self.plan.reads.iter().map(|index| self.input.field(*index).name().as_str()).collect()
    }

    pub fn gives_back(&self) -> GivesBack<'_> {
        match &self.plan.output {
            Output::Select => GivesBack::Nothing,
            Output::Columns { made, .. } => GivesBack::Columns(made),
            Output::Rows => GivesBack::Rows(&self.plan.schema),
        }
    }

    /// Bytes of linear memory of the instance; none while there is none.
    pub fn memory(&self) -> usize {
        self.instance.as_ref().map_or(0, Instance::memory)
    }
}
