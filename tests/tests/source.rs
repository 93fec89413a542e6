//! What Kafka does to those who read it: topics come anew, partitions are added, records are deleted before
//! they were read, offsets hold nothing, brokers restart.

use std::time::{Duration, Instant};
use std::{iter, thread};

use anyhow::{Result, ensure};
use sluicebox_tests::broker::Broker;
use sluicebox_tests::load::{Load, mixed_stream};
use sluicebox_tests::numbers::Numbers;
use sluicebox_tests::pipeline::{Pipeline, Settings};

/// One layer and no state.
const BRONZE: &str = include_str!("../pipelines/bronze.yaml");
const SETTINGS: Settings = Settings { batch_rows: 500, epoch_ms: 200, epoch_rows: 1_000_000 };

/// The version of a table without rows.
const CREATED: Option<u64> = Some(0);

fn bronze(id: &str, broker: &Broker, topic: &str) -> Result<Pipeline> {
    Pipeline::with_file(BRONZE, id, broker, topic, SETTINGS)
}

fn edit(pipeline: &Pipeline, from: &str, to: &str) -> Result<()> {
    pipeline.rewrite(|file| {
        assert!(file.contains(from), "the file has no `{from}`");
        file.replace(from, to)
    })
}

fn offsets(partition: i32, offsets: impl Iterator<Item = i64>) -> impl Iterator<Item = (i32, i64)> {
    iter::repeat(partition).zip(offsets)
}

/// A topic is deleted and created again while no worker runs, and holds more records than the old one did: the
/// ledger's position exists in it. The pipeline stops instead of going on there. A new `id` and `state` on
/// the same tables read it from its beginning, as the message says.
#[test]
fn a_topic_created_anew_stops_the_pipeline() -> Result<()> {
    let broker = Broker::shared()?;
    let topic = broker.create_topic("recreated", 1)?;
    let pipeline = bronze("recreated", broker, &topic)?;
    Numbers::open(broker, &topic)?.send(0, 100)?;
    pipeline.catch_up("worker")?;

    broker.delete_topic(&topic)?;
    broker.create_topic_named(&topic, 1)?;
    Numbers::open(broker, &topic)?.send(0, 300)?;
    let log = pipeline.fail("worker")?;
    assert!(log.contains("was deleted and created again"), "{log}");
    assert_eq!(pipeline.positions("bronze")?.len(), 100);

    edit(&pipeline, "id: ${PIPELINE}", "id: ${PIPELINE}-2")?;
    edit(&pipeline, "_sluicebox", "_sluicebox-2")?;
    pipeline.catch_up("worker")?;
    assert_eq!(pipeline.positions("bronze")?.len(), 400);
    pipeline.close()
}

/// The same under a worker that runs. librdkafka goes on at the old offset of the new topic, but nothing of
/// that is entered.
#[test]
fn a_topic_created_anew_under_a_running_worker_stops_it() -> Result<()> {
    let broker = Broker::shared()?;
    let topic = broker.create_topic("recreated-running", 1)?;
    let pipeline = bronze("recreated-running", broker, &topic)?;
    Numbers::open(broker, &topic)?.send(0, 100)?;
    let worker = pipeline.worker("worker")?.start()?;
    pipeline.wait_for_commit_after("bronze", CREATED)?;

    broker.delete_topic(&topic)?;
    broker.create_topic_named(&topic, 1)?;
    Numbers::open(broker, &topic)?.send(0, 300)?;
    let log = worker.expect_failure()?;
    assert!(log.contains("was deleted and created again"), "{log}");
    assert_eq!(pipeline.positions("bronze")?, offsets(0, 0..100).collect::<Vec<_>>());
    pipeline.close()
}

/// A topic that is gone stops a running worker too, instead of leaving it idle for ever.
#[test]
fn a_deleted_topic_stops_a_running_worker() -> Result<()> {
    let broker = Broker::shared()?;
    let topic = broker.create_topic("deleted", 1)?;
    let pipeline = bronze("deleted", broker, &topic)?;
    let worker = pipeline.worker("worker")?.start()?;
    pipeline.wait_for_first_positions()?;
    broker.delete_topic(&topic)?;
    let log = worker.expect_failure()?;
    assert!(log.contains("was deleted. To go on without it"), "{log}");
    pipeline.close()
}

