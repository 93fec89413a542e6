//! A sink that cannot apply: the source is held, then the pipeline stops, and nothing is lost.

use std::fs;

use anyhow::{Context, Result};
use sluicebox_tests::broker::Broker;
use sluicebox_tests::numbers::Numbers;
use sluicebox_tests::pipeline::{Pipeline, Settings};

const BRONZE: &str = include_str!("../pipelines/bronze.yaml");
const SETTINGS: Settings = Settings { batch_rows: 100, epoch_ms: 100, epoch_rows: 500 };
const RECORDS: i64 = 60_000;

/// A table whose next version cannot be written holds the source after a few entries of the 120 that the topic
/// asks for, and stops the pipeline after a while, with a message that says what to do. Once it is mended the rest
/// arrives, and no record twice.
#[test]
fn a_sink_that_cannot_apply_holds_the_source_and_then_stops_the_pipeline() -> Result<()> {
    let broker = Broker::shared()?;
    let topic = broker.create_topic("backlog", 1)?;
    let pipeline = Pipeline::with_file(BRONZE, "backlog", broker, &topic, SETTINGS)?;
    pipeline.rewrite(|file| {
        let small = file.replace("bytes: 4MiB", "bytes: 8KiB");
        small + "memory: { in_flight: 16KiB }\nbacklog: { entries: 5, age: 2s, stop_after: 6s }\n"
    })?;
    let mut numbers = Numbers::open(broker, &topic)?;
    numbers.send(0, 100)?;
    pipeline.catch_up("worker")?;

    let next = pipeline.version("bronze")?.context("the table has versions")? + 1;
    let in_the_way = pipeline.lake().join(format!("bronze/_delta_log/{next:020}.json"));
    fs::create_dir(&in_the_way)?;
    numbers.send(0, RECORDS as u64)?;
    let log = pipeline.fail("worker")?;
    assert!(
        log.contains("sink `bronze` is") && log.contains("longer than `backlog.stop_after` allows"),
        "{log}"
    );
    let entered = newest_entry(&pipeline)?;
    assert!((5..60).contains(&entered), "{entered} entries, although the source was to be held after 5");

    fs::remove_dir(&in_the_way)?;
    pipeline.catch_up("worker")?;
    let expected: Vec<_> = (0..100 + RECORDS).map(|offset| (0, offset)).collect();
    assert_eq!(pipeline.positions("bronze")?, expected);
    pipeline.audit()?;
    pipeline.close()
}

fn newest_entry(pipeline: &Pipeline) -> Result<u64> {
    let names = fs::read_dir(pipeline.lake().join("_sluicebox/ledger/entries"))?;
    let numbers = names.filter_map(|name| name.ok()?.path().file_stem()?.to_str()?.parse::<u64>().ok());
    numbers.max().context("the ledger has entries")
}
