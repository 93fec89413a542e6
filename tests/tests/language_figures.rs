//! What plugins cost in each language: sizes, compiling, loading, starting, and rows, in CPU time. Figures, not
//! verdicts: `cargo xtask test -- --test language_figures -- --ignored --nocapture --test-threads 1`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use serde_json::{Value, json};
use sluicebox::plugin::{Engine, EngineSettings, Limits, OnError, Plugin, Rows, Step, StepSettings};
use sluicebox_tests::program::languages;

const ROWS: usize = 8192;
/// Limits that are tried, in MiB.
const MEMORIES: [usize; 11] = [1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 128];

struct Example {
    name: &'static str,
    form: &'static str,
    config: fn() -> Value,
}

const EXAMPLES: [Example; 6] = [
    Example { name: "unit-price", form: "C, columns", config: || json!({}) },
    Example { name: "countries", form: "C, records", config: || json!({"countries": ["de", "fr"]}) },
    Example { name: "shipment", form: "JavaScript, columns", config: || json!({}) },
    Example { name: "attributes", form: "JavaScript, records", config: || json!({}) },
    Example { name: "weekday", form: "Python, columns", config: || json!({"column": "ordered"}) },
    Example { name: "due-date", form: "Python, records", config: || json!({"column": "due"}) },
];