/// `start: latest` means the end at the very first start: a worker that is killed before it processed anything
/// decides it no second time. Partitions that are added afterwards are read from their beginning, found at a
/// start or while running.
#[test]
fn latest_is_decided_once_and_not_for_partitions_added_later() -> Result<()> {
    let broker = Broker::shared()?;
    let topic = broker.create_topic("latest", 2)?;
    let mut numbers = Numbers::open(broker, &topic)?;
    numbers.send(0, 10)?;
    let pipeline = bronze("latest", broker, &topic)?;
    edit(&pipeline, "start: earliest", "start: latest")?;
    let worker = pipeline.worker("worker")?.start()?;
    pipeline.wait_for_first_positions()?;
    worker.kill()?;
    numbers.send(0, 7)?;
    numbers.send(1, 3)?;
    broker.add_partitions(&topic, 3)?;
    let mut numbers = Numbers::open(broker, &topic)?;
    numbers.send(2, 4)?;

    // Another member: to one that comes back under its name the group gives what it had, and no more.
    pipeline.catch_up("second")?;
    let mut expected: Vec<_> = offsets(0, 10..17).chain(offsets(1, 0..3)).chain(offsets(2, 0..4)).collect();
    assert_eq!(pipeline.positions("bronze")?, expected);

    let version = pipeline.version("bronze")?;
    let worker = pipeline.worker("third")?.start()?;
    numbers.send(0, 1)?;
    let version = pipeline.wait_for_commit_after("bronze", version)?;
    broker.add_partitions(&topic, 4)?;
    Numbers::open(broker, &topic)?.send(3, 5)?;
    pipeline.wait_for_commit_after("bronze", Some(version))?;
    worker.stop()?;
    expected.insert(7, (0, 17));
    expected.extend(offsets(3, 0..5));
    assert_eq!(pipeline.positions("bronze")?, expected);
    pipeline.close()
}

/// A start by time begins at the first record of that time or later; where there is none, at the end.
#[test]
fn a_start_by_time_is_the_first_record_since_or_the_end() -> Result<()> {
    const MOMENT: &str = "2026-01-01T00:00:00Z";
    const MOMENT_MS: i64 = 1_767_225_600_000;
    let broker = Broker::shared()?;
    let topic = broker.create_topic("since", 2)?;
    let mut numbers = Numbers::open(broker, &topic)?;
    for partition in [0, 1] {
        numbers.send_at(partition, 6, Some(MOMENT_MS - 1))?;
    }
    numbers.send_at(0, 3, Some(MOMENT_MS))?;
    let pipeline = bronze("since", broker, &topic)?;
    edit(&pipeline, "start: earliest", &format!("start: {{ timestamp: {MOMENT} }}"))?;
    pipeline.catch_up("worker")?;
    assert_eq!(pipeline.positions("bronze")?, offsets(0, 6..9).collect::<Vec<_>>());

    // The end was the end of then, whatever the records' times.
    numbers.send_at(1, 2, Some(MOMENT_MS - 1))?;
    pipeline.catch_up("worker")?;
    let expected: Vec<_> = offsets(0, 6..9).chain(offsets(1, 6..8)).collect();
    assert_eq!(pipeline.positions("bronze")?, expected);
    pipeline.close()
}

/// Records were deleted before they were read, while no worker ran. The pipeline stops and says how many; where
/// the file allows it, they are counted in the ledger, and the audit finds them there.
#[test]
fn lost_offsets_stop_the_pipeline_or_are_counted() -> Result<()> {
    let broker = Broker::shared()?;
    let topic = broker.create_topic("lost", 1)?;
    let mut numbers = Numbers::open(broker, &topic)?;
    numbers.send(0, 10)?;
    let pipeline = bronze("lost", broker, &topic)?;
    pipeline.catch_up("worker")?;
    numbers.send(0, 10)?;
    broker.delete_records(&topic, 0, 15)?;

    let log = pipeline.fail("worker")?;
    assert!(log.contains("5 offsets were deleted before they were read"), "{log}");

    edit(&pipeline, "start: earliest", "start: earliest\n    on_lost_offsets: skip")?;
    let last_line = pipeline.catch_up("worker")?;
    assert!(last_line.contains("done: 5 records") && last_line.contains(" 5 offsets lost"), "{last_line}");
    let expected: Vec<_> = offsets(0, (0..10).chain(15..20)).collect();
    assert_eq!(pipeline.positions("bronze")?, expected);
    let audit = pipeline.audit()?;
    assert!(audit.contains("15 records accounted for, 5 offsets lost"), "{audit}");
    pipeline.close()
}

