//! Components as shadows of others: what is counted and shown, and that the step comes out as it does alone.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may, as tests do")]

mod components;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use serde_json::{Value, json};
use sluicebox::pipeline::shadow::{Place, SampleFile, Shadow, ShadowSpec};
use sluicebox::plugin::{
    Engine, EngineSettings, Limits, OnError, Plugin, Rows, Step, StepSettings, thread_cpu_time,
};
use sluicebox::progress::{OffsetRange, TopicPartition};
use sluicebox::telemetry::Metrics;

const SECOND: i64 = 1_000_000;

fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(&EngineSettings::default()).unwrap())
}

fn load(path: &Path) -> Arc<Plugin> {
    engine().load(path, None).unwrap()
}

fn bundled(name: &str) -> Arc<Plugin> {
    load(&components::bundled(name))
}

fn hostile(name: &str) -> Arc<Plugin> {
    load(&components::component(name))
}

/// Rows with the ids `from..to`, one a second, at offsets of the same numbers.
fn batch(from: i64, to: i64) -> RecordBatch {
    let numbers = || from..to;
    let times = TimestampMicrosecondArray::from_iter_values(numbers().map(|id| id * SECOND));
    let watermarks: TimestampMicrosecondArray =
        numbers().map(|id| (id > 0).then(|| (id - 1) * SECOND)).collect();
    let columns: [(&str, ArrayRef, bool); 5] = [
        ("_offset", Arc::new(Int64Array::from_iter_values(numbers())), false),
        ("_watermark", Arc::new(watermarks.with_timezone("UTC")), true),
        ("id", Arc::new(Int64Array::from_iter_values(numbers())), false),
        ("name", Arc::new(StringArray::from_iter_values(numbers().map(|id| format!(" n{} ", id % 3)))), true),
        ("at", Arc::new(times.with_timezone("UTC")), true),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

fn limits() -> Limits {
    Limits { memory: 16 << 20, cpu: Duration::from_millis(300), ..Limits::default() }
}

/// Such that a call that takes all its time is followed by a rest of a few seconds.
fn brief_limits() -> Limits {
    Limits { cpu: Duration::from_millis(110), ..limits() }
}

fn open(plugin: Arc<Plugin>, config: &Value) -> Step {
    let settings = StepSettings {
        layer: "silver".into(),
        step: "tried".into(),
        config: config.clone(),
        limits: limits(),
        grants: Arc::default(),
        on_error: OnError::SetAside,
    };
    Step::open(plugin, settings, &batch(0, 0).schema()).unwrap()
}

/// A step with its shadow, as in a task.
struct Trial {
    step: Step,
    shadow: Shadow,
    spec: Arc<ShadowSpec>,
    metrics: Metrics,
}

impl Trial {
    fn new(step: (Arc<Plugin>, Value), shadow: (Arc<Plugin>, Value), samples: Option<SampleFile>) -> Self {
        Self::with_limits(step, shadow, samples, limits())
    }

    fn with_limits(
        step: (Arc<Plugin>, Value),
        shadow: (Arc<Plugin>, Value),
        samples: Option<SampleFile>,
        limits: Limits,
    ) -> Self {
        let step = open(step.0, &step.1);
        let spec = Arc::new(ShadowSpec::new("silver", "tried", shadow.0, shadow.1, limits, samples));
        let shadow = Shadow::open(&spec, &step);
        Self { step, shadow, spec, metrics: Metrics::new(BTreeMap::new()) }
    }

    /// Sends rows through both. The watermark is at the last of them.
    fn send(&mut self, rows: &RecordBatch) -> RecordBatch {
        let range = OffsetRange { from: 0, to: rows.num_rows() as i64 };
        let partition = TopicPartition::new("t", 0);
        let place = Place { layer: "silver", step: "tried", partition: &partition, range };
        let watermark = Some(i64::MAX).filter(|_| rows.num_rows() == 0);
        let rows = Rows::new(rows.clone());
        let mut outcome = self.step.run(rows.clone(), watermark).unwrap();
        self.shadow.observe(rows, (&self.step, &mut outcome), watermark, &place, &self.metrics);
        outcome.rows.into_batch()
    }

    /// What was counted, as metrics show it.
    fn results(&self) -> BTreeMap<String, u64> {
        let text = self.metrics.encode().unwrap();
        let lines = text.lines().filter_map(|line| {
            let counted =
                line.strip_prefix("sluicebox_shadow_rows_total{layer=\"silver\",step=\"tried\",result=\"")?;
            let (result, rows) = counted.split_once("\"} ")?;
            Some((result.to_owned(), rows.parse().unwrap()))
        });
        lines.collect()
    }
}

fn results<const N: usize>(of: [(&str, u64); N]) -> BTreeMap<String, u64> {
    of.map(|(result, rows)| (result.to_owned(), rows)).into()
}

#[test]
fn a_filter_with_another_threshold_differs_in_the_rows_between_the_two() {
    let below = |limit: i64| json!({"keep": {"column": "id", "lt": limit}});
    let mut trial = Trial::new((bundled("filter"), below(70)), (bundled("filter"), below(50)), None);
    let out = trial.send(&batch(0, 100));
    assert_eq!(
        out,
        open(bundled("filter"), &below(70)).run(Rows::new(batch(0, 100)), None).unwrap().rows.into_batch()
    );
    trial.send(&batch(100, 150));
    assert_eq!(trial.results(), results([("same", 130), ("only_primary", 20)]));
    assert!(trial.spec.summary().starts_with("shadow silver.tried (filter "), "{}", trial.spec.summary());
    assert!(trial.spec.summary().ends_with(": 130 same, 20 only_primary"), "{}", trial.spec.summary());

    let rejecting = |rule: &str| json!({"keep": {"column": "id", "lt": 70}, "reject": {"rule": rule}});
    let mut trial =
        Trial::new((bundled("filter"), rejecting("far")), (bundled("filter"), rejecting("high")), None);
    trial.send(&batch(0, 100));
    assert_eq!(trial.results(), results([("same", 70), ("rejection", 30)]));
}

#[test]
fn changed_values_are_shown_with_their_columns_and_both_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("samples.jsonl");
    let steps = |more: Value| json!({"steps": [{"trim": ["name"]}, more]});
    let samples = SampleFile::new(path.clone(), 2, 1 << 20);
    let mut trial = Trial::new(
        (bundled("cleanse"), steps(json!({"upper": ["name"]}))),
        (bundled("cleanse"), steps(json!({"add": {"column": "twice", "expression": "id * 2"}}))),
        Some(samples),
    );
    assert_eq!(trial.spec.try_out(&trial.step).unwrap(), ["`twice` (int64) is only the shadow's"]);
    trial.send(&batch(0, 100));
    trial.send(&batch(100, 200));
    assert_eq!(trial.results(), results([("different", 200)]));
    trial.spec.finish();
    let text = std::fs::read_to_string(&path).unwrap();
    let samples: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(samples.len(), 2, "{text}");
    let sample = &samples[1];
    assert_eq!(sample["result"], "different");
    assert_eq!((&sample["columns"], &sample["offset"]), (&json!(["name"]), &json!(1)));
    assert_eq!((&sample["topic"], &sample["range"]), (&json!("t"), &json!([0, 100])));
    assert_eq!(sample["input"]["name"], " n1 ");
    assert_eq!(sample["primary"]["row"]["name"], "N1");
    assert_eq!(
        sample["shadow"]["row"],
        json!({"id": 1, "name": "n1", "at": "1970-01-01T00:00:01Z", "twice": 2})
    );
}

fn windows(size: &str, function: &str) -> Value {
    json!({"time": "at", "size": size, "by": ["name"], "aggregates": [
        {"name": "rows", "function": "count"}, {"name": "value", "function": function, "column": "id"}]})
}

/// New rows of windows: the same configuration gives the same, another function other values.
#[test]
fn new_rows_are_compared_when_both_give_them() {
    let mut same = Trial::new(
        (bundled("window"), windows("10s", "max")),
        (bundled("window"), windows("10s", "max")),
        None,
    );
    let mut other = Trial::new(
        (bundled("window"), windows("10s", "max")),
        (bundled("window"), windows("10s", "min")),
        None,
    );
    for trial in [&mut same, &mut other] {
        trial.send(&batch(0, 100));
        trial.shadow.cut();
        trial.send(&batch(100, 200));
        let last = trial.send(&batch(0, 0));
        assert!(last.num_rows() > 0);
    }
    assert_eq!(same.results(), results([("same", 60)]));
    assert_eq!(other.results(), results([("only_primary", 60), ("only_shadow", 60)]));
}

/// A shadow that starts later knows what the step knows, if it lays its state out likewise; otherwise it starts without.
#[test]
fn the_state_of_the_step_is_the_shadows_start() {
    let mut before = open(bundled("window"), &windows("10m", "max"));
    before.run(Rows::new(batch(0, 100)), None).unwrap();
    let (_, changes) = before.changes().unwrap().unwrap();
    let (layout, state) = (before.state_layout().unwrap().clone(), changes.upserts.unwrap());
    let start = |shadow: Value| {
        let mut trial =
            Trial::new((bundled("window"), windows("10m", "max")), (bundled("window"), shadow), None);
        trial.step.restore(&layout, &state).unwrap();
        trial.shadow.restore(|step| step.restore(&layout, &state).map_err(|error| error.to_string()));
        trial.send(&batch(100, 200));
        trial.send(&batch(0, 0));
        trial.results()
    };
    assert_eq!(start(windows("10m", "max")), results([("same", 3)]));
    let mut more = windows("10m", "max");
    more["aggregates"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "least", "function": "min", "column": "id"}));
    assert_eq!(start(more), results([("only_primary", 3), ("only_shadow", 3)]), "it counts half of the rows");
}

