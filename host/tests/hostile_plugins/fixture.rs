//! Components, steps and rows for the tests.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arrow::array::{AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit};
use serde_json::{Value, json};
use sluicebox::plugin::{
    Engine, EngineSettings, Limits, OnError, Plugin, PluginError, Rows, Step, StepSettings,
};

pub use super::components::component;

/// One engine for all tests, as in the host.
pub fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(&EngineSettings::default()).unwrap())
}

fn plugin(name: &'static str, loaded: &'static OnceLock<Arc<Plugin>>) -> Arc<Plugin> {
    loaded.get_or_init(|| engine().load(&component(name), None).unwrap()).clone()
}

pub fn transform() -> Arc<Plugin> {
    static LOADED: OnceLock<Arc<Plugin>> = OnceLock::new();
    plugin("hostile-transform", &LOADED)
}

pub fn aggregate() -> Arc<Plugin> {
    static LOADED: OnceLock<Arc<Plugin>> = OnceLock::new();
    plugin("hostile-aggregate", &LOADED)
}

/// Small, so that the tests are quick.
pub fn limits() -> Limits {
    Limits { memory: 16 << 20, cpu: Duration::from_millis(300), ..Limits::default() }
}

pub fn settings(config: Value) -> StepSettings {
    StepSettings {
        layer: "silver".into(),
        step: "cleanse".into(),
        config,
        limits: limits(),
        on_error: OnError::SetAside,
        grants: Arc::default(),
    }
}

pub fn schema() -> SchemaRef {
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Schema::new(vec![
        Field::new("_offset", DataType::Int64, false),
        Field::new("_watermark", utc, true),
        Field::new("id", DataType::Int64, false),
        Field::new("name", DataType::Utf8, true),
    ])
    .into()
}

/// Rows with the ids `0..count`, at the offsets `1000..`.
pub fn batch(count: i64) -> RecordBatch {
    let names: StringArray = (0..count).map(|id| (id % 5 > 0).then(|| format!("name {id}"))).collect();
    let watermarks = TimestampMicrosecondArray::new_null(count as usize).with_timezone("UTC");
    RecordBatch::try_new(
        schema(),
        vec![
            Arc::new(Int64Array::from_iter_values((0..count).map(|id| 1000 + id))),
            Arc::new(watermarks),
            Arc::new(Int64Array::from_iter_values(0..count)),
            Arc::new(names),
        ],
    )
    .unwrap()
}

pub fn rows(count: i64) -> Rows {
    Rows::new(batch(count))
}

pub fn ids(batch: &RecordBatch) -> Vec<i64> {
    batch.column_by_name("id").unwrap().as_primitive::<Int64Type>().values().to_vec()
}

pub fn open(plugin: Arc<Plugin>, behaviour: &str) -> Result<Step, PluginError> {
    Step::open(plugin, settings(json!({"behaviour": behaviour})), &schema())
}

/// Misbehaves at the row with that id.
pub fn open_on_id(plugin: Arc<Plugin>, behaviour: &str, id: i64) -> Step {
    Step::open(plugin, settings(json!({"behaviour": behaviour, "id": id})), &schema()).unwrap()
}
