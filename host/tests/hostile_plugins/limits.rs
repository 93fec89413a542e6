//! Limits that a step sets in the pipeline file: each holds, and costs only what goes beyond it.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::Array as _;
use serde_json::json;
use sluicebox::plugin::{Limits, Metric, Step, StepError, StepOutcome, thread_cpu_time};
use tracing_subscriber::fmt::MakeWriter;

use super::fixture::*;

fn run(behaviour: &str, limits: Limits, count: i64) -> StepOutcome {
    let mut settings = settings(json!({"behaviour": behaviour}));
    settings.limits = limits;
    Step::open(transform(), settings, &schema()).unwrap().run(rows(count), None).unwrap()
}

/// A row that gives too much by itself breaks the plugin; the others go on.
#[test]
fn a_row_that_gives_too_much_is_found() {
    let mut settings = settings(json!({"behaviour": "gives-much-on-id", "id": 13}));
    settings.limits.output_bytes = 1 << 20;
    let outcome = Step::open(transform(), settings, &schema()).unwrap().run(rows(20), None).unwrap();
    assert_eq!((outcome.counts.kept, outcome.counts.failed), (19, 1));
    assert_eq!(ids(&outcome.failed.unwrap().rows), [13]);
    let outcome = run("doubles-rows", Limits { output_rows: 1, ..limits() }, 3);
    assert_eq!((outcome.counts.made, outcome.counts.failed), (0, 3));
    let reasons = outcome.failed.unwrap().reasons;
    assert!(reasons.value(0).contains("it gives 2 rows, the limit is 1"), "{}", reasons.value(0));
}

#[test]
fn reasons_are_cut() {
    let outcome = run("rejects-at-length", Limits { reason_bytes: 100, ..limits() }, 3);
    let reasons = outcome.rejected.unwrap().reasons;
    let expected = format!("{}…", "x".repeat(100));
    assert!(reasons.iter().all(|reason| reason == Some(&expected)) && reasons.len() == 3);
}

#[test]
fn a_batch_that_gives_too_many_rows_goes_in_pieces() {
    let outcome = run("doubles-rows", Limits { output_rows: 7, ..limits() }, 20);
    assert_eq!((outcome.counts.consumed, outcome.counts.made, outcome.counts.failed), (20, 40, 0));
}

/// Pieces that each keep within the limits must not fill the host's memory all together, and none of their rows is at fault.
#[test]
fn what_the_pieces_of_a_batch_give_is_limited_together() {
    let alone = |count| {
        let mut settings = settings(json!({"behaviour": "gives-much-alone"}));
        settings.limits.output_bytes = 8 << 20;
        Step::open(transform(), settings, &schema()).unwrap().run(rows(count), None)
    };
    let outcome = alone(2).unwrap();
    assert_eq!((outcome.counts.kept, outcome.counts.failed), (2, 0));
    let error = alone(1000).unwrap_err().to_string();
    assert!(error.contains("more than 8 times the 8388608 bytes of `limits.output`"), "{error}");

    let mut settings = settings(json!({"behaviour": "doubles-rows"}));
    settings.limits.output_rows = 7;
    let error = Step::open(transform(), settings, &schema()).unwrap().run(rows(100), None).unwrap_err();
    assert!(matches!(error, StepError::Refused { .. }), "{error}");
    assert!(error.to_string().contains("more than 8 times the 7 rows of `limits.output_rows`"), "{error}");
}

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// What the plugin and the host log while nine rows go through.
fn logged(behaviour: &str, limits: Limits) -> String {
    let captured = Captured::default();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(captured.clone()).finish();
    tracing::subscriber::with_default(subscriber, || run(behaviour, limits, 9));
    String::from_utf8(captured.0.lock().unwrap().clone()).unwrap()
}

#[test]
fn messages_are_cut_off_and_what_is_left_out_is_counted() {
    let generous = Limits { memory: 64 << 20, log_bytes: 1 << 20, ..Limits::default() };
    let log = logged("floods-the-log", Limits { log_lines: 5, ..generous.clone() });
    assert_eq!(log.matches("a flood of").count(), 5, "{log}");
    assert!(log.contains("ignored=99995"), "{log}");
    let log = logged("floods-the-log", Limits { log_lines: 1_000_000, log_bytes: 100, ..generous.clone() });
    assert!((1..=10).contains(&log.matches("a flood of").count()), "{log}");
    let log = logged("logs-megabytes", Limits { log_bytes: 1000, ..generous });
    assert!(log.matches('x').count() < 1100 && log.contains('…'), "{log}");
}

/// How often the plugin was called for a batch that takes several texts.
fn calls_for_a_large_batch(behaviour: &str, limits: Limits) -> (u64, Result<StepOutcome, StepError>) {
    let mut settings = settings(json!({"behaviour": behaviour, "rows": r#"[{"text":"a"},{"text":"b"}]"#}));
    settings.limits = limits;
    let mut step = Step::open(super::records::records(), settings, &schema()).unwrap();
    let outcome = step.run(rows(100_000), None);
    let Some(Metric::Count(calls)) = step.metrics().get("calls") else { panic!("it counts its calls") };
    (*calls, outcome)
}

/// A batch may go in many calls: together they have no more than a call with columns has.
#[test]
fn the_calls_of_one_batch_share_its_limits() {
    let (calls, outcome) = calls_for_a_large_batch("drops-odd", Limits::default());
    assert_eq!(outcome.unwrap().counts.kept, 50_000);
    // All texts together have 1.3 MB, their columns 0.8 MB; each alone has less than half.
    let limits = Limits { output_bytes: 750_000, ..Limits::default() };
    let (in_pieces, outcome) = calls_for_a_large_batch("drops-odd", limits);
    assert_eq!(outcome.unwrap().counts.kept, 50_000);
    assert!(in_pieces > calls, "{in_pieces} calls, {calls} for the whole");

    let limits = Limits { output_rows: calls as usize * 2 - 1, ..Limits::default() };
    let (in_pieces, outcome) = calls_for_a_large_batch("makes-rows", limits);
    assert_eq!(outcome.unwrap().counts.consumed, 100_000);
    assert!(in_pieces > calls, "{in_pieces} calls, {calls} for the whole");
}

/// Each call keeps within the time that the batch has, and all together do not: so it goes in pieces.
#[test]
fn the_calls_of_one_batch_share_its_time() {
    super::records::records();
    let started = thread_cpu_time();
    let limits = Limits { cpu: Duration::from_secs(60), ..Limits::default() };
    let (calls, outcome) = calls_for_a_large_batch("is-slow", limits);
    let took = thread_cpu_time().saturating_sub(started);
    assert_eq!(outcome.unwrap().counts.kept, 100_000);
    let (in_pieces, outcome) =
        calls_for_a_large_batch("is-slow", Limits { cpu: took / 3, ..Limits::default() });
    assert_eq!(outcome.unwrap().counts.kept, 100_000);
    assert!(calls > 2 && in_pieces > calls, "{in_pieces} calls, {calls} for the whole");
}
