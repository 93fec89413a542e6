//! What people do to a pipeline between two runs: each either goes on, or stops and says what to do.

use std::fs;

use anyhow::{Context, Result};
use iot_sensors::feed::Feed;
use sluicebox_tests::broker::Broker;
use sluicebox_tests::load::mixed_stream;
use sluicebox_tests::pipeline::{Pipeline, Settings};
use sluicebox_tests::python;

const PARTITIONS: usize = 2;
const RECORDS: u64 = 2_000;

/// A state location that was deleted, or replaced by another pipeline's, stops the pipeline before anything is
/// written; with its own one back, the pipeline goes on.
#[test]
fn a_state_location_that_is_gone_or_not_the_pipelines_own_stops_it() -> Result<()> {
    let broker = Broker::shared()?;
    let stream = mixed_stream(11, RECORDS as i64);
    let (topic, ends) = broker.topic_with("state-traps", PARTITIONS, &stream, RECORDS)?;
    let pipeline = Pipeline::new("state-traps", broker, &topic, Settings::default())?;
    pipeline.catch_up("worker")?;
    let version = pipeline.version("bronze")?;
    let refused = || pipeline.worker("worker")?.until_caught_up().start()?.expect_failure();

    let state = pipeline.lake().join("_sluicebox");
    let away = pipeline.lake().join("../away");
    fs::rename(&state, &away)?;
    let log = refused()?;
    assert!(log.contains("the state location holds no ledger"), "{log}");
    assert!(!state.join("ledger").exists(), "a refused run begins nothing");

    // The same id in another folder is another pipeline: its ledger is another.
    let twin = Pipeline::new("state-traps", broker, &topic, Settings::default())?;
    twin.catch_up("worker")?;
    fs::rename(twin.lake().join("_sluicebox"), &state)?;
    let log = refused()?;
    assert!(log.contains("and the sinks follow ledger"), "{log}");

    fs::remove_dir_all(&state)?;
    fs::rename(&away, &state)?;
    pipeline.catch_up("worker")?;
    assert_eq!(pipeline.version("bronze")?, version);
    pipeline.verify(&stream, &ends)?;
    twin.close()?;
    pipeline.close()
}

/// The pipeline is known by its `id`, so its file may have any name. A sink that is added starts with what is
/// entered from then on; one that is removed stays as it is; one that is renamed is a new one.
#[test]
fn a_renamed_file_and_other_sinks_go_on_without_loss() -> Result<()> {
    let broker = Broker::shared()?;
    let stream = mixed_stream(12, RECORDS as i64);
    let topic = broker.create_topic("file-traps", PARTITIONS)?;
    let mut feed = Feed::open(broker.bootstrap_servers(), &topic, PARTITIONS, stream.clone())?;
    let mut pipeline = Pipeline::new("file-traps", broker, &topic, Settings::default())?;
    let mut run = |pipeline: &Pipeline| -> Result<Vec<i64>> {
        feed.send(RECORDS)?;
        let ends = feed.flush()?;
        pipeline.catch_up("worker")?;
        Ok(ends)
    };
    run(&pipeline)?;
    let before = pipeline.rows("bronze")?;

    pipeline.rename_file("renamed.yaml")?;
    pipeline.rewrite(|file| file + "  copy:\n    from: bronze\n    sink: { delta: ./lake/copy }\n")?;
    run(&pipeline)?;
    let added = pipeline.rows("bronze")? - before;
    assert!(added > 0);
    assert_eq!(pipeline.rows("copy")?, added);

    pipeline
        .rewrite(|file| file.replace("  copy:\n", "  again:\n").replace("./lake/copy", "./lake/again"))?;
    let ends = run(&pipeline)?;
    assert_eq!(pipeline.rows("copy")?, added, "a sink that is not in the file any more gets nothing");
    assert_eq!(pipeline.rows("again")?, pipeline.rows("bronze")? - before - added);

    pipeline.verify(&stream, &ends)?;
    pipeline.close()
}

/// The audit finds a file that is gone, one that is not whole, a table that is gone, and rows that are there twice,
/// each by its name; with everything as it was, it finds nothing.
#[test]
fn the_audit_finds_what_was_taken_away_or_added() -> Result<()> {
    let broker = Broker::shared()?;
    let stream = mixed_stream(13, RECORDS as i64);
    let (topic, _) = broker.topic_with("audit-traps", PARTITIONS, &stream, RECORDS)?;
    let pipeline = Pipeline::new("audit-traps", broker, &topic, Settings::default())?;
    pipeline.catch_up("worker")?;
    let fault =
        || Ok::<_, anyhow::Error>(pipeline.audit().err().context("the audit finds a fault")?.to_string());

    let file = pipeline.table("silver")?.files().first().context("silver has files")?.clone();
    let bytes = fs::read(&file)?;
    fs::remove_file(&file)?;
    assert!(fault()?.contains("is gone"));
    fs::write(&file, &bytes[..100])?;
    assert!(fault()?.contains("has 100 bytes of"));
    fs::write(&file, &bytes)?;

    let (table, away) = (pipeline.lake().join("silver_quarantine"), pipeline.lake().join("../away"));
    fs::rename(&table, &away)?;
    assert!(fault()?.contains("silver.quarantine: the table is gone"));
    fs::rename(&away, &table)?;
    pipeline.audit()?;

    python::double(&pipeline.lake(), "silver")?;
    assert!(fault()?.contains("come twice"));
    pipeline.close()
}

/// Who schedules `--until-caught-up` and stops it must not take that for success: the exit code and the last line say
/// that it fell short. What was read by then is in the tables.
#[test]
fn a_run_that_was_stopped_before_it_had_caught_up_says_so() -> Result<()> {
    let broker = Broker::shared()?;
    let stream = mixed_stream(14, RECORDS as i64);
    let (topic, ends) = broker.topic_with("stopped", PARTITIONS, &stream, 20 * RECORDS)?;
    let settings = Settings { batch_rows: 25, epoch_ms: 100, epoch_rows: 50 };
    let pipeline = Pipeline::new("stopped", broker, &topic, settings)?;
    let worker = pipeline.worker("worker")?.until_caught_up().start()?;
    pipeline.wait_for_commit_after("bronze", None)?;
    let last_line = worker.stop_short()?;
    assert!(last_line.starts_with("stopped before it had caught up: "), "{last_line}");
    pipeline.rewrite(|file| file.replace("${EPOCH_ROWS}", "1000000").replace("${BATCH_ROWS}", "8192"))?;
    pipeline.catch_up("worker")?;
    pipeline.verify(&stream, &ends)?;
    pipeline.close()
}
