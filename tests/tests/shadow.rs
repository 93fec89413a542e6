//! Shadows in a pipeline: every row has its verdict, the tables and the ledger are what they are without, and nothing that
//! a shadow does stops the pipeline.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sluicebox_tests::broker::Broker;
use sluicebox_tests::pipeline::{Pipeline, Settings};

const FILE: &str = include_str!("../pipelines/shadow.yaml");
const SETTINGS: Settings = Settings { batch_rows: 64, epoch_ms: 200, epoch_rows: 1_000_000 };
const PARTITIONS: i32 = 2;
const TABLES: [&str; 4] = ["silver", "gold", "quarantine", "dead_letters"];

/// The hundred readings come in turn; each tenth record has no name.
fn payload(offset: i64) -> String {
    let name = if offset % 10 == 0 { String::new() } else { format!("\"name\": \"n{}\", ", offset % 3) };
    let (minute, second) = (offset / 60, offset % 60);
    let (reading, ts) = (offset % 100, format!("2026-01-01T00:{minute:02}:{second:02}Z"));
    format!(r#"{{"id": {offset}, "reading": {reading}, {name}"ts": "{ts}"}}"#)
}

fn send(broker: &Broker, topic: &str, offsets: std::ops::Range<i64>) -> Result<()> {
    for partition in 0..PARTITIONS {
        let payloads: Vec<String> = offsets.clone().map(payload).collect();
        broker.send(topic, partition, payloads.iter().map(String::as_str))?;
    }
    Ok(())
}

fn without_shadows(file: &str) -> String {
    let lines = file.lines().filter(|line| !line.trim_start().starts_with("shadow:"));
    lines.map(|line| format!("{line}\n")).collect()
}

fn pipeline(id: &str, broker: &Broker, topic: &str) -> Result<Pipeline> {
    Pipeline::with_file(FILE, id, broker, topic, SETTINGS)
}

/// Runs until caught up. Gives what came of each shadow: `1 same, 2 different`.
fn catch_up(pipeline: &Pipeline) -> Result<BTreeMap<String, String>> {
    let lines = pipeline.worker("worker")?.until_caught_up().start()?.expect_lines()?;
    Ok(verdicts(&lines))
}

fn verdicts(lines: &[String]) -> BTreeMap<String, String> {
    let of_shadow = |line: &String| {
        let (step, rest) = line.strip_prefix("shadow ")?.split_once(" (")?;
        Some((step.to_owned(), rest.split_once("): ")?.1.to_owned()))
    };
    lines.iter().filter_map(of_shadow).collect()
}

/// What the ledger says became of the rows, layer by layer, and how many configurations it has seen.
fn ledger(pipeline: &Pipeline) -> Result<(BTreeMap<String, u64>, usize)> {
    let mut sums = BTreeMap::new();
    let mut configurations = 0;
    for entry in pipeline.entries()? {
        configurations += usize::from(entry["body"]["kind"] == "configure");
        for task in entry["body"]["tasks"].as_array().into_iter().flatten() {
            add_numbers("", &task["accounting"], &mut sums);
        }
    }
    Ok((sums, configurations))
}

fn add_numbers(path: &str, value: &Value, sums: &mut BTreeMap<String, u64>) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| add_numbers(&format!("{path}.{name}"), value, sums));
        }
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(at, value)| add_numbers(&format!("{path}[{at}]"), value, sums));
        }
        other => *sums.entry(path.to_owned()).or_default() += other.as_u64().unwrap_or(0),
    }
}

/// Four shadows over 1,200 records: of another threshold, of another value, one that traps on a row, and one that is the
/// same, whose state is carried over a restart. What they find is exact; what the pipeline writes is what it writes alone.
#[test]
fn what_shadows_find_is_exact_and_the_pipeline_is_as_without_them() -> Result<()> {
    let broker = Broker::shared()?;
    let topic = broker.create_topic("shadow", PARTITIONS as usize)?;
    let (shadowed, alone) = (pipeline("shadowed", broker, &topic)?, pipeline("alone", broker, &topic)?);
    alone.rewrite(|file| without_shadows(&file))?;

    let checked = shadowed.check()?;
    for line in [
        "shadow: silver.plausible: filter ",
        "shadow: gold.per-minute: window ",
        "`code` (FixedSizeBinary(4)) is only the shadow's",
    ] {
        assert!(checked.contains(line), "{checked}");
    }

    // In both partitions 300 records, and 300 more after a restart.
    for records in [0..300, 300..600] {
        let gold_before = if records.start == 0 { 0 } else { shadowed.rows("gold")? };
        send(broker, &topic, records.clone())?;
        let found = catch_up(&shadowed)?;
        alone.catch_up("worker")?;
        let poison = 2 * u64::from(records.contains(&137));
        let expected = BTreeMap::from([
            ("silver.plausible".to_owned(), "480 same, 120 rejection".to_owned()),
            ("silver.tidy".to_owned(), "378 same, 42 different".to_owned()),
            (
                "silver.complete".to_owned(),
                if poison > 0 {
                    format!("{} same, {poison} failed", 420 - poison)
                } else {
                    "420 same".to_owned()
                },
            ),
            ("gold.per-minute".to_owned(), format!("{} same", shadowed.rows("gold")? - gold_before)),
        ]);
        assert_eq!(found, expected);
    }

    for table in TABLES {
        let (with, without) = (shadowed.table(table), alone.table(table));
        let rows =
            |table: Result<sluicebox_tests::tables::Table>| table.ok().map(|table| table.rows_as_text());
        let (with, without) = (rows(with).transpose()?, rows(without).transpose()?);
        assert!(with == without, "{table} is another one");
        assert!(table == "dead_letters" || with.is_some_and(|rows| !rows.is_empty()), "{table} has no rows");
    }
    assert_eq!(ledger(&shadowed)?, ledger(&alone)?);
    assert_eq!(ledger(&shadowed)?.1, 0);
    shadowed.audit()?;
    check_samples(&shadowed)?;
    alone.close()?;
    shadowed.close()
}