/// The same while a worker runs: it is frozen while records come and go.
#[test]
fn lost_offsets_are_noticed_by_a_running_worker() -> Result<()> {
    let broker = Broker::shared()?;
    let topic = broker.create_topic("lost-running", 1)?;
    let mut numbers = Numbers::open(broker, &topic)?;
    numbers.send(0, 10)?;
    let pipeline = bronze("lost-running", broker, &topic)?;
    // It stays a member while it is frozen, so that nothing is started anew.
    edit(&pipeline, "session.timeout.ms: ${SESSION_TIMEOUT_MS}", "session.timeout.ms: 30000")?;
    edit(&pipeline, "start: earliest", "start: earliest\n    on_lost_offsets: skip")?;
    let mut lose_under = |name: &str, before: Option<u64>| -> Result<_> {
        let worker = pipeline.worker(name)?.start()?;
        pipeline.wait_for_commit_after("bronze", before)?;
        worker.freeze()?;
        // The broker answers the fetch that waits there, with nothing.
        thread::sleep(Duration::from_millis(300));
        let end = broker.end_offsets(&topic)?[0];
        numbers.send(0, 10)?;
        broker.delete_records(&topic, 0, end + 5)?;
        worker.thaw()?;
        Ok(worker)
    };

    let worker = lose_under("worker", CREATED)?;
    pipeline.wait_for_commit_after("bronze", pipeline.version("bronze")?)?;
    let last_line = worker.stop()?;
    assert!(last_line.contains(" 5 offsets lost"), "{last_line}");
    let expected: Vec<_> = offsets(0, (0..10).chain(15..20)).collect();
    assert_eq!(pipeline.positions("bronze")?, expected);
    pipeline.audit()?;

    edit(&pipeline, "on_lost_offsets: skip", "on_lost_offsets: stop")?;
    Numbers::open(broker, &topic)?.send(0, 1)?;
    let log = lose_under("worker", pipeline.version("bronze")?)?.expect_failure()?;
    assert!(log.contains("5 offsets were deleted before they were read"), "{log}");
    pipeline.close()
}

/// Markers of transactions and aborted records take offsets without being records. Catching up ends behind
/// them, aborted records never arrive, and those of an open transaction when it is committed.
#[test]
fn offsets_of_transactions_are_passed_over() -> Result<()> {
    let broker = Broker::shared()?;
    let topic = broker.create_topic("transactions", 2)?;
    let pipeline = bronze("transactions", broker, &topic)?;
    let mut numbers = Numbers::transactional(broker, &topic)?;
    numbers.begin()?;
    numbers.send(0, 5)?;
    numbers.commit()?;
    numbers.begin()?;
    numbers.send(0, 3)?;
    numbers.send(1, 2)?;
    numbers.abort()?;
    // The markers follow the answer to the abort.
    let deadline = Instant::now() + Duration::from_secs(30);
    while broker.end_offsets(&topic)? != [10, 3] {
        ensure!(Instant::now() < deadline, "the ends are {:?}", broker.end_offsets(&topic)?);
        thread::sleep(Duration::from_millis(20));
    }
    pipeline.catch_up("worker")?;
    let mut expected: Vec<_> = offsets(0, 0..5).collect();
    assert_eq!(pipeline.positions("bronze")?, expected);

    numbers.begin()?;
    numbers.send(0, 4)?;
    pipeline.catch_up("worker")?;
    assert_eq!(pipeline.positions("bronze")?, expected);
    numbers.commit()?;
    pipeline.catch_up("worker")?;
    expected.extend(offsets(0, 10..14));
    assert_eq!(pipeline.positions("bronze")?, expected);
    pipeline.audit()?;
    pipeline.close()
}

