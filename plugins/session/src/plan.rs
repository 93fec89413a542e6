//! The configuration, and what it comes to for a schema.

use aggregation::{AggregateConfig, Input};
use sluicebox_plugin::schemars::{self, JsonSchema};
use sluicebox_plugin::serde::Deserialize;
use sluicebox_plugin::{Error, Field, KeyShape, Micros, Schema, field, timestamp_micros};

/// Configuration of the sessions.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The column of the event time, a timestamp in microseconds.
    time: String,
    /// A session ends when so long no row came.
    gap: Micros,
    /// The columns, or fields nested in structs, to group by. Nulls are a group.
    #[serde(default)]
    by: Vec<String>,
    /// The columns of the output after `session_start`, `session_end` and the group.
    #[schemars(length(min = 1))]
    aggregates: Vec<AggregateConfig>,
}

pub struct Plan {
    pub input: Input,
    pub gap: i64,
    /// A group, and a session's start.
    pub key: KeyShape,
    pub output: Vec<Field>,
}

impl Plan {
    pub fn new(config: Config, schema: &Schema) -> Result<Plan, Error> {
        let Config { time, gap: Micros(gap), by, aggregates } = config;
        let input = Input::new(&time, &by, &aggregates, schema)?;
        let edges = ["session_start", "session_end"]
            .map(|name| Field { nullable: false, ..field(name, timestamp_micros()) });
        let output = input.output(&edges)?;
        let [start, _] = edges;
        let key = KeyShape(input.group_fields().into_iter().chain([start]).collect());
        Ok(Plan { input, gap, key, output })
    }
}
