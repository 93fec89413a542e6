//! Calls on which a step fails are captured, and fail again in the same way wherever they are made.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sluicebox_tests::broker::Broker;
use sluicebox_tests::pipeline::{Pipeline, Settings};
use sluicebox_tests::program::{Said, hostile_component, sluicebox_with};

const FILE: &str = include_str!("../pipelines/captures.yaml");
const SETTINGS: Settings = Settings { batch_rows: 64, epoch_ms: 200, epoch_rows: 1_000_000 };

/// The id that breaks the step, as the pipeline file says.
const POISON: i64 = 666;
const RECORDS: i64 = 200;
/// In batches of their own, and two in one.
const POISONED: [i64; 3] = [5, 130, 131];

fn id(offset: i64) -> i64 {
    if POISONED.contains(&offset) { POISON } else { offset % 10 }
}

/// A topic whose first records decide on one batch after the other: a batch ends after 64 of them.
fn topic(broker: &Broker) -> Result<String> {
    let topic = broker.create_topic("captures", 1)?;
    let payload = |offset: i64| {
        let (minute, second) = (offset / 60, offset % 60);
        format!(r#"{{"id": {}, "ts": "2026-01-01T00:{minute:02}:{second:02}Z"}}"#, id(offset))
    };
    let payloads: Vec<_> = (0..RECORDS).map(payload).collect();
    broker.send(&topic, 0, payloads.iter().map(String::as_str))?;
    Ok(topic)
}

/// A pipeline with one step that breaks on [`POISON`].
struct Breaking {
    pipeline: Pipeline,
    component: &'static str,
    behaviour: &'static str,
}

impl Breaking {
    fn new(broker: &Broker, topic: &str, component: &'static str, behaviour: &'static str) -> Result<Self> {
        let mut pipeline = Pipeline::with_file(FILE, "captures", broker, topic, SETTINGS)?;
        for (name, value) in [
            ("CAPTURES", "./captures"),
            ("MAX_FILES", "16"),
            ("COMPONENT", component),
            ("BEHAVIOUR", behaviour),
            ("ON_ERROR", "dead_letter"),
        ] {
            pipeline.set(name, value);
        }
        Ok(Self { pipeline, component, behaviour })
    }

    /// By name, which has the first offset of the batch.
    fn captures(&self) -> Result<Vec<PathBuf>> {
        let files = fs::read_dir(self.pipeline.folder().join("captures"))?;
        let mut files: Vec<PathBuf> = files.map(|file| Ok(file?.path())).collect::<Result<_>>()?;
        files.sort();
        Ok(files)
    }

    fn replay(&self, capture: &Path, more: &[&str]) -> Result<Said> {
        let component = hostile_component(self.component)?;
        let capture = capture.to_str().context("a path")?;
        let arguments = [&["plugin", "run", &component, "--replay", capture][..], more].concat();
        let variables = [("BEHAVIOUR", self.behaviour)];
        sluicebox_with(self.pipeline.folder(), &arguments, &variables)
    }

    fn replay_as_json(&self, capture: &Path, more: &[&str]) -> Result<(i32, Value)> {
        let said = self.replay(capture, &[more, &["--output", "json"][..]].concat())?;
        let told = serde_json::from_str(&said.output).with_context(|| format!("{said:?}"))?;
        Ok((said.code.context("no exit code")?, told))
    }
}

/// Each way in which a stateless step can fail: the batch is captured once, without the values of the variables in its
/// configuration, and fails again exactly so; a plugin that is mended gets through it.
#[test]
fn a_batch_that_breaks_a_stateless_step_breaks_it_again() -> Result<()> {
    let broker = Broker::shared()?;
    let topic = topic(broker)?;
    for (behaviour, fault) in [
        ("traps-on-id", "the plugin trapped: wasm trap: wasm `unreachable`"),
        ("data-error-on-id", "the plugin cannot process the data: an id that it does not like"),
        ("grows-on-id", "the plugin asked for more than its 8388608 bytes of memory"),
        ("spins-on-id", "the plugin used more than 200 ms of CPU time"),
        ("malformed-on-id", "the plugin gave back a malformed value"),
    ] {
        let breaking = Breaking::new(broker, &topic, "hostile-transform", behaviour)?;
        breaking.pipeline.catch_up("worker")?;
        let captures = breaking.captures()?;
        assert!((1..=3).contains(&captures.len()), "{captures:?}");
        let mut failing = Vec::new();
        for capture in &captures {
            let bytes = fs::read(capture)?;
            let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
            assert!(holds("${BEHAVIOUR}") && !holds(behaviour), "a variable's value is in the capture");

            let said = breaking.replay(capture, &[])?;
            assert_eq!(said.code, Some(3), "{said:?}");
            said.line_with(&format!("reproduced: {fault}"))?;
            let (_, told) = breaking.replay_as_json(capture, &[])?;
            assert_eq!((&told["outcome"], &told["same_component"]), (&"reproduced".into(), &true.into()));
            let first = told["capture"]["range"]["from"].as_i64().context("a range")?;
            for row in told["capture"]["failing_rows"].as_array().context("rows")? {
                failing.push(first + row["row"].as_i64().context("a row")?);
            }

            let said = breaking.replay(capture, &["-c", "id=-1"])?;
            assert_eq!(said.code, Some(0), "{said:?}");
            said.line_with("not reproduced")?;
            let other = if behaviour == "traps-on-id" { "malformed-on-id" } else { "traps-on-id" };
            let said = breaking.replay(capture, &["-c", &format!("behaviour={other}")])?;
            assert_eq!(said.code, Some(4), "{said:?}");
            said.line_with("fails otherwise: the plugin")?;
        }
        failing.sort_unstable();
        assert_eq!(failing, POISONED, "each record that fails by itself is known");
        breaking.pipeline.close()?;
    }
    Ok(())
}

/// A stateful step's capture has the one record that breaks it, and the state of the moment before: what a mended plugin
/// makes of it is what the pipeline would have made.
#[test]
fn a_record_that_breaks_a_stateful_step_breaks_it_again_on_the_same_state() -> Result<()> {
    let broker = Broker::shared()?;
    let topic = topic(broker)?;
    for behaviour in ["traps-on-id", "data-error-on-id"] {
        let breaking = Breaking::new(broker, &topic, "hostile-aggregate", behaviour)?;
        breaking.pipeline.catch_up("worker")?;
        let mut seen = Vec::new();
        for capture in breaking.captures()? {
            let said = breaking.replay(&capture, &[])?;
            assert_eq!(said.code, Some(3), "{said:?}");

            let (code, told) = breaking.replay_as_json(&capture, &["-c", "id=-1"])?;
            assert_eq!((code, &told["outcome"]), (0, &"passes".into()), "{told}");
            let offset = told["capture"]["range"]["from"].as_i64().context("a range")?;
            seen.push(offset);
            // The poisoned record counts this once; those before it went around the step.
            let counted = |of: i64| (0..offset).filter(|at| id(*at) == of).count() as i64;
            let mut expected: Vec<(i64, i64)> = (0..10).map(|of| (of, counted(of))).collect();
            expected.retain(|(_, count)| *count > 0);
            expected.push((POISON, 1));
            let made = told["new"].as_array().context("new rows")?;
            let made: Vec<_> = made.iter().map(|row| (row["id"].as_i64(), row["count"].as_i64())).collect();
            let expected: Vec<_> = expected.into_iter().map(|(id, count)| (Some(id), Some(count))).collect();
            assert_eq!(made, expected);
        }
        seen.sort_unstable();
        assert_eq!(seen, POISONED);
        breaking.pipeline.close()?;
    }
    Ok(())
}

/// A step that breaks when its state is taken, not on a row: the search ends with one record, which is captured.
/// Where the first fault stops the pipeline, the capture is written before the worker ends, and says what it lacks.
#[test]
fn what_stops_a_pipeline_is_captured_too() -> Result<()> {
    let broker = Broker::shared()?;
    let topic = topic(broker)?;
    let breaking = Breaking::new(broker, &topic, "hostile-aggregate", "changes-trap")?;
    breaking.pipeline.fail("worker")?;
    let captures = breaking.captures()?;
    let said = breaking.replay(captures.first().context("a capture")?, &[])?;
    assert_eq!(said.code, Some(3), "{said:?}");
    breaking.pipeline.close()?;

    let mut breaking = Breaking::new(broker, &topic, "hostile-aggregate", "traps-on-id")?;
    breaking.pipeline.set("ON_ERROR", "stop");
    breaking.pipeline.fail("worker")?;
    let captures = breaking.captures()?;
    assert_eq!(captures.len(), 1, "{captures:?}");
    let said = breaking.replay(&captures[0], &[])?;
    assert_eq!(said.code, Some(3), "{said:?}");
    said.line_with("not known")?;
    breaking.pipeline.close()
}

/// No more than `max_files` are kept. A folder that cannot be written to is a warning, and all rows are where they belong.
#[test]
fn captures_are_bounded_and_never_stop_the_pipeline() -> Result<()> {
    let broker = Broker::shared()?;
    let topic = topic(broker)?;
    let mut breaking = Breaking::new(broker, &topic, "hostile-aggregate", "traps-on-id")?;
    breaking.pipeline.set("MAX_FILES", "2");
    breaking.pipeline.catch_up("worker")?;
    assert_eq!(breaking.captures()?.len(), 2);
    assert_eq!(breaking.pipeline.rows("dead_letters")?, 3);
    let log = fs::read_to_string(breaking.pipeline.folder().join("worker.log"))?;
    assert!(log.contains("there are 2 captures") && log.contains("`capture.max_files`"), "{log}");
    breaking.pipeline.close()?;

    let mut breaking = Breaking::new(broker, &topic, "hostile-transform", "traps-on-id")?;
    breaking.pipeline.set("CAPTURES", "./file/captures");
    fs::write(breaking.pipeline.folder().join("file"), "no folder")?;
    breaking.pipeline.catch_up("worker")?;
    assert_eq!(breaking.pipeline.rows("dead_letters")?, 3);
    let log = fs::read_to_string(breaking.pipeline.folder().join("worker.log"))?;
    assert!(log.contains("is not captured"), "{log}");
    breaking.pipeline.audit()?;
    breaking.pipeline.close()
}

/// A capture can be looked at without the plugin; one that was damaged is refused with the reason.
#[test]
fn a_capture_can_be_looked_at_and_a_damaged_one_is_refused() -> Result<()> {
    let broker = Broker::shared()?;
    let topic = topic(broker)?;
    let breaking = Breaking::new(broker, &topic, "hostile-transform", "traps-on-id")?;
    breaking.pipeline.catch_up("worker")?;
    let capture = breaking.captures()?.remove(0);
    let path = capture.to_str().context("a path")?;
    let said = sluicebox_with(breaking.pipeline.folder(), &["plugin", "inspect", path], &[])?;
    ensure!(said.code == Some(0), "{said:?}");
    said.line_with("gold.breaks of pipeline captures-")?;
    said.line_with("hostile-transform 0.1.0")?;
    said.line_with("row 5 by itself: the plugin trapped")?;

    // Without its variables the configuration is not whole.
    let component = hostile_component("hostile-transform")?;
    let arguments = ["plugin", "run", &component, "--replay", path];
    let said = sluicebox_with(breaking.pipeline.folder(), &arguments, &[])?;
    assert!(said.code == Some(2) && said.errors.contains("`BEHAVIOUR` is not set"), "{said:?}");

    let mut bytes = fs::read(&capture)?;
    let at = bytes.windows(2).position(|pair| pair == [0x9a, 0x02]).context("666 in the rows")?;
    bytes[at] ^= 1;
    fs::write(&capture, bytes)?;
    let said = breaking.replay(&capture, &[])?;
    assert!(said.code == Some(1) && said.errors.contains("the file was damaged"), "{said:?}");
    breaking.pipeline.close()
}
