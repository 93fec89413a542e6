//! Arguments of the commands that send rows from a file through a plugin.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

use super::grant_arguments::GrantArguments;
use super::input_file;
use super::plugins;
use super::records::{RecordRows, declared_columns};
use super::reference_rows;
use super::stream::{EventTime, Stream, Written};
use super::trial::Setup;
use crate::capture::Capture;
use crate::cli::settings;
use crate::config::{self, ByteSize, Period, StepLimits, WrittenConfig};
use crate::decode::event_time::EventTimeSettings;
use crate::plugin::{Engine, Limits};
use crate::schema::parse_type;

/// A plugin, and the rows that go through it.
#[derive(Debug, clap::Args)]
pub struct PluginOverRows {
    /// The path of a component, ending in `.wasm`, the name of a bundled plugin, or `oci://registry/name:tag`.
    plugin: String,
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    configuration: Configuration,
    #[command(flatten)]
    limits: LimitArguments,
    #[command(flatten)]
    grants: GrantArguments,
    /// The table of a plugin that looks rows up: a file of JSON lines (`.jsonl`) or Parquet (`.parquet`).
    #[arg(long, value_name = "TABLE")]
    reference: Option<PathBuf>,
}

impl PluginOverRows {
    pub fn setup(&self, engine: &Engine) -> Result<Setup> {
        Ok(Setup {
            plugin: plugins::load_named(engine, &self.plugin, Path::new(""))?,
            config: self.configuration.read()?,
            limits: self.limits.limits(),
            grants: Arc::new(self.grants.read()?),
            reference: self.reference.as_deref().map(reference_rows::read).transpose()?,
        })
    }

    /// As it was when the call of the capture was made, whose file is `path`, except where arguments say otherwise.
    pub fn setup_of(&self, engine: &Engine, capture: &Capture, path: &Path) -> Result<Setup> {
        let captured = || {
            let written: WrittenConfig = serde_json::from_value(capture.about.config.clone())
                .with_context(|| format!("{}: the configuration", path.display()))?;
            Ok(written.resolved(path, Path::new(""))?)
        };
        Ok(Setup {
            plugin: plugins::load_named(engine, &self.plugin, Path::new(""))?,
            config: self.configuration.read_or(captured)?,
            limits: capture.about.limits.clone(),
            grants: Arc::new(self.grants.read()?),
            reference: self.reference.as_deref().map(reference_rows::read).transpose()?,
        })
    }

    /// At most `limit` rows; beside them the records that are none, by number, with the reason.
    pub fn stream(&self, limit: usize, end: End) -> Result<(Stream, Vec<(usize, String)>)> {
        let mut records = self.input.read(limit)?;
        let undecodable = std::mem::take(&mut records.dead);
        let rows = Written { rows: records.payload.num_rows(), watermark: None };
        let written = match end {
            End::Open => vec![rows],
            End::Closed => vec![rows, Written { rows: 0, watermark: Some(END_OF_TIME) }],
        };
        Ok((Stream::new(records, self.input.event_time()?.as_ref(), &written)?, undecodable))
    }
}

/// How a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Other rows may follow.
    Open,
    /// The watermark passes everything.
    Closed,
}

/// 9999-12-31T23:59:59.999999Z in microseconds: no record's time is later.
const END_OF_TIME: i64 = 253_402_300_799_999_999;

/// The plugin's configuration.
#[derive(Debug, clap::Args)]
struct Configuration {
    /// The plugin's configuration, a YAML or JSON file.
    #[arg(long, value_name = "CONFIG.yaml")]
    config: Option<PathBuf>,
    /// Sets one key of the configuration to a YAML value: `-c size=1m -c 'keep={column: n, gt: 3}' -c reject.rule=low`.
    #[arg(short = 'c', long = "set", value_name = "KEY=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
}

/// `NAME=TEXT`.
fn pair(written: &str) -> Result<(String, String), &'static str> {
    let (name, text) = written.split_once('=').ok_or("there is no `=` in it")?;
    match name.trim() {
        "" => Err("nothing stands before the `=`"),
        name => Ok((name.to_owned(), text.trim().to_owned())),
    }
}

