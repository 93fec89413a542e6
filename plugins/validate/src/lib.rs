//! Holds rows to named rules; each rule says what becomes of the rows that fail it.

mod failures;
mod rule;

use sluicebox_plugin::schemars::{self, JsonSchema};
use sluicebox_plugin::serde::Deserialize;
use sluicebox_plugin::{
    Batch, Description, Error, Kind, Outcome, Output, Reads, Schema, Transform, TransformPlan, field, host,
};

use failures::Failures;
pub use rule::{OnFailure, Rule};
use rule::{Rules, compile};

/// Configuration of the validation.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Every row is held to all of them. The host takes no more than 64 metrics, and each rule has one.
    #[schemars(length(min = 1, max = 64))]
    rules: Vec<Rule>,
    /// Adds a text column of this name: the rules that a row failed, in the order of the rules, with `, ` between
    /// them; null where it failed none.
    column: Option<String>,
}

pub struct Validate {
    rules: Rules,
    adds_column: bool,
}

impl Transform for Validate {
    const DESCRIPTION: Description = Description {
        name: "validate",
        version: env!("CARGO_PKG_VERSION"),
        summary: "Holds rows to named rules: warns of, drops, rejects or stops at those that fail.",
    };
    type Config = Config;

    fn open(config: Config, input: &Schema) -> Result<(Validate, TransformPlan), Error> {
        let mut reads = Reads::default();
        let rules = compile(config.rules, input, &mut reads)?;
        // So that a rule which never fails shows as 0, and not as missing.
        rules.all.iter().for_each(|rule| host::count(&rule.name, 0));
        let plan = TransformPlan {
            reads: reads.names(),
            output: output(config.column.as_deref(), input)?,
            rules: rules.rejecting(),
        };
        Ok((Validate { rules, adds_column: config.column.is_some() }, plan))
    }

    fn apply(&mut self, batch: &Batch) -> Result<Outcome, Error> {
        let failures = Failures::of(&self.rules, batch)?;
        if let Some(stopped) = failures.stopped() {
            // The host looks for the row by sending the batch again in pieces: only a row alone is counted.
            if batch.rows == 1 {
                failures.count();
            }
            return Err(stopped);
        }
        failures.count();
        let columns = self.adds_column.then(|| Batch { rows: batch.rows, columns: vec![failures.names()] });
        Ok(Outcome { keep: failures.keep(), rejected: failures.rejected(), batch: columns })
    }
}

fn output(column: Option<&str>, input: &Schema) -> Result<Output, Error> {
    match column {
        None => Ok(Output::Select),
        Some(name) if input.column(name).is_some() => {
            Err(Error::Schema(format!("`column`: there is a column `{name}` already")))
        }
        Some(name) => Ok(Output::Columns { set: vec![field(name, Kind::Utf8)], drop: Vec::new() }),
    }
}

sluicebox_plugin::export!(Validate: Transform);

#[cfg(test)]
mod tests;
