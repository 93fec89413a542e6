//! Computes columns by expressions, one after the other.

mod columns;

use sluicebox_expression::{Expression, Failure, Program, Rule, Vector, rejections};
use sluicebox_plugin::schemars::{self, JsonSchema};
use sluicebox_plugin::serde::{Deserialize, Serialize};
use sluicebox_plugin::{Batch, Description, Error, Outcome, Output, Schema, Transform, TransformPlan, field};

use columns::{Columns, Source};

/// Configuration of the derived columns.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Each sees the columns before it as they were computed.
    #[schemars(length(min = 1))]
    columns: Vec<DerivedColumn>,
}

/// A column to compute.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DerivedColumn {
    /// Of a column that is added, or of one that is replaced.
    name: String,
    /// What is computed; the column has its type.
    expression: String,
    #[serde(default)]
    on_failure: OnFailure,
}

/// What happens where something cannot be computed: a division by zero, an integer that does not fit 64 bits, a value that
/// cannot be cast, a text that is no timestamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// The row is rejected by the rule `division_by_zero`, `overflow`, `cast` or `parse_timestamp`.
    #[default]
    Reject,
    /// What cannot be computed is null, and the computation goes on with that.
    SetNull,
}

pub struct Derive {
    /// Where the inputs of the programs come from, at the positions that the programs know.
    sources: Vec<Source>,
    derived: Vec<Derived>,
}

struct Derived {
    name: String,
    program: Program,
    on_failure: OnFailure,
    /// Whether a later column takes its name.
    is_replaced: bool,
}

impl Transform for Derive {
    const DESCRIPTION: Description = Description {
        name: "derive",
        version: env!("CARGO_PKG_VERSION"),
        summary: "Computes columns by typed expressions of numbers, texts, conditions and timestamps.",
    };
    type Config = Config;

    fn open(config: Config, input: &Schema) -> Result<(Derive, TransformPlan), Error> {
        if config.columns.is_empty() {
            return Err(Error::Config("`columns` is empty: there is nothing to compute".into()));
        }
        let mut columns = Columns::new(input);
        let mut derived: Vec<Derived> = Vec::with_capacity(config.columns.len());
        for DerivedColumn { name, expression, on_failure } in config.columns {
            let program =
                Expression::parse(&expression).and_then(|expression| expression.compile(&mut columns));
            let program = program.map_err(|error| at_column(&name, error))?;
            columns.add(&name, program.result());
            derived
                .iter_mut()
                .filter(|before| before.name == name)
                .for_each(|before| before.is_replaced = true);
            derived.push(Derived { name, program, on_failure, is_replaced: false });
        }
        let set = derived.iter().filter(|derived| !derived.is_replaced);
        let set = set.map(|derived| field(&derived.name, derived.program.kind().clone())).collect();
        let plan = TransformPlan {
            reads: columns.reads(),
            output: Output::Columns { set, drop: Vec::new() },
            rules: Rule::names(),
        };
        Ok((Derive { sources: columns.into_sources(), derived }, plan))
    }

    fn apply(&mut self, batch: &Batch) -> Result<Outcome, Error> {
        let rows = batch.rows as usize;
        let mut rejected: Vec<Failure> = Vec::new();
        let mut inputs: Vec<Vector> = Vec::with_capacity(self.sources.len());
        let mut derived = self.derived.iter();
        for source in &self.sources {
            let vector = match source {
                Source::Read(place) => Vector::load(place, batch)?,
                Source::Derived => {
                    let Some(next) = derived.next() else { continue };
                    let (vector, failures) = next.program.evaluate(&inputs, rows)?;
                    if next.on_failure == OnFailure::Reject {
                        rejected.extend(failures.into_iter().map(|failure| failure.in_column(&next.name)));
                    }
                    vector.into_owned()
                }
            };
            inputs.push(vector);
        }
        let is_derived = |source: &&Source| matches!(source, Source::Derived);
        let computed = self.sources.iter().zip(inputs).filter(|(source, _)| is_derived(source));
        let kept = computed.zip(&self.derived).filter(|(_, derived)| !derived.is_replaced);
        let columns = kept.map(|((_, vector), _)| vector.into_column(rows)).collect();
        let batch = Some(Batch { rows: batch.rows, columns });
        Ok(Outcome { keep: None, rejected: rejections(rejected), batch })
    }
}

fn at_column(name: &str, error: Error) -> Error {
    let told = |what: String| format!("column `{name}`: {what}");
    match error {
        Error::Config(what) => Error::Config(told(what)),
        Error::Schema(what) => Error::Schema(told(what)),
        Error::Data(what) => Error::Data(told(what)),
    }
}

sluicebox_plugin::export!(Derive: Transform);

#[cfg(test)]
mod tests;
