//! Workers die anywhere, and the tables are as if nothing had happened.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use iot_sensors::events::Stream;
use sluicebox_tests::broker::Broker;
use sluicebox_tests::load::{Load, mixed_stream};
use sluicebox_tests::pipeline::{Pipeline, Settings};
use sluicebox_tests::turns::two_at_a_time;

const SINKS: [&str; 5] = ["bronze", "silver", "gold", "silver.quarantine", "dead_letters"];
const STEPS: [&str; 4] = ["upload", "state_upload", "entry", "offset_commit"];

const PARTITIONS: usize = 2;
const RECORDS: u64 = 12_000;
/// Small epochs, so that there are entries before and after the one that the crash hits.
const SETTINGS: Settings = Settings { batch_rows: 500, epoch_ms: 200, epoch_rows: 1000 };
/// So small that a table comes to the hundred commits after which its log gets a checkpoint.
const MANY_COMMITS: Settings = Settings { batch_rows: 25, epoch_ms: 200, epoch_rows: 50 };

/// Before and after each step of closing an epoch, of each sink's application too: a worker aborts at the
/// second time it gets there, another one goes on.
#[test]
fn a_crash_at_any_point_loses_nothing_and_repeats_nothing() -> Result<()> {
    let broker = Broker::shared()?;
    let stream = mixed_stream(2, RECORDS as i64 / 4);
    let (topic, ends) = broker.topic_with("crashes", PARTITIONS, &stream, RECORDS)?;

    let steps = STEPS.map(str::to_owned).into_iter();
    let steps = steps.chain(SINKS.map(|sink| format!("apply:{sink}")));
    let around = |step: String| [format!("before_{step}"), format!("after_{step}")];
    let mut points: Vec<_> = steps.flat_map(around).map(|point| (format!("{point}#2"), SETTINGS)).collect();
    points.extend(around("checkpoint".to_owned()).map(|point| (point, MANY_COMMITS)));
    two_at_a_time(points, |(point, settings)| crash_at(&point, settings, broker, &topic, &stream, &ends))
}

fn crash_at(
    point: &str,
    settings: Settings,
    broker: &Broker,
    topic: &str,
    stream: &Stream,
    ends: &[i64],
) -> Result<()> {
    let id = format!("crash-{}", point.replace([':', '_', '.', '#'], "-"));
    let pipeline = Pipeline::new(&id, broker, topic, settings)?;
    let crashing = pipeline.worker("worker")?.until_caught_up().crash_at(point);
    crashing.start()?.expect_crash()?;
    pipeline.catch_up("worker").with_context(|| format!("after the crash at {point}"))?;
    pipeline.verify(stream, ends).with_context(|| format!("after the crash at {point}"))?;
    pipeline.close()
}

/// Two workers under load, one or the other killed 25 times at random moments and started again.
#[test]
fn killing_workers_at_random_loses_nothing_and_repeats_nothing() -> Result<()> {
    const KILLS: u64 = 25;
    const SEED: u64 = 20;
    const NAMES: [&str; 2] = ["one", "two"];
    let partitions = 6;
    let broker = Broker::shared()?;
    let stream = mixed_stream(SEED, 2000);
    let topic = broker.create_topic("kills", partitions)?;
    let load = Load::start(broker, &topic, partitions, stream.clone(), 3000)?;
    let pipeline = Pipeline::new("kills", broker, &topic, Settings { epoch_ms: 200, ..SETTINGS })?;

    let mut workers = Vec::new();
    for name in NAMES {
        workers.push(pipeline.worker(name)?.start()?);
    }
    let first = pipeline.wait_for_commit_after("bronze", None)?;
    for kill in 0..KILLS {
        // The moment is what is tested, so it is drawn, not waited for.
        let draw = (SEED + kill).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        thread::sleep(Duration::from_millis(100 + draw % 1200));
        let victim = (draw >> 16) as usize % NAMES.len();
        workers.remove(victim).kill()?;
        workers.insert(victim, pipeline.worker(NAMES[victim])?.start()?);
    }
    let last = pipeline.wait_for_commit_after("bronze", Some(first))?;
    assert!(last - first >= 10, "kills between versions {first} and {last} hardly hit any work");

    let ends = load.stop()?;
    for worker in workers {
        worker.stop()?;
    }
    pipeline.catch_up(NAMES[0])?;
    pipeline.verify(&stream, &ends)?;
    pipeline.close()
}
