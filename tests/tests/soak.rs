//! A sink that is far slower than the source slows the source down, and grows nothing.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sluicebox_tests::broker::Broker;
use sluicebox_tests::bucket::{Bucket, Cloud};
use sluicebox_tests::load::mixed_stream;
use sluicebox_tests::pipeline::{Pipeline, SENSORS, Settings};
use sluicebox_tests::throttle::Throttle;

const PARTITIONS: usize = 10;
const RECORDS: u64 = 400_000;
/// Some 6,000 records a second pass; the demo, whose sink is not slowed, processes more than ten times as many.
const BYTES_PER_SECOND: u64 = 400_000;
/// Longer by `SLUICEBOX_SOAK_SECONDS`.
const SECONDS: u64 = 30;

/// The tables lie behind a line that lets through less than a tenth of what the worker could write. Once it has filled
/// what it may hold, its resident size stays: the most in the second half is the most in the first, but for a
/// quarter. What it prints are the figures.
#[test]
fn a_slow_sink_grows_nothing() -> Result<()> {
    let seconds = std::env::var("SLUICEBOX_SOAK_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    let broker = Broker::shared()?;
    let bucket = Bucket::start(Cloud::S3, "lake")?;
    let line = Throttle::start(bucket.port(), BYTES_PER_SECOND)?;
    let stream = mixed_stream(8, RECORDS as i64);
    let (topic, _) = broker.topic_with("soak", PARTITIONS, &stream, RECORDS)?;
    let settings = Settings { epoch_ms: 1000, ..Settings::default() };
    let file = Cloud::S3
        .in_bucket(SENSORS)
        .replace("epoch: {", "memory: { in_flight: 8MiB }\nepoch: { bytes: 1MiB,");
    let mut pipeline = Pipeline::with_file(&file, "soak", broker, &topic, settings)?;
    pipeline.set("ENDPOINT", &Cloud::S3.endpoint(line.port()));

    let worker = pipeline.worker("worker")?.start()?;
    let (started, length) = (Instant::now(), Duration::from_secs(seconds.unwrap_or(SECONDS)));
    let mut most = [0; 2];
    while started.elapsed() < length {
        thread::sleep(Duration::from_millis(100));
        let half = usize::from(started.elapsed() * 2 > length);
        most[half] = worker.resident_bytes()?.max(most[half]);
    }
    let last_line = worker.stop()?;
    eprintln!("resident: {} MiB, then {} MiB; {last_line}", most[0] >> 20, most[1] >> 20);
    let records: u64 = last_line.split(' ').nth(1).unwrap_or_default().parse()?;
    ensure!(records * 4 < RECORDS * 3, "the line was not slow enough to test anything: {last_line}");
    ensure!(most[1] <= most[0] + most[0] / 4, "the worker grows: {most:?}");
    pipeline.audit()?;
    pipeline.close()
}
