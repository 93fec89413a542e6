//! Folders of files, read as their markers say, are what tables of the same rows are.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use iot_sensors::events::Stream;
use sluicebox_tests::broker::Broker;
use sluicebox_tests::load::{Load, mixed_stream};
use sluicebox_tests::pipeline::{Pipeline, SENSORS, Settings};
use sluicebox_tests::program::assert_says;
use sluicebox_tests::python;
use sluicebox_tests::turns::two_at_a_time;

const COPIES: &str = include_str!("../pipelines/copies.yaml");
const FOLDERS: [&str; 3] = ["silver_lines", "silver_columns", "gold_cells"];
const PARTITIONS: usize = 2;
const RECORDS: u64 = 6_000;
const SETTINGS: Settings = Settings { batch_rows: 500, epoch_ms: 200, epoch_rows: 1000 };

fn verify(pipeline: &Pipeline, stream: &Stream, ends: &[i64]) -> Result<()> {
    pipeline.verify(stream, ends)?;
    python::check_copies(&pipeline.lake())
}

/// A worker dies before and after it applies to a folder, and between two of its markers; another one goes on.
#[test]
fn a_crash_around_a_marker_loses_nothing_and_repeats_nothing() -> Result<()> {
    let broker = Broker::shared()?;
    let stream = mixed_stream(3, RECORDS as i64 / 4);
    let (topic, ends) = broker.topic_with("file-crashes", PARTITIONS, &stream, RECORDS)?;
    let file = format!("{SENSORS}{COPIES}");
    let points = FOLDERS.iter().flat_map(|folder| {
        [
            format!("before_commit:{folder}#2"),
            format!("after_commit:{folder}"),
            format!("before_apply:{folder}"),
        ]
    });
    two_at_a_time(points.collect(), |point: String| {
        let id = format!("files-{}", point.replace([':', '_', '#'], "-"));
        let pipeline = Pipeline::with_file(&file, &id, broker, &topic, SETTINGS)?;
        pipeline.worker("worker")?.until_caught_up().crash_at(&point).start()?.expect_crash()?;
        pipeline.catch_up("worker").with_context(|| format!("after the crash at {point}"))?;
        verify(&pipeline, &stream, &ends).with_context(|| format!("after the crash at {point}"))?;
        pipeline.close()
    })
}

/// Two workers under load, one or the other killed with `kill -9`.
#[test]
fn killed_workers_leave_folders_as_tables_are() -> Result<()> {
    let broker = Broker::shared()?;
    let stream = mixed_stream(4, 3000);
    let topic = broker.create_topic("file-kills", 4)?;
    let load = Load::start(broker, &topic, 4, stream.clone(), 2000)?;
    let file = format!("{SENSORS}{COPIES}");
    let pipeline = Pipeline::with_file(&file, "file-kills", broker, &topic, SETTINGS)?;
    let mut workers = vec![pipeline.worker("one")?.start()?, pipeline.worker("two")?.start()?];
    for name in ["one", "two", "one"] {
        pipeline.wait_for_commit_after("bronze", pipeline.version("bronze")?)?;
        workers.remove(0).kill()?;
        workers.push(pipeline.worker(name)?.start()?);
    }
    let ends = load.stop()?;
    for worker in workers {
        worker.stop()?;
    }
    pipeline.catch_up("one")?;
    verify(&pipeline, &stream, &ends)?;

    let shown = pipeline.sluicebox(&["tables"])?.success()?;
    assert_says(&shown, "files that markers list");
    assert_says(&pipeline.sluicebox(&["ledger", "show"])?.success()?, "gold_cells: mark");
    assert_says(&pipeline.check()?, "folder silver_lines: mark");
    audit_finds_what_was_changed(&pipeline)?;
    pipeline.close()
}

fn audit_finds_what_was_changed(pipeline: &Pipeline) -> Result<()> {
    let faults = || -> Result<String> {
        let audit = pipeline.sluicebox(&["ledger", "audit"])?;
        assert_eq!(audit.code, Some(1), "{audit:?}");
        Ok(audit.output)
    };
    let folder = pipeline.lake().join("silver_lines");
    let mut markers: Vec<PathBuf> = fs::read_dir(folder.join("_markers/000000000000"))?
        .map(|marker| Ok(marker?.path()))
        .collect::<Result<_>>()?;
    markers.sort();
    let all_but_one = markers.get(1..).context("two markers")?.to_vec();
    markers.retain(|marker| fs::read_to_string(marker).is_ok_and(|text| text.contains("\"path\"")));
    let second = markers.get(1).context("two markers of files")?;
    let marker = fs::read_to_string(second)?;
    fs::remove_file(second)?;
    assert_says(&faults()?, "FAULT: silver_lines: the marker of entry");
    fs::write(second, marker.replacen("\"rows\":", "\"rows\":1", 1))?;
    assert_says(&faults()?, "lists other files");
    fs::write(second, &marker)?;

    let listed: serde_json::Value = serde_json::from_str(&marker)?;
    let file = folder.join(listed["files"][0]["path"].as_str().context("a file")?);
    let bytes = fs::read(&file)?;
    fs::write(&file, b"short")?;
    assert_says(&faults()?, "has 5 bytes of");
    fs::remove_file(&file)?;
    assert_says(&faults()?, "is gone");
    fs::write(&file, bytes)?;
    pipeline.audit()?;

    // A worker stops rather than follow a folder that went back behind what the ledger has recorded of it.
    all_but_one.iter().try_for_each(fs::remove_file)?;
    assert_says(&pipeline.fail("late")?, "restored to an older version");
    Ok(())
}
