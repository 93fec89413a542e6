//! What a stateless plugin can do to a batch.

use arrow::array::AsArray;
use serde_json::json;
use sluicebox::plugin::{Limits, Metric, OnError, Step, StepError};

use super::fixture::*;

/// Sees to it that the host still works, after whatever happened.
fn the_host_lives() {
    let outcome = open(transform(), "well").unwrap().run(rows(9), None).unwrap();
    assert_eq!((outcome.counts.kept, outcome.rejected, outcome.failed), (9, None, None));
    let batch = outcome.rows.into_batch();
    assert_eq!(ids(&batch), (0..9).collect::<Vec<_>>());
    assert_eq!(batch.column_by_name("text").unwrap().as_string::<i32>().value(8), "№8");
}

/// All of these rows break it: each comes back with a reason.
#[test]
fn malformed_output_is_refused_and_the_rows_come_back() {
    for (behaviour, says) in [
        ("rows-short", "rows, the batch has"),
        ("rows-long", "rows, the batch has"),
        ("column-short", "column `count` has"),
        ("column-long", "column `count` has"),
        ("values-short", "values, not"),
        ("values-long", "values, not"),
        ("wrong-case", "not those of Int64"),
        ("no-values", "not those of Int64"),
        ("column-missing", "the column `code` is missing"),
        ("column-too-many", "columns more than its schema"),
        ("no-columns-at-all", "the column `text` is missing"),
        ("no-columns", "does not give the columns of its plan"),
        ("select-gives-columns", "only selects rows"),
        ("rows-that-keep", "it makes new ones"),
        ("offsets-descending", "do not ascend"),
        ("offsets-negative", "do not start at 0"),
        ("offsets-from-one", "do not start at 0"),
        ("offsets-past-data", "offsets end at 2147483647"),
        ("offsets-before-end", "offsets end at 0"),
        ("offsets-few", "offsets, not"),
        ("offsets-none", "offsets, not"),
        ("not-utf8", "not UTF-8"),
        ("inside-a-character", "offset"),
        ("validity-short", "bytes of validity"),
        ("validity-long", "bytes of validity"),
        ("null-where-none-may-be", "null"),
        ("null-in-a-list", "null"),
        ("decimal-too-large", "precision"),
        ("decimal-ragged", "bytes too many"),
        ("list-past-child", "do not start at 0"),
        ("list-beyond-child", "column `item` has"),
        ("list-descending", "do not start at 0"),
        ("child-short", "values, not"),
        ("child-claims-length", "column `item` has 4294967295 rows"),
        ("bits-short", "bytes of bits"),
        ("bits-long", "bytes of bits"),
        ("fixed-short", "bytes, not"),
        ("keep-short", "keep: it has"),
        ("keep-long", "keep: it has"),
        ("many-rows", "the limit is 1048576"),
        ("rejects-out-of-range", "is not one of the"),
        ("rejects-out-of-order", "do not ascend"),
        ("rejects-twice", "do not ascend"),
        ("rejects-by-unknown-rule", "rule 2 is not one of the 2 rules"),
        ("rejects-without-rules", "have 0 rules"),
        ("rejects-with-bad-reasons", "not UTF-8"),
        ("rejects-with-few-reasons", "offsets, not"),
        ("a-million-rejections", "is not one of the"),
        ("claims-gigabytes", "trapped"),
    ] {
        let mut step = open(transform(), behaviour).unwrap();
        // Nine rows need two bytes of bits.
        for count in [9, 1] {
            let outcome = step.run(rows(count), None).unwrap();
            let failed = outcome.failed.unwrap_or_else(|| panic!("{behaviour} went through"));
            assert!(outcome.counts.balances(), "{behaviour}: {:?}", outcome.counts);
            for reason in failed.reasons.iter().flatten() {
                assert!(reason.contains(says), "{behaviour}: {reason} does not say {says}");
            }
            assert_eq!(failed.rows, batch(count), "{behaviour}");
            assert_eq!((outcome.counts.failed, outcome.rows.num_rows()), (count as u64, 0));
        }
    }
    the_host_lives();
}

#[test]
fn the_poison_row_stands_alone() {
    for (behaviour, says) in [
        ("traps-on-id", "trapped"),
        ("spins-on-id", "more than 300 ms of CPU time"),
        ("grows-on-id", "more than its 16777216 bytes of memory"),
        ("data-error-on-id", "cannot process the data: an id that it does not like"),
        ("malformed-on-id", "does not give the columns"),
    ] {
        for (count, poison) in [(100, 41), (100, 0), (100, 99), (1, 0), (2, 1)] {
            let mut step = open_on_id(transform(), behaviour, poison);
            let outcome = step.run(rows(count), None).unwrap();
            let failed = outcome.failed.unwrap();
            assert_eq!(ids(&failed.rows), [poison], "{behaviour}");
            assert_eq!(failed.rows, batch(count).slice(poison as usize, 1));
            assert!(failed.reasons.value(0).contains(says), "{}", failed.reasons.value(0));
            let counts = outcome.counts;
            assert_eq!((counts.rows_in, counts.kept, counts.failed), (count as u64, count as u64 - 1, 1));
            let others: Vec<i64> = (0..count).filter(|id| *id != poison).collect();
            let batch = outcome.rows.into_batch();
            assert_eq!(ids(&batch), others);
            let texts = batch.column_by_name("text").unwrap().as_string::<i32>().clone();
            let expected: Vec<String> = others.iter().map(|id| format!("№{id}")).collect();
            assert!(texts.iter().flatten().eq(expected.iter().map(String::as_str)), "{behaviour}");
        }
    }
    the_host_lives();
}

