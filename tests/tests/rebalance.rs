//! Workers come, go and freeze, and partitions move between them under load.

use std::thread;
use std::time::Duration;

use anyhow::Result;
use sluicebox_tests::broker::Broker;
use sluicebox_tests::load::{Load, mixed_stream};
use sluicebox_tests::pipeline::{Pipeline, Settings};

const PARTITIONS: usize = 8;
const SETTINGS: Settings = Settings { batch_rows: 2000, epoch_ms: 300, epoch_rows: 1_000_000 };

/// A second worker joins, the first one leaves properly, a third one joins and is killed.
#[test]
fn joining_and_leaving_workers_lose_nothing_and_repeat_nothing() -> Result<()> {
    let broker = Broker::shared()?;
    let stream = mixed_stream(3, 3000);
    let topic = broker.create_topic("rebalance", PARTITIONS)?;
    let load = Load::start(broker, &topic, PARTITIONS, stream.clone(), 4000)?;
    let pipeline = Pipeline::new("rebalance", broker, &topic, SETTINGS)?;

    let first = pipeline.worker("first")?.start()?;
    let mut version = pipeline.wait_for_commit_after("bronze", None)?;
    let second = pipeline.worker("second")?.start()?;
    for _ in 0..5 {
        version = pipeline.wait_for_commit_after("bronze", Some(version))?;
    }
    first.stop()?;
    let third = pipeline.worker("third")?.start()?;
    for _ in 0..5 {
        version = pipeline.wait_for_commit_after("bronze", Some(version))?;
    }
    third.kill()?;
    for _ in 0..5 {
        version = pipeline.wait_for_commit_after("bronze", Some(version))?;
    }
    let ends = load.stop()?;
    second.stop()?;

    pipeline.catch_up("last")?;
    pipeline.verify(&stream, &ends)?;
    pipeline.close()
}

/// The worker that applies is frozen past its session's time-out while another one takes over; thawed, it
/// still believes that everything is its own. The other way round afterwards.
#[test]
fn a_frozen_worker_that_comes_back_does_no_harm() -> Result<()> {
    let broker = Broker::shared()?;
    let stream = mixed_stream(4, 3000);
    let topic = broker.create_topic("zombie", PARTITIONS)?;
    let load = Load::start(broker, &topic, PARTITIONS, stream.clone(), 4000)?;
    let pipeline = Pipeline::new("zombie", broker, &topic, SETTINGS)?;
    let past_the_session = Duration::from_millis(u64::from(broker.min_session_timeout_ms()) + 1500);

    let first = pipeline.worker("first")?.start()?;
    pipeline.wait_for_commit_after("bronze", None)?;
    let second = pipeline.worker("second")?.start()?;
    for frozen in [&first, &second] {
        frozen.freeze()?;
        thread::sleep(past_the_session);
        // The other one has all partitions now, and must apply what it enters.
        let mut version = pipeline.wait_for_commit_after("bronze", pipeline.version("bronze")?)?;
        frozen.thaw()?;
        for _ in 0..5 {
            version = pipeline.wait_for_commit_after("bronze", Some(version))?;
        }
    }
    let ends = load.stop()?;
    first.stop()?;
    second.stop()?;

    pipeline.catch_up("last")?;
    pipeline.verify(&stream, &ends)?;
    pipeline.close()
}