#[test]
fn rows_that_break_the_shadow_are_counted_and_the_others_compared() {
    for behaviour in ["traps-on-id", "data-error-on-id", "malformed-on-id"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("samples.jsonl");
        let samples = SampleFile::new(path.clone(), 5, 1 << 20);
        let shadow = json!({"behaviour": behaviour, "id": 63});
        let plugin = hostile("hostile-transform");
        let mut trial =
            Trial::new((plugin.clone(), json!({"behaviour": "well"})), (plugin, shadow), Some(samples));
        for number in 0..3 {
            let out = trial.send(&batch(number * 50, number * 50 + 50));
            assert_eq!(out.num_rows(), 50);
        }
        assert_eq!(trial.results(), results([("same", 149), ("failed", 1)]), "{behaviour}");
        trial.spec.finish();
        let sample: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(
            (&sample["offset"], &sample["shadow"]["fate"]),
            (&json!(63), &json!("failed")),
            "{sample}"
        );
        assert!(sample["shadow"]["reason"].is_string());
    }
    let broken = json!({"behaviour": "traps-on-id", "id": 3});
    let plugin = hostile("hostile-transform");
    let mut trial = Trial::new((plugin.clone(), broken), (plugin, json!({"behaviour": "well"})), None);
    trial.send(&batch(0, 10));
    assert_eq!(trial.results(), results([("same", 9), ("mended", 1)]));
}

