//! Records that break a stateful step are found, set aside and stepped over; a step that breaks by itself
//! stops the pipeline.

use std::collections::BTreeMap;

use anyhow::Result;
use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use sluicebox_tests::broker::Broker;
use sluicebox_tests::pipeline::{Pipeline, Settings};
use sluicebox_tests::tables::{column, positions};

const FILE: &str = include_str!("../pipelines/broken-step.yaml");
const SETTINGS: Settings = Settings { batch_rows: 64, epoch_ms: 200, epoch_rows: 1_000_000 };

/// The id that breaks the step, as the pipeline file says.
const POISON: i64 = 666;
const RECORDS: [i64; 2] = [600, 300];
/// The first and last of a batch, neighbours, the last of all, and one in the other partition.
const POISONED: [&[i64]; 2] = [&[0, 63, 64, 65, 599], &[150]];

fn id(partition: usize, offset: i64) -> i64 {
    if POISONED[partition].contains(&offset) { POISON } else { offset % 10 }
}

fn payload(partition: usize, offset: i64) -> String {
    let (minute, second) = (offset / 60, offset % 60);
    format!(r#"{{"id": {}, "ts": "2026-01-01T00:{minute:02}:{second:02}Z"}}"#, id(partition, offset))
}

fn topic(broker: &Broker, name: &str) -> Result<String> {
    let topic = broker.create_topic(name, RECORDS.len())?;
    for (partition, records) in RECORDS.into_iter().enumerate() {
        let payloads: Vec<_> = (0..records).map(|offset| payload(partition, offset)).collect();
        broker.send(&topic, partition as i32, payloads.iter().map(String::as_str))?;
    }
    Ok(topic)
}

fn pipeline(id: &str, broker: &Broker, topic: &str, behaviour: &str, on_error: &str) -> Result<Pipeline> {
    let mut pipeline = Pipeline::with_file(FILE, id, broker, topic, SETTINGS)?;
    pipeline.set("BEHAVIOUR", behaviour);
    pipeline.set("ON_ERROR", on_error);
    Ok(pipeline)
}

/// Six of 900 records trap, or get a `data` error, in a step that counts. They alone are dead letters, and
/// the counts are those of all others, although the state was restored at each try; also if the worker is
/// killed during the search.
#[test]
fn only_the_records_that_break_a_stateful_step_go_around_it() -> Result<()> {
    let broker = Broker::shared()?;
    for (behaviour, crash) in
        [("traps-on-id", None), ("data-error-on-id", None), ("traps-on-id", Some("after_entry#7"))]
    {
        let topic = topic(broker, "broken-step")?;
        let pipeline = pipeline("broken-step", broker, &topic, behaviour, "dead_letter")?;
        if let Some(point) = crash {
            pipeline.worker("worker")?.until_caught_up().crash_at(point).start()?.expect_crash()?;
        }
        pipeline.catch_up("worker")?;
        check(&pipeline)?;
        pipeline.audit()?;
        pipeline.close()?;
    }
    Ok(())
}

fn check(pipeline: &Pipeline) -> Result<()> {
    let mut dead = Vec::new();
    pipeline.table("dead_letters")?.scan(|batch| {
        dead.extend(positions(batch)?);
        Ok(())
    })?;
    dead.sort_unstable();
    let poisoned = POISONED.iter().enumerate();
    let poisoned =
        poisoned.flat_map(|(partition, offsets)| offsets.iter().map(move |at| (partition as i32, *at)));
    assert_eq!(dead, poisoned.collect::<Vec<_>>());

    // The step emits all its counts again and again: the last ones are the largest.
    let mut counts: BTreeMap<i64, i64> = BTreeMap::new();
    pipeline.table("gold")?.scan(|batch| {
        let int64s =
            |name| Ok::<_, anyhow::Error>(column(batch, name)?.as_primitive::<Int64Type>().values().clone());
        for (id, count) in int64s("id")?.iter().zip(int64s("count")?.iter()) {
            let largest = counts.entry(*id).or_default();
            *largest = (*largest).max(*count);
        }
        Ok(())
    })?;
    // Each task counts by itself, and the first partition has more of every id.
    let expected =
        (0..10).map(|of| (of, (0..RECORDS[0]).filter(|offset| id(0, *offset) == of).count() as i64));
    assert_eq!(counts, expected.collect());
    Ok(())
}

/// More records that break a step than `failures.max_share` allows stop the pipeline instead of hiding a plugin that
/// is broken. What was set aside by then is in the dead letters.
#[test]
fn too_large_a_share_of_broken_records_stops_the_pipeline() -> Result<()> {
    let broker = Broker::shared()?;
    let topic = topic(broker, "broken-share")?;
    let pipeline = pipeline("broken-share", broker, &topic, "traps-on-id", "dead_letter")?;
    pipeline.rewrite(|file| file + "failures: { max_share: 0.001, min_rows: 100 }\n")?;
    let log = pipeline.worker("worker")?.until_caught_up().start()?.expect_failure()?;
    assert!(log.contains("layer `gold`, step `count`") && log.contains("`failures.max_share`"), "{log}");
    pipeline.audit()?;
    pipeline.close()
}

/// More rejected rows than the step's `limits.rejections` allow stop the pipeline, and the message says by which rules.
#[test]
fn too_large_a_share_of_rejected_rows_stops_the_pipeline() -> Result<()> {
    let broker = Broker::shared()?;
    let topic = topic(broker, "rejected-share")?;
    let pipeline = pipeline("rejected-share", broker, &topic, "rejects-id", "dead_letter")?;
    let limited = |share: &str| {
        let limits = format!("limits: {{ rejections: {{ max_share: {share}, min_rows: 100 }} }}");
        pipeline.rewrite(|file| {
            file.replace("        on_error:", &format!("        {limits}\n        on_error:"))
        })
    };
    limited("0.001")?;
    let log = pipeline.worker("worker")?.until_caught_up().start()?.expect_failure()?;
    for part in ["layer `gold`, step `count`", "`limits.rejections.max_share`", "(unwanted "] {
        assert!(log.contains(part), "{log}");
    }
    pipeline.audit()?;
    pipeline.rewrite(|file| file.replace("0.001", "0.1"))?;
    pipeline.catch_up("worker")?;
    pipeline.audit()?;
    pipeline.close()
}

/// With `on_error: stop` the first break stops the pipeline, and a step that breaks whatever the rows are
/// stops it too, after a search that found no culprit. Nothing is entered that the step did not do.
#[test]
fn a_step_that_breaks_by_itself_stops_the_pipeline() -> Result<()> {
    let broker = Broker::shared()?;
    let topic = topic(broker, "broken-by-itself")?;
    for (behaviour, on_error, says) in
        [("traps-on-id", "stop", "trapped"), ("changes-trap", "dead_letter", "No single record is to blame")]
    {
        let pipeline = pipeline("broken-by-itself", broker, &topic, behaviour, on_error)?;
        let log = pipeline.worker("worker")?.until_caught_up().start()?.expect_failure()?;
        assert!(log.contains(says) && log.contains("layer `gold`, step `count`"), "{log}");
        pipeline.close()?;
    }
    Ok(())
}

/// To have the file read again that says what it said before is no new beginning: what was rejected by then counts on.
#[test]
fn a_reload_that_changes_nothing_forgets_nothing() -> Result<()> {
    let broker = Broker::shared()?;
    let topic = broker.create_topic("rejected-reload", 1)?;
    let send = |offsets: std::ops::Range<i64>, poisoned: i64| {
        let payload = |offset: i64| {
            let id = if offset < poisoned { POISON } else { 1 };
            format!(r#"{{"id": {id}, "ts": "2026-01-01T00:00:{:02}Z"}}"#, offset / 10)
        };
        let payloads: Vec<_> = offsets.map(payload).collect();
        broker.send(&topic, 0, payloads.iter().map(String::as_str))
    };
    let pipeline = pipeline("rejected-reload", broker, &topic, "rejects-id", "dead_letter")?;
    pipeline.rewrite(|file| {
        let limits = "limits: { rejections: { max_share: 0.2, min_rows: 100 } }";
        file.replace("        on_error:", &format!("        {limits}\n        on_error:"))
    })?;
    let worker = pipeline.worker("worker")?.start()?;
    send(0..90, 40)?;
    let mut version = pipeline.wait_for_commit_after("bronze", None)?;
    while pipeline.rows("bronze")? < 90 {
        version = pipeline.wait_for_commit_after("bronze", Some(version))?;
    }
    worker.hang_up()?;
    worker.wait_for_log("goes on with")?;
    send(90..120, 0)?;
    let log = worker.expect_failure()?;
    assert!(log.contains("`limits.rejections.max_share`"), "{log}");
    pipeline.audit()?;
    pipeline.close()
}
