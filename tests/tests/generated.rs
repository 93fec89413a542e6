//! Generated records are the same wherever they are read: in a pipeline without Kafka, and in a topic.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sluicebox_tests::broker::Broker;
use sluicebox_tests::pipeline::{Pipeline, Settings};
use sluicebox_tests::program::assert_says;

const RECORDS: i64 = 20_000;
const PARTITIONS: i64 = 4;

const STREAM: &str = "
    seed: 11
    partitions: 4
    records: 20000
    step: 100ms
    malformed: 0.01
    duplicates: 0.02
    key: machine
    fields:
      id: { id: true }
      machine: { name: 'machine-{}', of: 50, skew: 1 }
      at: { time: { late: 0.05, by: 5m } }
      reading.temperature: { number: [10, 90] }
      status: { one_of: [up, down], missing: 0.1 }
    changes:
      - { after: 10000, fields: { reading.pressure: { integer: [1, 9], nulls: 0.1 }, status: null } }
";

const SINKS: &str = "
event_time: { column: at, delay: 10m }
epoch: { interval: 200ms, rows: 1000 }
state: ./lake/_sluicebox
dead_letters: { delta: ./lake/dead_letters }
layers:
  bronze:
    sink: { delta: ./lake/bronze }
  lines:
    sink: { files: ./lake/lines, format: json_lines }
";

fn decode() -> &'static str {
    "decode: { schema: { id: utf8, machine: utf8, at: timestamp } }"
}

fn from_generator() -> String {
    format!("id: ${{PIPELINE}}\nsource:\n  batch: {{ rows: 500 }}\n  generate:{STREAM}\n{}{SINKS}", decode())
}

fn from_kafka() -> String {
    format!(
        "id: ${{PIPELINE}}\nsource:\n  kafka: {{ brokers: \"${{BOOTSTRAP_SERVERS}}\", topics: [\"${{TOPIC}}\"] }}\n{}{SINKS}",
        decode()
    )
}

/// Every position is in bronze or in the dead letters, once.
fn check_positions(pipeline: &Pipeline) -> Result<()> {
    let mut positions = pipeline.positions("bronze")?;
    let dead = pipeline.positions("dead_letters")?;
    ensure!((100..400).contains(&dead.len()), "{} dead letters", dead.len());
    positions.extend(dead);
    positions.sort_unstable();
    let expected = (0..PARTITIONS as i32)
        .flat_map(|partition| (0..RECORDS / PARTITIONS).map(move |offset| (partition, offset)));
    ensure!(positions.iter().copied().eq(expected), "{} positions", positions.len());
    pipeline.audit().map(drop)
}

/// The lines of all files, in order; what names the topic is left out, and the null of a column that came later, which
/// files have or not.
fn lines(pipeline: &Pipeline, topic: &str) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for file in fs::read_dir(pipeline.lake().join("lines"))? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            let text = fs::read_to_string(path)?;
            let same = |line: &str| {
                line.replace(&format!("\"_topic\":\"{topic}\""), "").replace(",\"pressure\":null", "")
            };
            lines.extend(text.lines().map(same));
        }
    }
    lines.sort_unstable();
    Ok(lines)
}

/// A worker dies between entry and commit; the next one makes the same records again from where the ledger is.
#[test]
fn a_pipeline_needs_no_broker_and_survives_a_crash() -> Result<()> {
    let broker = Broker::shared()?;
    let pipeline =
        Pipeline::with_file(&from_generator(), "generated-crash", broker, "none", Settings::default())?;
    assert_says(&pipeline.check()?, "generated: 20000 records in 4 partitions");
    pipeline.worker("worker")?.until_caught_up().crash_at("after_entry#5").start()?.expect_crash()?;
    pipeline.catch_up("worker")?;
    check_positions(&pipeline)?;
    pipeline.rewrite(|file| file.replace("records: 20000", "records: 8"))?;
    assert_says(&pipeline.fail("worker")?, "fewer records than were read");
    pipeline.rewrite(|file| file.replace("    records: 8\n", ""))?;
    assert_says(&pipeline.fail("worker")?, "have no end; give `records`");
    pipeline.close()
}

/// A topic that was filled in two goes, the first of them killed, holds what a pipeline generates itself.
#[test]
fn a_topic_is_filled_to_its_end_and_not_further() -> Result<()> {
    let broker = Broker::shared()?;
    let topic = broker.create_topic("generated", PARTITIONS as usize)?;
    let settings = Settings::default();
    let read = Pipeline::with_file(&from_kafka(), "generated-read", broker, &topic, settings)?;
    let generator = read.folder().join("generator.yaml");
    let of_topic = format!(
        "kafka: {{ brokers: \"{}\", topic: \"{topic}\" }}\ngenerate:{STREAM}    rate: 10000\n",
        broker.bootstrap_servers()
    );
    fs::write(&generator, of_topic)?;
    let generate = |file: &Path| read.program(["generate"], file);
    let mut killed = generate(&generator)?.spawn()?;
    std::thread::sleep(Duration::from_millis(900));
    killed.kill()?;
    killed.wait()?;
    let before: i64 = broker.end_offsets(&topic)?.iter().sum();
    ensure!(before < RECORDS, "it was killed too late");
    for expected in [RECORDS - before, 0] {
        let said = generate(&generator)?.output()?;
        ensure!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        let said = String::from_utf8(said.stdout)?;
        assert_says(&said, &format!("{expected} records sent"));
    }
    assert_eq!(broker.end_offsets(&topic)?, [RECORDS / PARTITIONS; PARTITIONS as usize]);
    read.catch_up("worker")?;
    check_positions(&read)?;

    let own = Pipeline::with_file(&from_generator(), "generated-own", broker, &topic, settings)?;
    own.catch_up("worker")?;
    let (read_lines, own_lines) = (lines(&read, &topic)?, lines(&own, "generated")?);
    let first = read_lines.first().context("lines")?;
    assert!(first.contains("\"_key\":") && !first.contains("\"_topic\""), "{first}");
    assert_eq!(read_lines.len(), own_lines.len());
    assert!(read_lines == own_lines, "the records are others");

    fs::write(&generator, fs::read_to_string(&generator)?.replace("partitions: 4", "partitions: 5"))?;
    let said = generate(&generator)?.output()?;
    assert_says(&String::from_utf8_lossy(&said.stderr), "has 4 partitions, and 5 are generated");
    own.close()?;
    read.close()
}
