//! Keeps the rows that meet a condition; drops or rejects the others.

use sluicebox_condition::{Condition, Test, compile, evaluate};
use sluicebox_plugin::schemars::{self, JsonSchema};
use sluicebox_plugin::serde::Deserialize;
use sluicebox_plugin::{
    Batch, Description, Error, Outcome, Output, Reads, Rejections, Schema, Transform, TransformPlan,
};

/// Configuration of the filter.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// A row is kept if this is true for it; not if it is false, nor if a null makes it neither.
    keep: Condition,
    /// Rejects the other rows instead of dropping them, so that they go to quarantine.
    reject: Option<Reject>,
}

/// How rows are rejected.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reject {
    /// Names a metric: lower case, digits and `_`.
    rule: String,
    /// For people; the rule's name unless given.
    reason: Option<String>,
}

pub struct Filter {
    test: Test,
    /// The reason for rejecting rows; `None` drops them.
    reason: Option<String>,
}

impl Transform for Filter {
    const DESCRIPTION: Description = Description {
        name: "filter",
        version: env!("CARGO_PKG_VERSION"),
        summary: "Keeps the rows that meet a condition; drops or rejects the others.",
    };
    type Config = Config;

    fn open(config: Config, input: &Schema) -> Result<(Filter, TransformPlan), Error> {
        let mut reads = Reads::default();
        let test = compile(&config.keep, input, &mut reads)?;
        let rules = config.reject.iter().map(|reject| reject.rule.clone()).collect();
        let reason = config.reject.map(|reject| reject.reason.unwrap_or(reject.rule));
        Ok((Filter { test, reason }, TransformPlan { reads: reads.names(), output: Output::Select, rules }))
    }

    fn apply(&mut self, batch: &Batch) -> Result<Outcome, Error> {
        let keep = evaluate(&self.test, batch)?.is_true;
        let Some(reason) = &self.reason else {
            return Ok(Outcome { keep: Some(keep), ..Outcome::default() });
        };
        let mut rejected = Rejections::default();
        for row in keep.clear_rows() {
            rejected.push(row, 0, reason);
        }
        Ok(Outcome { rejected, ..Outcome::default() })
    }
}

sluicebox_plugin::export!(Filter: Transform);

#[cfg(test)]
mod tests;
