//! A topic with some of everything goes through all layers, and each record is where it belongs.

use anyhow::Result;
use sluicebox_tests::broker::Broker;
use sluicebox_tests::load::mixed_stream;
use sluicebox_tests::pipeline::{Pipeline, Settings};

const PARTITIONS: usize = 10;
const RECORDS: u64 = 300_000;

/// 300,000 records over 10 partitions, with malformed, late, rejected and repeated ones, and fields that
/// appear half-way: each position is exactly once in its place, and gold is what Polars computes.
#[test]
fn every_record_is_exactly_once_where_it_belongs() -> Result<()> {
    let broker = Broker::shared()?;
    let stream = mixed_stream(1, RECORDS as i64 / PARTITIONS as i64 / 2);
    let (topic, ends) = broker.topic_with("kafka-to-tables", PARTITIONS, &stream, RECORDS)?;
    let pipeline = Pipeline::new("kafka-to-tables", broker, &topic, Settings::default())?;

    let last_line = pipeline.catch_up("worker")?;
    assert!(last_line.contains("300000 records"), "{last_line}");

    let tally = pipeline.verify(&stream, &ends)?;
    assert_eq!(tally.records, RECORDS);
    for some in [tally.dead_letters, tally.quarantined, tally.repeated, tally.late] {
        assert!(some > 1000, "{tally:?}");
    }

    // A second run has nothing to do, and does nothing.
    let before = pipeline.table("bronze")?.version;
    pipeline.catch_up("worker")?;
    assert_eq!(pipeline.table("bronze")?.version, before);
    pipeline.close()
}
