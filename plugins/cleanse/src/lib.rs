//! Changes columns by a list of steps, one after the other.

mod compile;
mod program;
mod step;

use sluicebox_expression::Rule;
use sluicebox_plugin::schemars::{self, JsonSchema};
use sluicebox_plugin::serde::Deserialize;
use sluicebox_plugin::{Batch, Description, Error, Outcome, Output, Schema, Transform, TransformPlan};

pub use step::Step;

/// Configuration of the cleansing.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Each step sees the columns as the steps before it left them.
    steps: Vec<Step>,
}

pub struct Cleanse {
    program: program::Program,
}

impl Transform for Cleanse {
    const DESCRIPTION: Description = Description {
        name: "cleanse",
        version: env!("CARGO_PKG_VERSION"),
        summary: "Trims, casts, renames and computes columns by a list of steps.",
    };
    type Config = Config;

    fn open(config: Config, input: &Schema) -> Result<(Cleanse, TransformPlan), Error> {
        let (program, reads) = compile::compile(&config.steps, input)?;
        let output = Output::Columns { set: program.set_fields(), drop: program.dropped(input) };
        Ok((Cleanse { program }, TransformPlan { reads, output, rules: Rule::names() }))
    }

    fn apply(&mut self, batch: &Batch) -> Result<Outcome, Error> {
        self.program.run(batch)
    }
}

sluicebox_plugin::export!(Cleanse: Transform);

#[cfg(test)]
mod tests;
