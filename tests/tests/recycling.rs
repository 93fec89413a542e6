//! A plugin whose memory grows gets a new instance between epochs, with the state of the old one.

use std::fs;

use anyhow::Result;
use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use sluicebox_tests::broker::Broker;
use sluicebox_tests::pipeline::{Pipeline, Settings};
use sluicebox_tests::tables::column;

const FILE: &str = include_str!("../pipelines/broken-step.yaml");
/// At most four batches in an epoch.
const SETTINGS: Settings = Settings { batch_rows: 64, epoch_ms: 200, epoch_rows: 256 };
const RECORDS: i64 = 6_400;

/// A step that counts leaks 1 MiB in each of 100 batches, and may use 16 MiB. The counts are those of all records,
/// and no record was ever suspected of breaking the step: its instances were replaced before they were full.
#[test]
fn a_leaking_plugin_keeps_its_state_and_never_reaches_its_limit() -> Result<()> {
    let broker = Broker::shared()?;
    let topic = broker.create_topic("recycling", 1)?;
    let payloads: Vec<_> = (0..RECORDS)
        .map(|offset| {
            let (minute, second) = (offset / 60 % 60, offset % 60);
            format!(
                r#"{{"id": {}, "ts": "2026-01-01T{:02}:{minute:02}:{second:02}Z"}}"#,
                offset % 10,
                offset / 3600
            )
        })
        .collect();
    broker.send(&topic, 0, payloads.iter().map(String::as_str))?;
    let mut pipeline = Pipeline::with_file(FILE, "recycling", broker, &topic, SETTINGS)?;
    pipeline.set("BEHAVIOUR", "leaks");
    pipeline.set("ON_ERROR", "stop");
    pipeline.rewrite(|file| {
        file.replace("on_error: ${ON_ERROR}", "on_error: ${ON_ERROR}\n        limits: { memory: 16MiB }")
    })?;
    pipeline.catch_up("worker")?;
    let log = fs::read_to_string(pipeline.folder().join("worker.log"))?;
    let recycled = log.matches("restoring their state into new instances").count();
    assert!(recycled >= 5, "recycled {recycled} times:\n{log}");

    let mut largest = [0_i64; 10];
    pipeline.table("gold")?.scan(|batch| {
        let int64s =
            |name| Ok::<_, anyhow::Error>(column(batch, name)?.as_primitive::<Int64Type>().values().clone());
        for (id, count) in int64s("id")?.iter().zip(int64s("count")?.iter()) {
            largest[*id as usize] = largest[*id as usize].max(*count);
        }
        Ok(())
    })?;
    assert_eq!(largest, [RECORDS / 10; 10]);
    pipeline.audit()?;
    pipeline.close()
}