/// A number of rows.
pub fn at_least_one(written: &str) -> Result<usize, String> {
    match written.parse() {
        Ok(0) => Err("at least one row is needed".to_owned()),
        Ok(rows) => Ok(rows),
        Err(error) => Err(format!("a number of rows is expected: {error}")),
    }
}

impl Configuration {
    /// Empty, as in a pipeline, where nothing is given.
    fn read(&self) -> Result<Value> {
        self.read_or(|| Ok(Value::Object(Map::new())))
    }

    /// The keys that are set singly change those of the file, or of `captured` where there is none.
    fn read_or(&self, captured: impl FnOnce() -> Result<Value>) -> Result<Value> {
        let mut config = match &self.config {
            Some(file) => config::read_file::<Value>(file)?.0,
            None => captured()?,
        };
        for (key, text) in &self.set {
            let value = config::read_text::<Value>(Path::new(key), text)?.0;
            set(&mut config, key, value).with_context(|| format!("`-c {key}={text}`"))?;
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
        settings::limits(&step)
    }
}

/// Where rows come from.
#[derive(Debug, clap::Args)]
struct Input {
    /// The rows: a file of JSON lines (`.jsonl`), each a record's payload, or a Parquet file (`.parquet`).
    #[arg(long, value_name = "ROWS")]
    input: Option<PathBuf>,
    /// Declares a column of JSON lines, as in a pipeline's `decode.schema`; others are inferred.
    #[arg(long = "column", value_name = "NAME=TYPE", value_parser = column)]
    columns: Vec<(String, String)>,
    /// The timestamp column of the rows' event time. Without it rows have none.
    #[arg(long, value_name = "COLUMN")]
    event_time: Option<String>,
    /// The watermark follows the largest event time at this distance.
    #[arg(long, value_name = "PERIOD", default_value = "0s", requires = "event_time")]
    delay: Period,
}

/// A column with a type that there is.
fn column(written: &str) -> Result<(String, String), String> {
    let (name, of) = pair(written)?;
    parse_type(&of).map_err(|error| error.to_string())?;
    Ok((name, of))
}

impl Input {
    /// At most `limit` rows.
    fn read(&self, limit: usize) -> Result<RecordRows> {
        let declared = declared_columns(self.columns.iter().map(|(name, of)| (name, of)))?;
        let path = self.input.as_deref().context("`--input` says where the rows are")?;
        let records = input_file::read(path, &declared, limit);
        let records = records.and_then(refuse_none);
        records.with_context(|| path.display().to_string())
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

/// Without any row there are no columns either, which a plugin would complain of.
fn refuse_none(records: RecordRows) -> Result<RecordRows> {
    match records.dead.first() {
        _ if records.payload.num_rows() > 0 => Ok(records),
        None => bail!("there are no rows in it"),
        Some((record, reason)) => {
            bail!("none of its {} records can be decoded; record {record}: {reason}", records.dead.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn configuration(settings: &[&str]) -> Result<Value> {
        let set = settings.iter().map(|setting| pair(setting).map_err(anyhow::Error::msg));
        Configuration { config: None, set: set.collect::<Result<_>>()? }.read()
    }

    #[test]
    fn settings_are_yaml_and_may_be_nested() {
        let config = configuration(&["size=1m", "keep={column: n, gt: 3}", "reject.rule=low", "keep.lt=1.5"]);
        assert_eq!(
            config.unwrap(),
            json!({"size": "1m", "keep": {"column": "n", "gt": 3, "lt": 1.5}, "reject": {"rule": "low"}})
        );
        assert_eq!(configuration(&[]).unwrap(), json!({}));
    }

    #[test]
    fn settings_that_cannot_be_are_told() {
        for (settings, says) in
            [(&["size"][..], "no `=`"), (&["a=1", "a.b=2"], "no mapping"), (&["a=[1"], "a:1:")]
        {
            let refused = format!("{:#}", configuration(settings).unwrap_err());
            assert!(refused.contains(says), "{refused} does not say {says}");
        }
    }
}
