//! The configuration, and what it comes to for a schema.

use std::collections::HashSet;

use sluicebox_plugin::schemars::{self, JsonSchema};
use sluicebox_plugin::serde::Deserialize;
use sluicebox_plugin::{
    Batch, Error, Field, Kind, Micros, Place, Reads, Scalar, Schema, TimeUnit, field, is_key_kind, kind_name,
    timestamp_micros,
};

/// A row may fall into this many sliding windows at most.
const MAX_OVERLAP: i64 = 1_000;

/// Configuration of the windows.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The column of the event time, a timestamp in microseconds.
    time: String,
    /// How long a window is. Windows begin at multiples of `slide` since 1970-01-01T00:00:00Z.
    size: Micros,
    /// How far apart windows begin; as long as `size` unless given (tumbling windows).
    slide: Option<Micros>,
    /// The columns, or fields nested in structs, to group by. Nulls are a group.
    #[serde(default)]
    by: Vec<String>,
    /// The columns of the output after `window_start`, `window_end` and the group.
    #[schemars(length(min = 1))]
    aggregates: Vec<AggregateConfig>,
}

/// One column of the output.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AggregateConfig {
    name: String,
    function: Function,
    /// What is aggregated; nulls are left out. Only `count` works without: it counts rows.
    column: Option<String>,
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
}

/// One aggregate, and the type of its column.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregated {
    pub function: Function,
    /// Of the column that is aggregated; for `count` it does not matter.
    pub kind: Kind,
}

pub struct Plan {
    pub time: Place,
    pub watermark: Place,
    pub by: Vec<Place>,
    pub size: i64,
    pub slide: i64,
    pub aggregates: Vec<Aggregated>,
    columns: Vec<Option<Place>>,
    pub output: Vec<Field>,
}

impl Plan {
    /// The row's value for each aggregate; a `count` of rows gets one that is not null.
    pub fn values(&self, batch: &Batch, row: usize) -> Result<Vec<Scalar>, Error> {
        let value = |column: &Option<Place>| match column {
            Some(place) => place.scalar(batch, row),
            None => Ok(Scalar::Bool(true)),
        };
        self.columns.iter().map(value).collect()
    }
}

/// The plan, and the columns to read.
pub fn plan(config: Config, input: &Schema) -> Result<(Plan, Vec<String>), Error> {
    let size = config.size.0;
    let slide = config.slide.map_or(size, |slide| slide.0);
    if slide > size || size / slide > MAX_OVERLAP {
        return Err(Error::Config(format!(
            "`slide` must be at most `size`, and at least a {MAX_OVERLAP}th of it"
        )));
    }
    let mut reads = Reads::default();
    let time = reads.add(input, &config.time)?;
    if !matches!(time.kind(), Kind::Timestamp(timestamp) if timestamp.unit == TimeUnit::Microseconds) {
        return Err(Error::Schema(format!("column `{}` is not a timestamp in microseconds", config.time)));
    }
    let watermark = reads.add(input, "_watermark")?;
    let required = |name| Field { nullable: false, ..field(name, timestamp_micros()) };
    let mut output = vec![required("window_start"), required("window_end")];
    let mut by = Vec::with_capacity(config.by.len());
    for name in &config.by {
        let place = reads.add(input, name)?;
        if !is_key_kind(place.kind()) {
            return Err(Error::Schema(format!(
                "column `{name}` is {}, which cannot be grouped by",
                kind_name(place.kind())
            )));
        }
        output.push(field(&place.field().name, place.kind().clone()));
        by.push(place);
    }
    if config.aggregates.is_empty() {
        return Err(Error::Config("`aggregates` must name at least one".into()));
    }
    let (mut aggregates, mut columns) = (Vec::new(), Vec::new());
    for AggregateConfig { name, function, column } in config.aggregates {
        let place = column.as_deref().map(|column| reads.add(input, column)).transpose()?;
        let kind = place.as_ref().map(|place| place.kind().clone());
        let result = result_kind(&name, function, kind.as_ref())?;
        output.push(field(name, result));
        aggregates.push(Aggregated { function, kind: kind.unwrap_or(Kind::Boolean) });
        columns.push(place);
    }
    let mut names = HashSet::new();
    if let Some(twice) = output.iter().find(|field| !names.insert(field.name.as_str())) {
        return Err(Error::Config(format!("two columns of the output would be named `{}`", twice.name)));
    }
    Ok((Plan { time, watermark, by, size, slide, aggregates, columns, output }, reads.names()))
}

fn result_kind(name: &str, function: Function, kind: Option<&Kind>) -> Result<Kind, Error> {
    let Some(kind) = kind else {
        return match function {
            Function::Count => Ok(Kind::Int64),
            _ => {
                Err(Error::Config(format!("aggregate `{name}` needs a `column`; only `count` works without")))
            }
        };
    };
    let unfit = || Error::Schema(format!("aggregate `{name}` does not work on {}", kind_name(kind)));
    let is_float = matches!(kind, Kind::Float32 | Kind::Float64);
    let is_int = is_int(kind);
    match function {
        _ if !(is_float || is_key_kind(kind)) => Err(unfit()),
        Function::Count => Ok(Kind::Int64),
        Function::Sum if is_int => Ok(Kind::Int64),
        Function::Sum | Function::Avg if is_float => Ok(Kind::Float64),
        Function::Avg if is_int => Ok(Kind::Float64),
        Function::Sum | Function::Avg => Err(unfit()),
        Function::Min | Function::Max | Function::First | Function::Last => Ok(kind.clone()),
    }
}

fn is_int(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Int8 | Kind::Int16 | Kind::Int32 | Kind::Int64 | Kind::Uint8 | Kind::Uint16 | Kind::Uint32
    )
}