/// It never returns: the first batches are given up, and then it rests rather than hold up its task.
#[test]
fn a_shadow_that_takes_all_its_time_rests() {
    let plugin = hostile("hostile-transform");
    let spins = json!({"behaviour": "spins"});
    let mut trial = Trial::new((plugin.clone(), json!({"behaviour": "well"})), (plugin, spins), None);
    let started = std::time::Instant::now();
    for _ in 0..500 {
        assert_eq!(trial.send(&batch(0, 100)).num_rows(), 100);
    }
    let results = trial.results();
    assert_eq!(results["failed"] + results["skipped"], 50_000, "{results:?}");
    assert!(results["skipped"] > 40_000, "{results:?}");
    assert!(started.elapsed() < Duration::from_secs(60), "it held up the step for {:?}", started.elapsed());
}

/// In every call that it gets it takes all its time. However often tasks start again, and whether there are rows or not: it
/// is tried once, and rests.
#[test]
fn a_shadow_rests_whichever_of_its_calls_it_breaks_in() {
    let (transform, aggregate) = (hostile("hostile-transform"), hostile("hostile-aggregate"));
    let mut state = open(aggregate.clone(), &json!({"behaviour": "well"}));
    state.run(Rows::new(batch(0, 5)), None).unwrap();
    let (_, changes) = state.changes().unwrap().unwrap();
    let (layout, state) = (state.state_layout().unwrap().clone(), changes.upserts.unwrap());
    let reset = |trial: &mut Trial| {
        trial.shadow = Shadow::open(&trial.spec, &trial.step);
        trial.shadow.restore(|step| step.restore(&layout, &state).map_err(|error| error.to_string()));
    };
    for (plugin, behaviour) in [
        (&transform, "open-spins"),
        (&aggregate, "restore-spins"),
        (&aggregate, "changes-spin"),
        (&aggregate, "spins-without-rows"),
    ] {
        let started = thread_cpu_time();
        let shadow = json!({"behaviour": behaviour});
        let mut trial =
            Trial::new((plugin.clone(), json!({"behaviour": "well"})), (plugin.clone(), shadow), None);
        for _ in 0..30 {
            reset(&mut trial);
            trial.send(&batch(0, 10));
            trial.send(&batch(0, 0));
            trial.shadow.cut();
        }
        let took = thread_cpu_time().saturating_sub(started);
        assert!(took < Duration::from_secs(3), "{behaviour}: it was tried for {took:?}");
        assert!(trial.results()["skipped"] >= 290, "{behaviour}: {:?}", trial.results());
    }
}

