//! A table that is kept by key holds the latest row of each key, whatever happens to workers and to the table.

use std::ops::Range;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sluicebox_tests::broker::Broker;
use sluicebox_tests::pipeline::{Pipeline, Settings};
use sluicebox_tests::python;
use sluicebox_tests::turns::two_at_a_time;

const FILE: &str = include_str!("../pipelines/latest.yaml");
const PARTITIONS: i32 = 3;
/// Ids in each partition.
const IDS: u64 = 200;
const RECORDS: u64 = 9000;
/// Small epochs, so that a row is replaced many times.
const SETTINGS: Settings = Settings { batch_rows: 300, epoch_ms: 200, epoch_rows: 600 };
const SITES: [&str; 4] = ["north", "south / east", "é", "west"];

/// Numbers that look random and are the same each time.
fn draw(seed: u64, number: u64) -> u64 {
    let mixed = (seed << 32 ^ number).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 16
}

/// Records of ids that each have one partition, with times up to a minute out of order and often equal; one of a
/// hundred lacks its id, another its time.
fn records(seed: u64, numbers: Range<u64>) -> impl Iterator<Item = (i32, String)> {
    numbers.map(move |number| {
        let drawn = draw(seed, number);
        let partition = (drawn % PARTITIONS as u64) as i32;
        let id = format!("\"id\": \"{partition}-{}\", ", (drawn >> 8) % IDS);
        let second = 60 + number / 20 - (drawn >> 20) % 60;
        let at = format!(
            "\"at\": \"2026-01-01T{:02}:{:02}:{:02}Z\", ",
            second / 3600,
            second / 60 % 60,
            second % 60
        );
        let site = SITES[(drawn >> 30) as usize % SITES.len()];
        let (id, at) = match (drawn >> 34) % 100 {
            0 => (String::new(), at),
            1 => (id, String::new()),
            _ => (id, at),
        };
        (partition, format!("{{{id}{at}\"site\": \"{site}\", \"reading\": {number}}}"))
    })
}

fn topic(broker: &Broker, name: &str, seed: u64) -> Result<String> {
    let topic = broker.create_topic(name, PARTITIONS as usize)?;
    send(broker, &topic, seed, 0..RECORDS)?;
    Ok(topic)
}

fn send(broker: &Broker, topic: &str, seed: u64, numbers: Range<u64>) -> Result<()> {
    for partition in 0..PARTITIONS {
        let records: Vec<_> = records(seed, numbers.clone()).filter(|(to, _)| *to == partition).collect();
        broker.send(topic, partition, records.iter().map(|(_, payload)| payload.as_str()))?;
    }
    Ok(())
}

fn pipeline(id: &str, broker: &Broker, topic: &str) -> Result<Pipeline> {
    Pipeline::with_file(FILE, id, broker, topic, SETTINGS)
}

fn verify(pipeline: &Pipeline) -> Result<()> {
    let audit = pipeline.audit()?;
    ensure!(audit.contains("latest: ") && audit.contains("rows by `id` out of"), "{audit}");
    python::check_latest(&pipeline.lake())
}

/// A worker aborts before and after each step of merging entries. Then somebody compacts the table and removes
/// what no version refers to, which must not be the staged rows; another worker goes on.
#[test]
fn a_crash_at_any_step_of_a_merge_loses_no_row_and_revives_none() -> Result<()> {
    let broker = Broker::shared()?;
    let topic = topic(broker, "upsert-crashes", 1)?;
    let points = ["before_apply", "before_merge", "after_merge", "before_commit", "after_commit"];
    let points = points.map(|point| format!("{point}:latest#2")).into_iter();
    // One turn of an applier may take everything that comes meanwhile.
    let points: Vec<_> = points.chain(["after_apply:latest".to_owned()]).collect();
    two_at_a_time(points, |point| {
        crash_at(&point, broker, &topic).with_context(|| format!("after the crash at {point}"))
    })
}

fn crash_at(point: &str, broker: &Broker, topic: &str) -> Result<()> {
    let id = format!("upsert-{}", point.replace([':', '_', '#'], "-"));
    let pipeline = pipeline(&id, broker, topic)?;
    pipeline.worker("worker")?.until_caught_up().crash_at(point).start()?.expect_crash()?;
    python::compact(&pipeline.lake(), "latest")?;
    python::vacuum(&pipeline.lake(), "latest")?;
    pipeline.catch_up("worker")?;
    verify(&pipeline)?;
    pipeline.close()
}

/// Two workers while records come, killed 12 times at random moments, the table compacted meanwhile.
#[test]
fn killing_workers_at_random_leaves_the_latest_rows() -> Result<()> {
    const KILLS: u64 = 12;
    const NAMES: [&str; 2] = ["one", "two"];
    let broker = Broker::shared()?;
    let topic = topic(broker, "upsert-kills", 2)?;
    let pipeline = pipeline("upsert-kills", broker, &topic)?;
    let mut workers = Vec::new();
    for name in NAMES {
        workers.push(pipeline.worker(name)?.start()?);
    }
    let mut version = pipeline.wait_for_commit_after("latest", None)?;
    for kill in 0..KILLS {
        let sent = RECORDS + kill * 500;
        send(broker, &topic, 2, sent..sent + 500)?;
        if kill % 3 == 0 {
            // A merge that it overtakes merges again.
            python::compact(&pipeline.lake(), "latest")?;
        }
        // The moment is what is tested, so it is drawn, not waited for.
        let drawn = draw(3, kill);
        thread::sleep(Duration::from_millis(100 + drawn % 900));
        let victim = (drawn >> 16) as usize % NAMES.len();
        workers.remove(victim).kill()?;
        workers.insert(victim, pipeline.worker(NAMES[victim])?.start()?);
        if kill % 4 == 3 {
            version = pipeline.wait_for_commit_after("latest", Some(version))?;
        }
    }
    for worker in workers {
        worker.kill()?;
    }
    pipeline.catch_up(NAMES[0])?;
    verify(&pipeline)?;
    pipeline.close()
}
