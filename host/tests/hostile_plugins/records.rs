//! Rows that cross as JSON: the same fates, limits and search as for columns.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arrow::array::{Array, AsArray};
use serde_json::{Value, json};
use sluicebox::plugin::{Limits, Metric, Plugin, PluginKind, Step, StepOutcome};

use super::fixture::*;

pub fn records() -> Arc<Plugin> {
    static LOADED: OnceLock<Arc<Plugin>> = OnceLock::new();
    LOADED.get_or_init(|| engine().load(&component("hostile-records"), None).unwrap()).clone()
}

fn step(config: Value) -> Step {
    Step::open(records(), settings(config), &schema()).unwrap()
}

fn run(config: Value, count: i64) -> StepOutcome {
    step(config).run(rows(count), None).unwrap()
}

/// Why the only row failed.
fn reason(config: Value) -> String {
    let outcome = run(config.clone(), 1);
    let failed = outcome.failed.unwrap_or_else(|| panic!("{config} does no harm"));
    assert_eq!(failed.rows.num_rows(), 1);
    failed.reasons.value(0).to_owned()
}

#[test]
fn rows_as_json_have_the_fates_that_columns_have() {
    assert_eq!(records().kind(), PluginKind::Transform);

    let mut outcome = run(json!({"behaviour": "well"}), 100);
    assert_eq!(outcome.counts.kept, 100);
    let batch = outcome.rows.take_where(&arrow::buffer::BooleanBuffer::new_set(100));
    assert_eq!(batch.column_by_name("text").unwrap().as_string::<i32>().value(99), "№99");
    assert_eq!(ids(&batch).len(), 100);

    let outcome = run(json!({"behaviour": "drops-odd"}), 100);
    assert_eq!((outcome.counts.kept, outcome.counts.dropped), (50, 50));

    let outcome = run(json!({"behaviour": "selects"}), 100);
    assert_eq!((outcome.counts.kept, outcome.counts.dropped), (80, 20));

    let outcome = run(json!({"behaviour": "rejects-id", "id": 7}), 100);
    let rejected = outcome.rejected.unwrap();
    assert_eq!((ids(&rejected.rows), rejected.rules.value(0)), (vec![7], "even"));
    assert_eq!(outcome.counts.kept, 99);

    let outcome = run(json!({"behaviour": "makes-rows", "rows": r#"[{"text":"a"},{},{"text":null}]"#}), 100);
    assert_eq!((outcome.counts.consumed, outcome.counts.made), (100, 3));
    let outcome = run(json!({"behaviour": "makes-rows", "rows": "[]"}), 100);
    assert_eq!(outcome.counts.made, 0);
}

#[test]
fn the_row_that_breaks_it_is_found() {
    for (behaviour, says) in [
        ("traps-on-id", "trapped"),
        ("spins-on-id", "more than 300 ms of CPU time"),
        ("grows-on-id", "more than its 16777216 bytes of memory"),
        ("data-error-on-id", "cannot process the data: an id that it does not like"),
        ("malformed-on-id", "malformed value: rows: after 0 rows: EOF"),
    ] {
        let outcome = run(json!({"behaviour": behaviour, "id": 63}), 100);
        let failed = outcome.failed.unwrap();
        assert_eq!(ids(&failed.rows), [63], "{behaviour}");
        assert!(failed.reasons.value(0).contains(says), "{}", failed.reasons.value(0));
        assert_eq!(outcome.counts.kept, 99);
    }
}

#[test]
fn what_does_not_fit_its_plan_is_malformed() {
    let says = |rows: &str| json!({"behaviour": "says", "rows": rows});
    for (config, expected) in [
        (says("nonsense"), "rows: after 0 rows: expected ident"),
        (says(r#"{"text": "a"}"#), "an array of rows"),
        (says("[]"), "the fates of 0 rows, the batch has 1"),
        (says("[{},{}]"), "more rows than the 1"),
        (says(r#"[{"text": 5}]"#), "column `text`: 5 is not a string"),
        (says(r#"[{"text": "a", "text": "b"}]"#), "column `text` is there twice"),
        (says(r#"[{"id": 1}]"#), "there is no column `id`"),
        (says(&format!("[{}", "[".repeat(1 << 20))), "rows"),
        (json!({"behaviour": "no-rows"}), "does not give the columns"),
        (json!({"behaviour": "keeps"}), "gives `keep`"),
        (json!({"behaviour": "keeps-few"}), "the fates of 0 rows, the batch has 1"),
        (json!({"behaviour": "selects-rows"}), "gives rows, though it only selects"),
        (json!({"behaviour": "makes-rows-and-keeps"}), "gives `keep`"),
        (json!({"behaviour": "makes-rows", "rows": "[null]"}), "a new row is null"),
        (json!({"behaviour": "rejects-by-unknown-rule"}), "`no rule` is not one of the plan's rules"),
        (json!({"behaviour": "rejects-out-of-range"}), "row 1 is not one of the 1 rows"),
        (json!({"behaviour": "rejects-twice"}), "do not ascend"),
    ] {
        let reason = reason(config.clone());
        assert!(reason.contains("malformed") && reason.contains(expected), "{config}: {reason}");
    }
}

#[test]
fn a_gigantic_answer_is_cut_off() {
    let mut settings = settings(json!({"behaviour": "gigantic"}));
    settings.limits.memory = 256 << 20;
    settings.limits.output_bytes = 1 << 20;
    settings.limits.cpu = Duration::from_secs(10);
    let outcome = Step::open(records(), settings, &schema()).unwrap().run(rows(1), None).unwrap();
    let reason = outcome.failed.unwrap().reasons.value(0).to_owned();
    assert!(reason.contains("more than 1048576 bytes"), "{reason}");
}

/// Neither side ever holds a whole batch as JSON.
#[test]
fn a_large_batch_goes_in_several_calls() {
    let count = 200_000;
    let mut settings = settings(json!({"behaviour": "drops-odd"}));
    settings.limits = Limits::default();
    let mut step = Step::open(records(), settings, &schema()).unwrap();
    let outcome = step.run(rows(count), None).unwrap();
    assert_eq!((outcome.counts.kept, outcome.counts.dropped), (count as u64 / 2, count as u64 / 2));
    let Some(Metric::Count(calls)) = step.metrics().get("calls") else { panic!("it counts its calls") };
    assert!((5..20).contains(calls), "{calls}");
    let mut rows = outcome.rows;
    let texts = rows.column("text").unwrap();
    let texts = texts.as_string::<i32>();
    assert_eq!(texts.len(), count as usize / 2);
    assert!((0..texts.len()).all(|row| texts.value(row) == format!("№{}", row * 2)));
}