#[test]
fn rejected_rows_are_not_kept_whatever_the_bitmap_says() {
    let mut step = open_on_id(transform(), "rejects-id", 3);
    let outcome = step.run(rows(9), None).unwrap();
    let rejected = outcome.rejected.unwrap();
    assert_eq!(rejected.rows, batch(9).slice(3, 1));
    assert_eq!((rejected.rules.value(0), rejected.reasons.value(0)), ("even", "why"));
    assert_eq!(outcome.counts.rejected, [("even".to_owned(), 1)].into());
    assert!(outcome.counts.balances());
    assert_eq!(ids(&outcome.rows.into_batch()), [0, 1, 2, 4, 5, 6, 7, 8]);
}

#[test]
fn a_step_that_should_stop_stops_and_says_where() {
    let mut settings = settings(json!({"behaviour": "traps-on-id", "id": 41}));
    settings.on_error = OnError::Stop;
    let mut step = Step::open(transform(), settings, &schema()).unwrap();
    let stopped = step.run(rows(100), None).unwrap_err();
    assert!(matches!(&stopped, StepError::Refused { .. }), "{stopped}");
    assert!(stopped.to_string().contains("at offset 1041"), "{stopped}");
}

/// Whatever it is given, it spins or grows: the search ends, and the pipeline stops.
#[test]
fn a_plugin_that_always_breaks_does_not_stall_the_host() {
    for behaviour in ["spins", "grows"] {
        let mut settings = settings(json!({"behaviour": behaviour}));
        settings.limits.search_cpu = std::time::Duration::from_millis(500);
        let mut step = Step::open(transform(), settings, &schema()).unwrap();
        let stopped = step.run(rows(8192), None).unwrap_err().to_string();
        assert!(stopped.contains("took more than 0.5 s in a batch of 8192 rows"), "{stopped}");
    }
    the_host_lives();
}

#[test]
fn more_output_than_allowed_is_told() {
    let mut settings = settings(json!({"behaviour": "well"}));
    settings.limits = Limits { output_bytes: 1 << 10, ..limits() };
    let mut step = Step::open(transform(), settings, &schema()).unwrap();
    let outcome = step.run(rows(100), None).unwrap();
    assert_eq!(outcome.counts.kept, 100, "pieces of the batch fit");
    let mut settings = self::settings(json!({"behaviour": "well"}));
    settings.limits = Limits { output_bytes: 400, ..limits() };
    let refused = Step::open(transform(), settings, &schema()).unwrap_err().to_string();
    assert!(refused.contains("more than 400 bytes"), "{refused}");
}

#[test]
fn floods_are_cut_off_and_cost_no_rows() {
    for behaviour in ["floods-the-log", "logs-megabytes", "invents-metrics"] {
        let mut settings = settings(json!({"behaviour": behaviour}));
        settings.limits = Limits { memory: 64 << 20, metric_names: 10, ..Limits::default() };
        let mut step = Step::open(transform(), settings, &schema()).unwrap();
        let outcome = step.run(rows(9), None).unwrap();
        assert_eq!((outcome.counts.kept, outcome.failed), (9, None), "{behaviour}");
        if behaviour == "invents-metrics" {
            assert_eq!(step.metrics().len(), 10);
            assert_eq!(step.metrics().get("rows_seen"), Some(&Metric::Count(9)));
            assert!(!step.metrics().keys().any(|name| name.contains('{')));
            assert_eq!(step.take_metrics().get("rows_seen"), Some(&Metric::Count(9)));
            assert_eq!(step.take_metrics().get("rows_seen"), Some(&Metric::Count(0)), "it was taken before");
        }
    }
}

#[test]
fn a_batch_without_rows_keeps_the_schema() {
    let mut step = open(transform(), "traps-on-id").unwrap();
    let outcome = step.run(rows(0), None).unwrap();
    assert_eq!(outcome.rows.schema(), step.output_schema());
    assert_eq!(outcome.rows.into_batch().num_rows(), 0);
}

#[test]
fn rows_of_another_schema_are_refused() {
    let mut step = open(transform(), "well").unwrap();
    let other = batch(3).project(&[0, 2]).unwrap();
    let refused = step.run(sluicebox::plugin::Rows::new(other), None).unwrap_err();
    assert!(matches!(refused, StepError::Refused { .. }));
}