fn orders(rows: usize) -> Result<RecordBatch> {
    let numbers = 0..rows as i64;
    let text = |value: fn(i64) -> String| {
        Arc::new(StringArray::from_iter_values(numbers.clone().map(value))) as ArrayRef
    };
    let ordered = TimestampMicrosecondArray::from_iter_values(numbers.clone().map(|n| n * 1_000_000_007));
    Ok(RecordBatch::try_from_iter_with_nullable([
        (
            "quantity",
            Arc::new(Int64Array::from_iter_values(numbers.clone().map(|n| n % 5 + 1))) as ArrayRef,
            true,
        ),
        ("amount_cents", Arc::new(Int64Array::from_iter_values(numbers.clone().map(|n| n * 7))), true),
        (
            "weight_kg",
            Arc::new(Float64Array::from_iter_values(numbers.clone().map(|n| n as f64 * 0.25))),
            true,
        ),
        ("country", text(|n| ["de", "fr", "us"][n as usize % 3].to_owned()), true),
        ("ordered", Arc::new(ordered.with_timezone("UTC")), true),
        ("due", text(|n| format!("{:02}.03.2026", n % 28 + 1)), true),
        ("attributes", text(|n| format!(r#"{{"colour": "red", "size": {}}}"#, n % 50)), true),
    ])?)
}

fn component(name: &str) -> Result<PathBuf> {
    Ok(languages()?.join(format!("{name}.wasm")))
}

/// CPU time that `work` takes: of this thread, or of all.
fn timed<T>(clock: libc::clockid_t, work: impl FnOnce() -> Result<T>) -> Result<(T, Duration)> {
    let now = || {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` is valid for writing.
        unsafe { libc::clock_gettime(clock, &mut time) };
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    };
    let started = now();
    let done = work()?;
    Ok((done, now() - started))
}

const THREAD: libc::clockid_t = libc::CLOCK_THREAD_CPUTIME_ID;
const PROCESS: libc::clockid_t = libc::CLOCK_PROCESS_CPUTIME_ID;

fn open(
    plugin: &Arc<Plugin>,
    config: Value,
    batch: &RecordBatch,
    limits: Limits,
    on_error: OnError,
) -> Result<Step> {
    let grants = Arc::default();
    let settings =
        StepSettings { layer: "layer".into(), step: "step".into(), config, limits, on_error, grants };
    Ok(Step::open(plugin.clone(), settings, &batch.schema())?)
}

fn limits(mebibytes: usize) -> Limits {
    Limits { memory: mebibytes << 20, cpu: Duration::from_secs(30), ..Limits::default() }
}

/// Stops at the first row that fails.
fn run(step: &mut Step, batch: &RecordBatch) -> Result<Duration> {
    Ok(timed(THREAD, || Ok(step.run(Rows::new(batch.clone()), None)?))?.1)
}

/// The middle one of so many tries.
fn median(tries: usize, mut measure: impl FnMut() -> Result<Duration>) -> Result<Duration> {
    let mut all = (0..tries).map(|_| measure()).collect::<Result<Vec<_>>>()?;
    all.sort_unstable();
    all.get(tries / 2).copied().context("no tries")
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[test]
#[ignore = "measures"]
fn figures() -> Result<()> {
    let batch = orders(ROWS)?;
    println!(
        "{:<20} {:>10} {:>11} {:>10} {:>10} {:>8} {:>10} {:>11}",
        "", "bytes", "compile ms", "cached ms", "open ms", "ns/row", "1 row µs", "memory MiB"
    );
    for example in EXAMPLES {
        let path = component(example.name)?;
        let directory = tempfile::tempdir()?;
        let settings =
            EngineSettings { cache: Some(directory.path().join("code")), ..EngineSettings::default() };
        let engine = Engine::new(&settings)?;
        let load = || Ok(engine.load(&path, None)?);
        let (_, compiled) = timed(PROCESS, load)?;
        let (plugin, _) = timed(PROCESS, load)?;
        let cached = median(5, || Ok(timed(THREAD, load)?.1))?;
        let start = |mebibytes| open(&plugin, (example.config)(), &batch, limits(mebibytes), OnError::Stop);
        let opened = median(11, || Ok(timed(THREAD, || start(1024))?.1))?;
        let mut step = start(1024)?;
        run(&mut step, &batch)?;
        let whole = median(11, || run(&mut step, &batch))?;
        let one = batch.slice(0, 1);
        let single = median(101, || run(&mut step, &one))?;
        let suffices = |mebibytes: &usize| {
            start(*mebibytes).is_ok_and(|mut step| (0..3).all(|_| run(&mut step, &batch).is_ok()))
        };
        let memory = MEMORIES.into_iter().find(suffices).context("no memory suffices")?;
        println!(
            "{:<20} {:>10} {:>11.0} {:>10.1} {:>10.2} {:>8.0} {:>10.0} {:>11}",
            example.form,
            std::fs::metadata(&path)?.len(),
            milliseconds(compiled),
            milliseconds(cached),
            milliseconds(opened),
            whole.as_secs_f64() * 1e9 / ROWS as f64,
            single.as_secs_f64() * 1e6,
            memory,
        );
    }
    Ok(())
}

/// A row that breaks a plugin costs a search by halves, each half of which starts an instance again.
#[test]
#[ignore = "measures"]
fn a_row_that_breaks_a_plugin() -> Result<()> {
    for (name, column, bad) in [("attributes", "attributes", "{colour}"), ("due-date", "due", "tomorrow")] {
        let example = EXAMPLES.iter().find(|example| example.name == name).context("it is one of them")?;
        let batch = orders(ROWS)?;
        let index = batch.schema().index_of(column)?;
        let mut columns = batch.columns().to_vec();
        let texts = columns[index].clone();
        let texts = arrow::array::AsArray::as_string::<i32>(&texts).clone();
        let changed = texts.iter().enumerate().map(|(row, text)| if row == 5000 { Some(bad) } else { text });
        columns[index] = Arc::new(changed.collect::<StringArray>());
        let batch = RecordBatch::try_new(batch.schema(), columns)?;
        let engine = Engine::new(&EngineSettings::default())?;
        let plugin = engine.load(&component(name)?, None)?;
        let mut step = open(&plugin, (example.config)(), &batch, Limits::default(), OnError::SetAside)?;
        let (outcome, took) = timed(THREAD, || Ok(step.run(Rows::new(batch), None)?))?;
        let failed = outcome.failed.context("a row breaks it")?;
        ensure!(failed.rows.num_rows() == 1, "{} rows break it", failed.rows.num_rows());
        println!(
            "{}: one of {ROWS} rows found in {:.0} ms: {}",
            example.form,
            milliseconds(took),
            failed.reasons.value(0)
        );
    }
    Ok(())
}
