//! A batch of events that is the same in every run, and steps over it, for what is measured or counted on a fixed input.

use std::fmt::Write;
use std::path::PathBuf;

use serde_json::{Value, json};
use sluicebox::batch::{RawBatch, RawRecord};
use sluicebox::decode::{DecodeSettings, Decoder, Policy};
use sluicebox::plugin::{Engine, EngineSettings, Limits, OnError, Step, StepSettings};
use sluicebox::progress::{OffsetRange, TopicPartition};
use sluicebox::schema::{Column, RecordSchema, parse_type};

pub const ROWS: usize = 8192;

const COLUMNS: [(&str, &str); 10] = [
    ("event_id", "utf8"),
    ("device", "utf8"),
    ("ts", "int64"),
    ("level", "utf8"),
    ("site", "utf8"),
    ("temp", "float64"),
    ("humidity", "float64"),
    ("battery", "int64"),
    ("firmware", "utf8"),
    ("ok", "boolean"),
];

/// [`ROWS`] events of about 210 bytes. Of the texts in `device` and `site` every tenth has white space around it; every
/// fiftieth `temp` is null.
pub fn events() -> RawBatch {
    let mut data = String::new();
    let mut records = Vec::with_capacity(ROWS);
    for (offset, number) in (0..).zip(0..ROWS as u64) {
        let start = data.len();
        write_event(&mut data, number).expect("a string takes all that is written to it");
        let payload = Some(start..data.len());
        records.push(RawRecord { offset, timestamp_ms: None, key: None, payload });
    }
    let range = OffsetRange { from: 0, to: ROWS as i64 };
    RawBatch {
        partition: TopicPartition::new("events", 0),
        range,
        lost: false,
        records,
        data: data.into_bytes(),
    }
}

/// A decoder to the ten columns of [`events`], and no more.
pub fn decoder() -> Decoder {
    let column = |(name, text): (&str, &str)| Column {
        name: name.to_owned(),
        data_type: parse_type(text).expect("the type is one of Sluicebox's"),
    };
    let schema = RecordSchema::new(COLUMNS.map(column).to_vec()).expect("the columns have different names");
    let settings = DecodeSettings {
        policy: Policy::Strict,
        max_columns: COLUMNS.len(),
        max_depth: 2,
        max_record_bytes: 1 << 20,
    };
    Decoder::new(settings, schema).expect("the settings are valid")
}

/// Of `filter`: reads two columns and keeps about a quarter of the rows.
pub fn filter_config() -> Value {
    json!({"keep": {"and": [{"column": "level", "ne": "debug"}, {"column": "temp", "ge": 65}]}})
}

/// Of `cleanse`: reads three columns, changes two of them and adds one.
pub fn cleanse_config() -> Value {
    json!({"steps": [
        {"trim": ["device", "site"]},
        {"upper": ["device", "site"]},
        {"add": {"column": "fahrenheit", "expression": "temp * 1.8 + 32"}},
    ]})
}

/// The component of a standard plugin. It lies in the folder that `SLUICEBOX_PLUGINS` names, or where
/// `cargo xtask components` puts it.
pub fn component(plugin: &str) -> PathBuf {
    let folder = std::env::var_os("SLUICEBOX_PLUGINS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/debug/plugins")),
        PathBuf::from,
    );
    let path = folder.join(format!("{plugin}.wasm"));
    assert!(path.is_file(), "{} is missing: build it with `cargo xtask components`", path.display());
    path
}

/// A step over the rows that [`decoder`] makes.
pub fn open_step(plugin: &str, config: Value) -> Step {
    let engine = Engine::new(&EngineSettings::default()).expect("an engine starts");
    let settings = StepSettings {
        layer: "silver".into(),
        step: plugin.into(),
        config,
        limits: Limits::default(),
        on_error: OnError::Stop,
        grants: Default::default(),
    };
    let plugin = engine.load(&component(plugin), None).expect("the component loads");
    Step::open(plugin, settings, decoder().output_schema()).expect("the step opens")
}

fn write_event(json: &mut String, number: u64) -> std::fmt::Result {
    let x = scatter(number);
    let around = if x.is_multiple_of(10) { " " } else { "" };
    let level = ["debug", "info", "warning", "error"][(x >> 8) as usize % 4];
    write!(json, r#"{{"event_id":"evt-{:012x}","device":"{around}dev-{:05}","#, x >> 16, x % 10_000)?;
    write!(json, r#""ts":{},"level":"{level}","#, 1_760_000_000_000 + number * 3)?;
    write!(json, r#""site":"plant-{:02}{around}","temp":"#, x % 40)?;
    match (x >> 20).is_multiple_of(50) {
        true => write!(json, "null")?,
        false => write!(json, "{:.3}", ((x >> 20) % 100_000) as f64 / 1000.0)?,
    }
    write!(json, r#","humidity":{:.2},"battery":{},"#, (x % 9_999) as f64 / 100.0, x % 101)?;
    write!(json, r#""firmware":"v1.{}.{}","ok":{}}}"#, x % 10, x % 7, x & 1 == 0)
}

/// Digits that look random and are the same in each run (xorshift).
fn scatter(number: u64) -> u64 {
    let mut x = (number + 1).wrapping_mul(88_172_645_463_325_252);
    x ^= x << 13;
    x ^= x >> 7;
    x ^ (x << 17)
}
