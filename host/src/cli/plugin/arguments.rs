//! Arguments of the commands that send rows from a file through a plugin.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

use super::input_file;
use super::plugins;
use super::records::{RecordRows, declared_columns};
use super::stream::{EventTime, Stream, Written};
use super::trial::Setup;
use crate::cli::assemble;
use crate::config::{self, ByteSize, Period, StepLimits};
use crate::decode::event_time::EventTimeSettings;
use crate::plugin::{Engine, Limits};

/// A plugin, and the rows that go through it.
#[derive(Debug, clap::Args)]
pub struct PluginOverRows {
    /// The path of a component, ending in `.wasm`, or the name of a bundled plugin.
    plugin: String,
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    configuration: Configuration,
    #[command(flatten)]
    limits: LimitArguments,
}

impl PluginOverRows {
    pub fn setup(&self, engine: &Engine) -> Result<Setup> {
        Ok(Setup {
            plugin: plugins::load_named(engine, &self.plugin, Path::new(""))?,
            config: self.configuration.read()?,
            limits: self.limits.limits(),
        })
    }

    /// At most `limit` rows; beside them the records that are none, by number, with the reason.
    pub fn stream(&self, limit: usize) -> Result<(Stream, Vec<(usize, String)>)> {
        let mut records = self.input.read(limit)?;
        let undecodable = std::mem::take(&mut records.dead);
        let written = [Written { rows: records.payload.num_rows(), watermark: None }];
        Ok((Stream::new(records, self.input.event_time()?.as_ref(), &written)?, undecodable))
    }
}

/// The plugin's configuration.
#[derive(Debug, clap::Args)]
struct Configuration {
    /// The plugin's configuration, a YAML or JSON file.
    #[arg(long, value_name = "CONFIG.yaml")]
    config: Option<PathBuf>,
    /// Sets one key of the configuration to a YAML value: `-c size=1m -c 'keep={column: n, gt: 3}' -c reject.rule=low`.
    #[arg(short = 'c', long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl Configuration {
    fn read(&self) -> Result<Value> {
        let mut config = match &self.config {
            Some(file) => config::read_file::<Value>(file)?.0,
            None => Value::Null,
        };
        for setting in &self.set {
            let (key, text) = setting
                .split_once('=')
                .with_context(|| format!("`-c {setting}`: write it as `-c key=value`"))?;
            let value = config::read_text::<Value>(Path::new(key), text)?.0;
            set(&mut config, key, value).with_context(|| format!("`-c {setting}`"))?;
        }
        Ok(config)
    }
}

/// Sets what a path such as `reject.rule` names; mappings on the way are made.
fn set(config: &mut Value, key: &str, value: Value) -> Result<()> {
    let mut place = config;
    for name in key.split('.') {
        if place.is_null() {
            *place = Value::Object(Map::new());
        }
        let Value::Object(members) = place else { bail!("`{name}` cannot be set in what is no mapping") };
        place = members.entry(name).or_insert(Value::Null);
    }
    *place = value;
    Ok(())
}

/// What the plugin may use, as in a step's `limits`.
#[derive(Debug, clap::Args)]
struct LimitArguments {
    /// Memory of the instance.
    #[arg(long, value_name = "SIZE", default_value = "64MiB")]
    memory: ByteSize,
    /// CPU time of one call.
    #[arg(long, value_name = "PERIOD", default_value = "2s")]
    time: Period,
}

impl LimitArguments {
    fn limits(&self) -> Limits {
        let step = StepLimits { memory: self.memory, time: self.time, ..StepLimits::default() };
        assemble::limits(&step)
    }
}

/// Where rows come from.
#[derive(Debug, clap::Args)]
struct Input {
    /// The rows: a file of JSON lines (`.jsonl`), each a record's payload, or a Parquet file (`.parquet`).
    #[arg(long, value_name = "ROWS")]
    input: PathBuf,
    /// Declares a column of JSON lines, as in a pipeline's `decode.schema`; others are inferred.
    #[arg(long = "column", value_name = "NAME=TYPE")]
    columns: Vec<String>,
    /// The timestamp column of the rows' event time. Without it rows have none.
    #[arg(long, value_name = "COLUMN")]
    event_time: Option<String>,
    /// The watermark follows the largest event time at this distance.
    #[arg(long, value_name = "PERIOD", default_value = "0s", requires = "event_time")]
    delay: Period,
}

impl Input {
    /// At most `limit` rows.
    fn read(&self, limit: usize) -> Result<RecordRows> {
        let columns = self.columns.iter().map(|column| {
            let (name, of) = column
                .split_once('=')
                .with_context(|| format!("`--column {column}`: write it as `--column name=type`"))?;
            Ok((name.trim().to_owned(), of.trim().to_owned()))
        });
        let declared = declared_columns(&columns.collect::<Result<_>>()?)?;
        input_file::read(&self.input, &declared, limit).with_context(|| self.input.display().to_string())
    }

    fn event_time(&self) -> Result<Option<EventTime>> {
        let Some(column) = &self.event_time else { return Ok(None) };
        let path = column.split('.').map(str::to_owned).collect();
        Ok(Some(EventTime {
            path,
            settings: EventTimeSettings { delay: self.delay.as_microseconds(), max_ahead: None },
        }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn configuration(settings: &[&str]) -> Result<Value> {
        let set = settings.iter().map(|setting| (*setting).to_owned()).collect();
        Configuration { config: None, set }.read()
    }

    #[test]
    fn settings_are_yaml_and_may_be_nested() {
        let config = configuration(&["size=1m", "keep={column: n, gt: 3}", "reject.rule=low", "keep.lt=1.5"]);
        assert_eq!(
            config.unwrap(),
            json!({"size": "1m", "keep": {"column": "n", "gt": 3, "lt": 1.5}, "reject": {"rule": "low"}})
        );
        assert_eq!(configuration(&[]).unwrap(), Value::Null);
    }

    #[test]
    fn settings_that_cannot_be_are_told() {
        for (settings, says) in
            [(&["size"][..], "key=value"), (&["a=1", "a.b=2"], "no mapping"), (&["a=[1"], "a:1:")]
        {
            let refused = format!("{:#}", configuration(settings).unwrap_err());
            assert!(refused.contains(says), "{refused} does not say {says}");
        }
    }
}