/// Each worker wrote at most four of each kind, and there are three kinds.
fn check_samples(pipeline: &Pipeline) -> Result<()> {
    let text = fs::read_to_string(pipeline.folder().join("shadow/samples.jsonl"))?;
    let samples: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let of = |step: &str| samples.iter().filter(|sample| sample["step"] == step).collect::<Vec<_>>();
    let (plausible, tidy, complete) = (of("plausible"), of("tidy"), of("complete"));
    assert_eq!((plausible.len(), tidy.len(), complete.len()), (8, 8, 2), "{text}");
    for sample in &plausible {
        let reading = sample["input"]["reading"].as_i64().context("no reading")?;
        ensure!((50..70).contains(&reading) && sample["result"] == "rejection", "{sample}");
        ensure!(sample["primary"]["fate"] == "kept" && sample["shadow"]["rule"] == "too_high", "{sample}");
        ensure!(sample["offset"] == sample["input"]["id"], "{sample}");
    }
    for sample in &tidy {
        ensure!(sample["columns"] == serde_json::json!(["name"]), "{sample}");
        ensure!(sample["primary"]["row"]["name"] == "none" && sample["shadow"]["row"]["name"] == "unknown");
    }
    for sample in &complete {
        let reason = sample["shadow"]["reason"].as_str().context("no reason")?;
        ensure!(sample["offset"] == 137 && reason.contains("trapped"), "{sample}");
    }
    Ok(())
}

fn wait_for_rows(pipeline: &Pipeline, rows: u64) -> Result<()> {
    let mut version = pipeline.wait_for_commit_after("silver", None)?;
    while pipeline.rows("silver")? < rows {
        version = pipeline.wait_for_commit_after("silver", Some(version))?;
    }
    Ok(())
}

/// A running worker takes up a shadow, and leaves it, without an entry in the ledger: it is no part of the configuration.
#[test]
fn a_shadow_comes_and_goes_without_an_entry() -> Result<()> {
    let broker = Broker::shared()?;
    let topic = broker.create_topic("shadow-comes", PARTITIONS as usize)?;
    let pipeline = pipeline("shadow-comes", broker, &topic)?;
    pipeline.rewrite(|file| without_shadows(&file))?;
    let worker = pipeline.worker("worker")?.start()?;
    send(broker, &topic, 0..300)?;
    wait_for_rows(&pipeline, 420)?;
    pipeline.rewrite(|_| FILE.to_owned())?;
    worker.hang_up()?;
    worker.wait_for_log("window 0.1.0 runs as a shadow")?;
    send(broker, &topic, 300..600)?;
    wait_for_rows(&pipeline, 840)?;
    let found = verdicts(&worker.stop_with_lines()?);
    assert!(found["silver.plausible"].contains(" rejection"), "{found:?}");
    assert!(found["gold.per-minute"].ends_with(" same"), "the state was carried over: {found:?}");
    let found = catch_up(&pipeline)?;
    assert_eq!(found.len(), 4);
    pipeline.rewrite(|file| without_shadows(&file))?;
    assert_eq!(catch_up(&pipeline)?, BTreeMap::new());
    assert_eq!(ledger(&pipeline)?.1, 0);
    pipeline.audit()?;
    pipeline.close()
}

/// Shadows that are not there, that do not take their configuration, that aggregate where the step does not, or that break
/// on every batch: `check` says so of all but the last, and the pipeline runs.
#[test]
fn no_shadow_stops_the_pipeline() -> Result<()> {
    let broker = Broker::shared()?;
    let topic = broker.create_topic("bad-shadows", PARTITIONS as usize)?;
    send(broker, &topic, 0..300)?;
    let keep = "shadow: { plugin: filter, config: { keep: { column: reading, lt: 50 }";
    for (shadow, says, found) in [
        ("shadow: { plugin: ./gone.wasm, config: { keep: { column: reading, lt: 50 }", "gone.wasm", None),
        (
            "shadow: { plugin: filter, config: { kept: { column: reading, lt: 50 }",
            "kept",
            Some("600 skipped"),
        ),
        ("shadow: { plugin: window, config: { keep: { column: reading, lt: 50 }", "not of one kind", None),
    ] {
        let pipeline = pipeline("bad-shadows", broker, &topic)?;
        pipeline.rewrite(|file| {
            assert!(file.contains(keep));
            file.replace(keep, shadow)
        })?;
        let refused = pipeline.check().expect_err("a shadow that is not in order").to_string();
        assert!(refused.contains(says), "{refused}");
        let of_shadow = catch_up(&pipeline)?.remove("silver.plausible");
        assert_eq!(of_shadow.as_deref(), found, "{shadow}");
        assert_eq!(pipeline.rows("silver")?, 420);
        pipeline.audit()?;
        pipeline.close()?;
    }
    let pipeline = pipeline("broken-shadow", broker, &topic)?;
    pipeline.rewrite(|file| file.replace("behaviour: traps-on-id", "behaviour: spins"))?;
    pipeline.rewrite(|file| {
        file.replace("samples: { file: ./shadow", "limits: { time: 200ms }, samples: { file: ./shadow")
    })?;
    let found = catch_up(&pipeline)?;
    let complete = &found["silver.complete"];
    assert!(complete.contains(" failed") && !complete.contains(" same"), "{found:?}");
    assert_eq!(pipeline.rows("silver")?, 420);
    pipeline.close()
}
