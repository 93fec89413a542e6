//! What a plugin can do with its reference table, and what becomes of the table.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, AsArray, Int64Array, NullArray, RecordBatch};
use arrow::datatypes::Int64Type;
use serde_json::json;
use sluicebox::plugin::{Grants, Limits, Plugin, PluginError, Rows, Step, StepError, StepSettings};
use sluicebox::reference_table::ReferenceTable;

use super::fixture::*;

fn plugin() -> Arc<Plugin> {
    static LOADED: OnceLock<Arc<Plugin>> = OnceLock::new();
    LOADED.get_or_init(|| engine().load(&component("hostile-reference"), None).unwrap()).clone()
}

/// Of the column `n`, and of one that plugins cannot get.
fn table(rows: i64) -> Arc<ReferenceTable> {
    let columns: [(&str, ArrayRef); 2] = [
        ("n", Arc::new(Int64Array::from_iter_values(0..rows))),
        ("hidden", Arc::new(NullArray::new(rows as usize))),
    ];
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    Arc::new(ReferenceTable { version: "v1".to_owned(), schema: rows.schema(), batches: vec![rows] })
}

fn open(behaviour: &str, table: Option<Arc<ReferenceTable>>) -> Result<Step, PluginError> {
    Step::open_with_reference(plugin(), settings(json!({"behaviour": behaviour})), &schema(), table)
}

fn table_rows(rows: Rows) -> Vec<i64> {
    rows.into_batch().column_by_name("table_rows").unwrap().as_primitive::<Int64Type>().values().to_vec()
}

#[test]
fn wrong_columns_are_refused_before_a_row_is_read() {
    for (behaviour, says) in [
        ("columns-traps", "the plugin trapped"),
        ("columns-spins", "more than 300 ms of CPU time"),
        ("columns-unknown", "wants the column `no such"),
        ("columns-twice", "wants the column `n` of its reference table twice"),
        ("columns-many", "wants the column `c0`"),
        ("columns-data-error", "no table yet"),
    ] {
        let refused = open(behaviour, Some(table(3))).unwrap_err().to_string();
        assert!(refused.contains(says), "{behaviour}: {refused} does not say {says}");
    }
}

#[test]
fn a_table_that_cannot_be_loaded_stops_the_step_and_says_why() {
    for (behaviour, says) in [
        ("load-traps", "the plugin trapped"),
        ("load-grows", "raise the step's `limits.memory`"),
        ("load-refuses", "two rows of one key"),
    ] {
        let mut step = open(behaviour, Some(table(3))).unwrap();
        for _ in 0..2 {
            let Err(StepError::Refused { what, .. }) = step.prepare() else { panic!("{behaviour}") };
            assert!(what.contains("its reference table cannot be used") && what.contains(says), "{what}");
        }
        assert!(matches!(step.run(rows(1), None), Err(StepError::Refused { .. })), "{behaviour}");
    }
}

/// Loading has more time than a call has otherwise, and not for ever: all calls together.
#[test]
fn a_load_without_end_is_interrupted() {
    // 40 calls of a second each.
    for (behaviour, rows, most) in [("load-spins", 3, 10_000), ("load-lags", 40 * 8192, 13_276)] {
        let mut step = open(behaviour, Some(table(rows))).unwrap();
        let refused = step.prepare().unwrap_err().to_string();
        let says = format!("more than {most} ms of CPU time to take it; raise the step's `limits.time`");
        assert!(refused.contains(&says), "{behaviour}: {refused}");
    }
}

/// Many short waits are a long one.
#[test]
fn a_load_that_waits_has_one_patience() {
    let settings = |wait| {
        let limits = Limits { wait: Duration::from_millis(wait), ..limits() };
        let grants = Grants::default().clock().into();
        StepSettings { limits, grants, ..settings(json!({"behaviour": "load-naps"})) }
    };
    let open = |wait| {
        Step::open_with_reference(plugin(), settings(wait), &schema(), Some(table(20 * 8192))).unwrap()
    };
    let refused = open(300).prepare().unwrap_err().to_string();
    assert!(refused.contains("waited for more than 300 ms while it got its table"), "{refused}");
    open(60_000).prepare().unwrap();
}

#[test]
fn a_table_of_several_calls_is_loaded_as_a_whole() {
    let mut step = open("well", Some(table(20_000))).unwrap();
    assert_eq!(table_rows(step.run(rows(1), None).unwrap().rows), [20_000]);
    let one = RecordBatch::clone(&table(3).batches[0]);
    let table = ReferenceTable { version: "v2".to_owned(), schema: one.schema(), batches: vec![one; 3] };
    let mut step = open("well", Some(Arc::new(table))).unwrap();
    assert_eq!(table_rows(step.run(rows(1), None).unwrap().rows), [9]);
}

#[test]
fn a_load_that_is_given_up_ends() {
    let mut step = open("load-lags", Some(table(8192 * 1000))).unwrap();
    let given_up = AtomicBool::new(false);
    let started = Instant::now();
    std::thread::scope(|scope| {
        let loading = scope.spawn(|| step.prepare_unless(&given_up));
        std::thread::sleep(Duration::from_millis(100));
        given_up.store(true, Ordering::Relaxed);
        let refused = loading.join().unwrap().unwrap_err().to_string();
        assert!(refused.contains("nobody waits for it any more"), "{refused}");
    });
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
}

#[test]
fn the_step_and_its_plugin_agree_that_there_is_a_table() {
    let refused = open("well", None).unwrap_err().to_string();
    assert!(refused.contains("give the step a `reference`"), "{refused}");
    let settings = settings(json!({"behaviour": "well"}));
    let refused = Step::open_with_reference(transform(), settings, &schema(), Some(table(1)));
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("looks nothing up: remove the step's `reference`"), "{refused}");
}

/// Whenever an instance starts anew it gets its table again, a trap in a batch included.
#[test]
fn an_instance_after_a_trap_has_the_table_again() {
    let mut step = open("well", Some(table(5))).unwrap();
    assert_eq!(table_rows(step.run(rows(2), None).unwrap().rows), [5, 5]);
    let outcome = step.run(rows(700), None).unwrap();
    assert_eq!(ids(&outcome.failed.unwrap().rows), [666]);
    assert_eq!(table_rows(outcome.rows), [5; 699]);
    let mut without_columns = open("columns-none", Some(table(5))).unwrap();
    assert_eq!(table_rows(without_columns.run(rows(1), None).unwrap().rows), [5]);
}
