//! How aggregates are asked for.

use schemars::JsonSchema;
use serde::Deserialize;
use sluicebox_plugin::{Error, Field, Kind, field, is_key_kind, kind_name};

/// One column of the output.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AggregateConfig {
    pub name: String,
    pub function: Function,
    /// What is aggregated; nulls are left out. Only `count` works without: it counts rows.
    pub column: Option<String>,
    /// For `quantile`: which, from 0 to 1; 0.5 is the median.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub quantile: Option<f64>,
    /// For `top_k`: how many values, at most 100.
    #[schemars(range(min = 1, max = 100))]
    pub k: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Function {
    Count,
    /// Of integers an integer, null if it overflows; of floats a float, summed in the order of the rows.
    Sum,
    /// A float.
    Avg,
    Min,
    Max,
    /// The value of the least event time; of equal ones the first row's.
    First,
    /// The value of the greatest event time; of equal ones the last row's.
    Last,
    /// How many different values, with a standard error of 1.63 %, as an integer. State: at most 4 KB.
    CountDistinct,
    /// A float within 1 % of the value at that rank. State: a few hundred bytes for values of like size, at most 20 KB.
    Quantile,
    /// The most frequent values as a list of structs `value`, `count` and `error`, the most frequent first: `count` is at
    /// most `error` too large. Exact for up to 8 k (at least 64) different values, which is also how many are kept.
    TopK,
}

const MAX_K: u32 = 100;

/// One aggregate: its function, with what that needs, and the type of its column.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregated {
    pub function: Function,
    /// Of the column that is aggregated; for a `count` of rows it does not matter.
    pub kind: Kind,
    pub quantile: f64,
    pub k: usize,
}

impl AggregateConfig {
    pub fn count_of_rows(name: &str) -> AggregateConfig {
        let name = name.to_owned();
        AggregateConfig { name, function: Function::Count, column: None, quantile: None, k: None }
    }

    /// Checks it against its column's type, if it has a column. Errors: [`Error::Config`], [`Error::Schema`].
    pub(crate) fn aggregated(&self, kind: Option<&Kind>) -> Result<Aggregated, Error> {
        let (name, function) = (&self.name, self.function);
        let wrong = |what: &str| Err(Error::Config(format!("aggregate `{name}` {what}")));
        match (function, self.quantile) {
            (Function::Quantile, None) => return wrong("needs `quantile`, from 0 to 1"),
            (Function::Quantile, Some(q)) if !(0.0..=1.0).contains(&q) => {
                return wrong("has a `quantile` that is not from 0 to 1");
            }
            (Function::Quantile, _) | (_, None) => {}
            _ => return wrong("has a `quantile`, which is only for the function of that name"),
        }
        match (function, self.k) {
            (Function::TopK, Some(1..=MAX_K)) => {}
            (Function::TopK, _) => return wrong("needs `k`, from 1 to 100"),
            (_, None) => {}
            _ => return wrong("has a `k`, which is only for `top_k`"),
        }
        let aggregated = |kind: &Kind| Aggregated {
            function,
            kind: kind.clone(),
            quantile: self.quantile.unwrap_or_default(),
            k: self.k.unwrap_or_default() as usize,
        };
        match kind {
            Some(kind) if works_on(function, kind) => Ok(aggregated(kind)),
            Some(kind) => {
                Err(Error::Schema(format!("aggregate `{name}` does not work on {}", kind_name(kind))))
            }
            None if function == Function::Count => Ok(aggregated(&Kind::Boolean)),
            None => wrong("needs a `column`; only `count` works without"),
        }
    }
}

fn works_on(function: Function, kind: &Kind) -> bool {
    use Kind::{Float32, Float64, Int8, Int16, Int32, Int64, Uint8, Uint16, Uint32};
    let is_float = matches!(kind, Float32 | Float64);
    let is_number = is_float || matches!(kind, Int8 | Int16 | Int32 | Int64 | Uint8 | Uint16 | Uint32);
    match function {
        Function::Sum | Function::Avg | Function::Quantile => is_number,
        Function::TopK => is_key_kind(kind),
        Function::Count
        | Function::Min
        | Function::Max
        | Function::First
        | Function::Last
        | Function::CountDistinct => is_float || is_key_kind(kind),
    }
}

impl Aggregated {
    /// The output's column of that name, with what is nested in it.
    pub(crate) fn fields(&self, name: &str) -> Vec<Field> {
        let is_float = matches!(self.kind, Kind::Float32 | Kind::Float64);
        let kind = match self.function {
            Function::Count | Function::CountDistinct => Kind::Int64,
            Function::Sum if !is_float => Kind::Int64,
            Function::Sum | Function::Avg | Function::Quantile => Kind::Float64,
            Function::Min | Function::Max | Function::First | Function::Last => self.kind.clone(),
            Function::TopK => {
                let required = |field: Field| Field { nullable: false, ..field };
                return vec![
                    Field { children: 1, ..field(name, Kind::ListOf) },
                    required(Field { children: 3, ..field("item", Kind::StructOf) }),
                    required(field("value", self.kind.clone())),
                    required(field("count", Kind::Int64)),
                    required(field("error", Kind::Int64)),
                ];
            }
        };
        vec![field(name, kind)]
    }

    /// How many counters a `top_k` has.
    pub(crate) fn counters(&self) -> usize {
        (8 * self.k).max(64)
    }
}