/// A task that starts meanwhile leaves it closed, and opens it when the rest is over.
#[test]
fn a_shadow_that_rested_goes_on() {
    let plugin = hostile("hostile-transform");
    let spins = json!({"behaviour": "spins-on-id", "id": 5});
    let well = (plugin.clone(), json!({"behaviour": "well"}));
    let mut trial = Trial::with_limits(well, (plugin, spins), None, brief_limits());
    trial.send(&batch(5, 6));
    trial.shadow = Shadow::open(&trial.spec, &trial.step);
    trial.send(&batch(10, 20));
    assert_eq!(trial.results(), results([("failed", 1), ("skipped", 10)]));
    let started = std::time::Instant::now();
    while !trial.results().contains_key("same") && started.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(100));
        trial.send(&batch(10, 20));
    }
    assert_eq!(trial.results()["same"], 10);
}

/// Its state goes with it; a fresh instance goes on without.
#[test]
fn a_stateful_shadow_that_breaks_goes_on_without_its_state() {
    let plugin = hostile("hostile-aggregate");
    for behaviour in ["traps-on-id", "data-error-on-id"] {
        let shadow = json!({"behaviour": behaviour, "id": 15});
        let mut trial =
            Trial::new((plugin.clone(), json!({"behaviour": "well"})), (plugin.clone(), shadow), None);
        trial.send(&batch(0, 10));
        trial.send(&batch(10, 20));
        trial.shadow.cut();
        trial.send(&batch(20, 30));
        trial.send(&batch(0, 0));
        assert_eq!(
            trial.results(),
            results([("failed", 10), ("same", 10), ("only_primary", 20)]),
            "{behaviour}"
        );
    }
    let shadow = json!({"behaviour": "changes-trap"});
    let mut trial = Trial::new((plugin.clone(), json!({"behaviour": "well"})), (plugin, shadow), None);
    trial.send(&batch(0, 10));
    trial.shadow.cut();
    trial.send(&batch(10, 20));
    trial.send(&batch(0, 0));
    assert_eq!(trial.results(), results([("same", 10), ("only_primary", 10)]));
}

/// What refuses its configuration, or the columns, sits the task out.
#[test]
fn a_shadow_that_cannot_be_opened_is_skipped() {
    for (plugin, config) in [
        (hostile("hostile-transform"), json!({"behaviour": "schema-error"})),
        (hostile("hostile-transform"), json!({"behaviour": "open-traps"})),
        (bundled("filter"), json!({"keep": {"column": "no_such_column", "gt": 1}})),
        (bundled("filter"), json!({"no": "such key"})),
    ] {
        let mut trial = Trial::new(
            (bundled("filter"), json!({"keep": {"column": "id", "lt": 5}})),
            (plugin, config),
            None,
        );
        assert!(trial.spec.try_out(&trial.step).is_err());
        assert_eq!(trial.send(&batch(0, 10)).num_rows(), 5);
        assert_eq!(trial.results(), results([("skipped", 10)]));
    }
}

/// Whatever it gives back, the step's rows are its own.
#[test]
fn malformed_output_is_the_shadows_failure() {
    for behaviour in
        ["rows-short", "offsets-past-data", "not-utf8", "a-million-rejections", "claims-gigabytes"]
    {
        let plugin = hostile("hostile-transform");
        let shadow = json!({"behaviour": behaviour});
        let mut trial = Trial::new((plugin.clone(), json!({"behaviour": "well"})), (plugin, shadow), None);
        assert_eq!(trial.send(&batch(0, 9)).num_rows(), 9);
        assert_eq!(trial.results(), results([("failed", 9)]), "{behaviour}");
    }
}
