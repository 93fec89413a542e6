//! The bundled plugins that aggregate, run as components: what comes out does not depend on how the stream was cut, with
//! the state compacted and restored at each cut, sketches and all.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may, as tests do")]

mod components;

use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::compute::concat_batches;
use arrow::datatypes::Schema;
use serde_json::{Value, json};
use sluicebox::plugin::{Engine, EngineSettings, Limits, OnError, Plugin, Rows, Step, StepSettings};
use sluicebox::state::compact;

const ROWS: i64 = 3_000;
const SECOND: i64 = 1_000_000;

/// The event times waver by 20 seconds, and the watermark is 30 behind the largest.
fn stream() -> RecordBatch {
    let times: Vec<i64> = (0..ROWS).map(|i| (i / 4 + i * 7 % 20) * SECOND).collect();
    let watermarks = times.iter().scan(None, |largest: &mut Option<i64>, time| {
        let before = *largest;
        *largest = before.max(Some(*time));
        Some(before.map(|largest| largest - 30 * SECOND))
    });
    let watermarks: TimestampMicrosecondArray = watermarks.collect();
    let times = TimestampMicrosecondArray::from(times);
    let groups: StringArray = (0..ROWS).map(|i| (i % 5 > 0).then(|| format!("g{}", i * i % 11))).collect();
    let numbers: Int64Array = (0..ROWS).map(|i| (i % 9 > 0).then_some(i * i * 31 % 997 - 300)).collect();
    let columns: [(&str, ArrayRef, bool); 5] = [
        ("_offset", Arc::new(Int64Array::from_iter_values(0..ROWS)), false),
        ("_watermark", Arc::new(watermarks.with_timezone("UTC")), true),
        ("at", Arc::new(times.with_timezone("UTC")), true),
        ("group", Arc::new(groups), true),
        ("n", Arc::new(numbers), true),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(&EngineSettings::default()).unwrap())
}

fn open(plugin: &Arc<Plugin>, config: &Value, schema: &Arc<Schema>) -> Step {
    let settings = StepSettings {
        layer: "gold".into(),
        step: "aggregate".into(),
        config: config.clone(),
        limits: Limits::default(),
        on_error: OnError::SetAside,
        grants: Arc::default(),
    };
    Step::open(plugin.clone(), settings, schema).unwrap()
}

/// All that comes out when the stream is cut into batches of `size`, with another instance after each.
fn in_batches(plugin: &Arc<Plugin>, config: &Value, stream: &RecordBatch, size: usize) -> RecordBatch {
    let watermarks: &TimestampMicrosecondArray = stream.column(1).as_any().downcast_ref().unwrap();
    let mut out = Vec::new();
    let mut state = None;
    for start in (0..stream.num_rows()).step_by(size) {
        let mut step = open(plugin, config, &stream.schema());
        if let Some(state) = &state {
            let layout = step.state_layout().unwrap().clone();
            step.restore(&layout, state).unwrap();
        }
        let end = stream.num_rows().min(start + size);
        let watermark = if end == stream.num_rows() { i64::MAX } else { watermarks.value(end) };
        let outcome = step.run(Rows::new(stream.slice(start, end - start)), Some(watermark)).unwrap();
        assert!(outcome.rejected.is_none() && outcome.failed.is_none());
        out.push(outcome.rows.into_batch());
        let layout = step.state_layout().unwrap().clone();
        let changes = step.changes().unwrap().map(|(_, changes)| changes);
        state = Some(compact(&layout, state, changes).unwrap());
    }
    assert_eq!(state.unwrap().num_rows(), 0, "what came out leaves nothing behind");
    concat_batches(&out[0].schema(), &out).unwrap()
}

#[test]
fn what_comes_out_does_not_depend_on_cuts() {
    let stream = stream();
    let aggregates = json!([
        {"name": "rows", "function": "count"},
        {"name": "average", "function": "avg", "column": "n"},
        {"name": "last", "function": "last", "column": "n"},
        {"name": "numbers", "function": "count_distinct", "column": "n"},
        {"name": "p90", "function": "quantile", "quantile": 0.9, "column": "n"},
        {"name": "frequent", "function": "top_k", "k": 3, "column": "n"},
    ]);
    for (name, keys) in [
        ("window", json!({"size": "1m", "slide": "30s"})),
        ("window", json!({"size": "1m", "emit": "update"})),
        ("session", json!({"gap": "3s"})),
    ] {
        let mut config = json!({"time": "at", "by": ["group"], "aggregates": aggregates});
        config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        let plugin = engine().load(&components::bundled(name), None).unwrap();
        let whole = in_batches(&plugin, &config, &stream, stream.num_rows());
        assert!(whole.num_rows() > 50, "{name}: {} rows", whole.num_rows());
        assert_eq!(whole, in_batches(&plugin, &config, &stream, 700), "{name}");
        assert_eq!(whole, in_batches(&plugin, &config, &stream, 41), "{name}");
    }
}
