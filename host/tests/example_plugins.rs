//! The example plugins, one for each style of the SDK, run as components: what they do is the same.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may, as tests do")]

mod components;

use std::sync::{Arc, OnceLock};

use arrow::array::{AsArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema};
use serde_json::{Value, json};
use sluicebox::plugin::{
    Engine, EngineSettings, Limits, OnError, Plugin, PluginError, Rows, Step, StepSettings,
};

const STYLES: [&str; 3] = ["fahrenheit-columns", "fahrenheit-arrow", "fahrenheit-rows"];

fn schema(celsius: DataType) -> Arc<Schema> {
    Arc::new(Schema::new(vec![
        Field::new("_offset", DataType::Int64, false),
        Field::new("machine", DataType::Utf8, true),
        Field::new("unread", DataType::LargeUtf8, true),
        Field::new("celsius", celsius, true),
    ]))
}

/// Row i: every 5th without a machine, every 7th without a reading, every 11th too hot.
fn readings(rows: i64) -> RecordBatch {
    let machines: StringArray = (0..rows).map(|i| (i % 5 != 4).then(|| format!("№{i}"))).collect();
    let celsius: Float64Array = (0..rows)
        .map(|i| (i % 7 != 6).then_some(if i % 11 == 10 { 1000.0 } else { i as f64 / 4.0 % 100.0 }))
        .collect();
    let unread = arrow::array::LargeStringArray::new_null(rows as usize);
    let offsets = Int64Array::from_iter_values(0..rows);
    let columns: Vec<arrow::array::ArrayRef> =
        vec![Arc::new(offsets), Arc::new(machines), Arc::new(unread), Arc::new(celsius)];
    RecordBatch::try_new(schema(DataType::Float64), columns).unwrap()
}

fn plugin(style: &str) -> Arc<Plugin> {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    let engine = ENGINE.get_or_init(|| Engine::new(&EngineSettings::default()).unwrap());
    engine.load(&components::component(style), None).unwrap()
}

fn open(plugin: Arc<Plugin>, config: Value, schema: &Arc<Schema>) -> Result<Step, PluginError> {
    let settings = StepSettings {
        layer: "silver".into(),
        step: "convert".into(),
        config,
        limits: Limits::default(),
        on_error: OnError::SetAside,
        grants: Arc::default(),
    };
    Step::open(plugin, settings, schema)
}

fn offsets(batch: &RecordBatch) -> Vec<i64> {
    batch.column_by_name("_offset").unwrap().as_primitive::<Int64Type>().values().to_vec()
}

#[test]
fn each_style_keeps_drops_rejects_and_sets_the_same() {
    let batch = readings(1_000);
    for style in STYLES {
        let mut step = open(plugin(style), json!({"hottest": 150}), &batch.schema()).unwrap();
        let outcome = step.run(Rows::new(batch.clone()), None).unwrap();
        assert!(outcome.failed.is_none() && outcome.counts.balances(), "{style}");
        let rejected = offsets(&outcome.rejected.unwrap().rows);
        let kept = outcome.rows.into_batch();
        let fahrenheit = kept.column_by_name("fahrenheit").unwrap().as_primitive::<Float64Type>();
        for (offset, fahrenheit) in offsets(&kept).iter().zip(fahrenheit.values()) {
            assert_eq!(*fahrenheit, *offset as f64 / 4.0 % 100.0 * 1.8 + 32.0, "{style}");
        }
        let has_machine = |row: &i64| row % 5 != 4;
        let is_refused = |row: &i64| row % 7 == 6 || row % 11 == 10;
        let expected = |refused| (0..1_000).filter(has_machine).filter(move |row| is_refused(row) == refused);
        assert_eq!(rejected, expected(true).collect::<Vec<_>>(), "{style}");
        assert_eq!(offsets(&kept), expected(false).collect::<Vec<_>>(), "{style}");
    }
}

#[test]
fn a_column_of_another_type_is_refused_before_the_first_row() {
    for style in STYLES {
        let plugin = plugin(style);
        for (config, celsius, says) in [
            (json!({"hottest": 150}), DataType::Utf8, "celsius"),
            (json!({"hottest": "x"}), DataType::Float64, "hottest"),
        ] {
            let refused = open(plugin.clone(), config, &schema(celsius)).unwrap_err().to_string();
            assert!(refused.contains(says), "{style}: {refused}");
        }
    }
}
