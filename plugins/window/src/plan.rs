//! The configuration, and what it comes to for a schema.

use aggregation::{AggregateConfig, Input};
use sluicebox_plugin::schemars::{self, JsonSchema};
use sluicebox_plugin::serde::Deserialize;
use sluicebox_plugin::{Error, Field, KeyShape, Micros, Schema, field, timestamp_micros};

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
    /// When the rows of a window come out; `close` unless given.
    #[serde(default)]
    emit: Emit,
    /// The columns of the output after `window_start`, `window_end` and the group.
    #[schemars(length(min = 1))]
    aggregates: Vec<AggregateConfig>,
}

/// When the rows of a window come out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Emit {
    /// Once for each group, when the watermark has passed the window's end.
    #[default]
    Close,
    /// At each row, for each window that takes it: the group's values with that row. The column `revision`, after the
    /// group, counts the rows so far; the largest is the last. Nothing comes out when the window closes.
    Update,
}

pub struct Plan {
    pub input: Input,
    pub size: i64,
    pub slide: i64,
    pub emit: Emit,
    /// A window's start and a group.
    pub key: KeyShape,
    pub output: Vec<Field>,
}

impl Plan {
    pub fn new(config: Config, schema: &Schema) -> Result<Plan, Error> {
        let Config { time, size: Micros(size), slide, by, emit, mut aggregates } = config;
        let slide = slide.map_or(size, |slide| slide.0);
        if slide > size || size / slide > MAX_OVERLAP {
            return Err(Error::Config(format!(
                "`slide` must be at most `size`, and at least a {MAX_OVERLAP}th of it"
            )));
        }
        if aggregates.is_empty() {
            return Err(Error::Config("`aggregates` must name at least one".into()));
        }
        if emit == Emit::Update {
            aggregates.insert(0, AggregateConfig::count_of_rows("revision"));
        }
        let input = Input::new(&time, &by, &aggregates, schema)?;
        let edges = ["window_start", "window_end"]
            .map(|name| Field { nullable: false, ..field(name, timestamp_micros()) });
        let output = input.output(&edges)?;
        let [start, _] = edges;
        let key = KeyShape(std::iter::once(start).chain(input.group_fields()).collect());
        Ok(Plan { input, size, slide, emit, key, output })
    }
}