/// More partitions than before send the records of a key elsewhere than to its state: a pipeline that keeps
/// state by key stops, while running and at the next start.
#[test]
fn more_partitions_stop_a_pipeline_with_keyed_state() -> Result<()> {
    let broker = Broker::shared()?;
    let stream = mixed_stream(5, 1000);
    let (topic, ends) = broker.topic_with("repartitioned", 2, &stream, 4000)?;
    let pipeline = Pipeline::new("repartitioned", broker, &topic, SETTINGS)?;
    pipeline.catch_up("worker")?;
    let worker = pipeline.worker("second")?.start()?;
    worker.wait_for_log("assigned partitions=2")?;
    broker.add_partitions(&topic, 3)?;
    let running = worker.expect_failure()?;
    for log in [running, pipeline.fail("worker")?] {
        assert!(log.contains("has 3 partitions and had 2"), "{log}");
        assert!(log.contains("`silver.once`, `gold.per-minute`"), "{log}");
    }
    pipeline.verify(&stream, &ends)?;
    pipeline.close()
}

/// Hardly anything may be in flight, so that the source is paused and resumed all the time: no record is left
/// out, and none comes twice.
#[test]
fn pausing_and_resuming_leaves_nothing_out() -> Result<()> {
    let broker = Broker::shared()?;
    let stream = mixed_stream(7, 1000);
    let (topic, ends) = broker.topic_with("paused", 2, &stream, 20_000)?;
    let pipeline = Pipeline::new("paused", broker, &topic, Settings { batch_rows: 100, ..SETTINGS })?;
    edit(&pipeline, "bytes: 4MiB", "bytes: 16KiB")?;
    edit(&pipeline, "decode:\n", "memory: { in_flight: 32KiB }\ndecode:\n")?;
    pipeline.catch_up("worker")?;
    pipeline.verify(&stream, &ends)?;
    pipeline.close()
}

/// Partitions that went to another worker and come back are read on.
#[test]
fn partitions_that_come_back_are_read_on() -> Result<()> {
    let broker = Broker::shared()?;
    let topic = broker.create_topic("back", 2)?;
    let mut numbers = Numbers::open(broker, &topic)?;
    let pipeline = bronze("back", broker, &topic)?;
    let first = pipeline.worker("first")?.start()?;
    first.wait_for_log("assigned partitions=2")?;
    let second = pipeline.worker("second")?.start()?;
    second.wait_for_log("assigned partitions=1")?;
    second.kill()?;
    first.wait_for_log("assigned partitions=1")?;
    for partition in [0, 1] {
        numbers.send(partition, 5)?;
        pipeline.wait_for_commit_after("bronze", pipeline.version("bronze")?)?;
    }
    first.stop()?;
    assert_eq!(pipeline.positions("bronze")?, offsets(0, 0..5).chain(offsets(1, 0..5)).collect::<Vec<_>>());
    pipeline.close()
}

/// The broker is killed and started again, twice, under load. The worker goes on by itself, and every record
/// is exactly once where it belongs.
#[test]
fn a_broker_that_restarts_under_load_loses_nothing() -> Result<()> {
    const PARTITIONS: usize = 4;
    let Some(mut broker) = Broker::own()? else { return Ok(()) };
    let stream = mixed_stream(6, 1000);
    let topic = broker.create_topic("restart", PARTITIONS)?;
    let pipeline = Pipeline::new("restart", &broker, &topic, SETTINGS)?;
    let load = Load::start(&broker, &topic, PARTITIONS, stream.clone(), 2000)?;
    let worker = pipeline.worker("worker")?.start()?;
    let mut version = pipeline.wait_for_commit_after("bronze", CREATED)?;
    for _ in 0..2 {
        broker.crash()?;
        broker.restart()?;
        for _ in 0..3 {
            version = pipeline.wait_for_commit_after("bronze", Some(version))?;
        }
    }
    let ends = load.stop()?;
    worker.stop()?;
    pipeline.catch_up("worker")?;
    pipeline.verify(&stream, &ends)?;
    pipeline.close()
}
