//! Tables, folders, ledger and state in a bucket.

use anyhow::Result;
use sluicebox_tests::broker::Broker;
use sluicebox_tests::bucket::{Bucket, Cloud};
use sluicebox_tests::load::mixed_stream;
use sluicebox_tests::pipeline::{Pipeline, SENSORS, Settings};
use sluicebox_tests::python;

const COPIES: &str = include_str!("../pipelines/copies.yaml");
const PARTITIONS: usize = 2;
const RECORDS: u64 = 6_000;

#[test]
fn a_pipeline_in_s3_is_exactly_once_too() -> Result<()> {
    is_exactly_once(Cloud::S3, "bucket")
}

#[test]
fn a_pipeline_in_azure_is_exactly_once_too() -> Result<()> {
    is_exactly_once(Cloud::Azure, "container")
}

/// The pipeline of the other tests with a bucket in place of its folder, in an emulator: a worker dies after it entered
/// an epoch, another goes on, and what the bucket holds is what a local folder would.
fn is_exactly_once(cloud: Cloud, id: &str) -> Result<()> {
    let broker = Broker::shared()?;
    let bucket = Bucket::start(cloud, "lake")?;
    let stream = mixed_stream(7, RECORDS as i64 / 4);
    let (topic, ends) = broker.topic_with(id, PARTITIONS, &stream, RECORDS)?;
    let file = cloud.in_bucket(&format!("{SENSORS}{COPIES}"));
    let settings = Settings { batch_rows: 500, epoch_ms: 300, epoch_rows: 2000 };
    let mut pipeline = Pipeline::with_file(&file, id, broker, &topic, settings)?;
    pipeline.set("ENDPOINT", &cloud.endpoint(bucket.port()));

    let crashing = pipeline.worker("worker")?.until_caught_up().crash_at("after_entry#3");
    crashing.start()?.expect_crash()?;
    pipeline.catch_up("worker")?;

    // The audit reads the bucket; the oracle reads a copy of it.
    let copy = pipeline.lake();
    bucket.download(copy.parent().expect("the pipeline's folder"))?;
    pipeline.verify(&stream, &ends)?;
    python::check_copies(&copy)?;
    pipeline.close()
}
