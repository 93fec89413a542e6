//! Other engines read what Sluicebox writes.

use anyhow::Result;
use sluicebox_tests::broker::Broker;
use sluicebox_tests::load::mixed_stream;
use sluicebox_tests::pipeline::{Pipeline, Settings};
use sluicebox_tests::python;

/// Python `deltalake` reads every table, its history and old versions, after two runs of many epochs
/// with a schema change in between; Polars computes the same gold.
#[test]
fn python_reads_tables_history_and_old_versions() -> Result<()> {
    let broker = Broker::shared()?;
    let stream = mixed_stream(6, 2500);
    let (topic, ends) = broker.topic_with("interoperability", 4, &stream, 20_000)?;
    let settings = Settings { batch_rows: 500, epoch_ms: 100, epoch_rows: 1000 };
    let pipeline = Pipeline::new("interoperability", broker, &topic, settings)?;
    pipeline.catch_up("worker")?;
    pipeline.verify(&stream, &ends)?;
    python::check_history(&pipeline.lake())?;
    pipeline.close()
}
