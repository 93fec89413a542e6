//! What a plugin with state can do, and what is left of its state.

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use serde_json::json;
use sluicebox::changes::{StateChanges, StateKind, StateLayout};
use sluicebox::plugin::{Rows, Step, StepError};
use sluicebox::state::compact;

use super::fixture::*;

fn counts(step: &mut Step, rows: Rows) -> Vec<i64> {
    let outcome = step.run(rows, Some(0)).unwrap();
    let batch = outcome.rows.into_batch();
    batch.column_by_name("count").unwrap().as_primitive::<Int64Type>().values().to_vec()
}

fn changes(step: &mut Step) -> StateChanges {
    let (kind, changes) = step.changes().unwrap().unwrap();
    assert_eq!(kind, StateKind::Changes);
    changes
}

#[test]
fn state_survives_a_fresh_instance() {
    let mut step = open(aggregate(), "well").unwrap();
    let layout = step.state_layout().unwrap().clone();
    assert_eq!(step.changes().unwrap(), None);
    let outcome = step.run(rows(10_000), None).unwrap();
    assert_eq!((outcome.counts.consumed, outcome.counts.made, outcome.rows.num_rows()), (10_000, 0, 0));
    let first = changes(&mut step);
    step.run(rows(2), None).unwrap();
    let second = changes(&mut step);
    assert_eq!(second.upserts.as_ref().unwrap().num_rows(), 2, "only what changed");
    assert_eq!(step.changes().unwrap(), None);

    let base = compact(&layout, None, [first, second]).unwrap();
    let mut step = open(aggregate(), "well").unwrap();
    step.restore(&layout, &base).unwrap();
    assert_eq!(step.changes().unwrap(), None, "restored rows are no changes");
    let counts = counts(&mut step, rows(1));
    assert_eq!((counts.len(), &counts[..3]), (10_000, &[3, 2, 1][..]));
}

#[test]
fn a_watermark_alone_is_handed_over() {
    let mut step = open(aggregate(), "well").unwrap();
    step.run(rows(3), None).unwrap();
    assert_eq!(counts(&mut step, rows(0)), [1, 1, 1]);
}

#[test]
fn an_aggregate_can_reject() {
    let mut step = open_on_id(aggregate(), "rejects-id", 1);
    let outcome = step.run(rows(3), None).unwrap();
    assert_eq!(ids(&outcome.rejected.unwrap().rows), [1]);
    assert_eq!(outcome.counts.consumed, 2);
    assert!(outcome.counts.balances());
}

#[test]
fn a_broken_step_gives_nothing_until_it_is_restored() {
    for (behaviour, says) in [("traps-on-id", "trapped"), ("data-error-on-id", "that id")] {
        let mut step = open_on_id(aggregate(), behaviour, 7);
        step.run(rows(5), None).unwrap();
        let layout = step.state_layout().unwrap().clone();
        let kept = changes(&mut step).upserts.unwrap();
        let broken = step.run(rows(9), None).unwrap_err();
        assert!(matches!(&broken, StepError::Broken { .. }), "{broken}");
        let told = broken.to_string();
        for part in ["layer `silver`", "step `cleanse`", says] {
            assert!(told.contains(part), "{told} does not say {part}");
        }
        assert!(matches!(step.run(rows(1), None), Err(StepError::Refused { .. })));
        assert!(matches!(step.changes(), Err(StepError::Refused { .. })));
        let mut next = open_on_id(aggregate(), behaviour, 7);
        next.restore(&layout, &kept).unwrap();
        assert_eq!(counts(&mut next, rows(7)), [2, 2, 2, 2, 2, 1, 1]);
    }
}

#[test]
fn unsound_state_is_refused() {
    for (behaviour, says) in [
        ("layout-without-key", "it has no key"),
        ("layout-overlaps", "both key and value"),
        ("layout-traps", "trapped"),
    ] {
        let refused = open(aggregate(), behaviour).unwrap_err().to_string();
        assert!(refused.contains(says), "{refused} does not say {says}");
    }
    for (behaviour, says) in [("changes-malformed", "state's upserts"), ("changes-trap", "trapped")] {
        let mut step = open(aggregate(), behaviour).unwrap();
        step.run(rows(3), None).unwrap();
        let broken = step.changes().unwrap_err();
        assert!(matches!(&broken, StepError::Broken { .. }), "{broken}");
        assert!(broken.to_string().contains(says), "{broken} does not say {says}");
    }
}

#[test]
fn state_that_does_not_fit_is_refused() {
    let mut step = open(aggregate(), "restore-fails").unwrap();
    let layout = step.state_layout().unwrap().clone();
    let refused = step.restore(&layout, &batch(1)).unwrap_err().to_string();
    assert!(refused.contains("not of the layout"), "{refused}");
    step.run(rows(3), None).unwrap();
    let base = compact(&layout, None, [changes(&mut step)]).unwrap();
    let mut step = open(aggregate(), "restore-fails").unwrap();
    let refused = step.restore(&layout, &base).unwrap_err().to_string();
    assert!(refused.contains("not my state"), "{refused}");
    for (behaviour, says) in [("well", "not my version"), ("migrate-traps", "trapped")] {
        let mut step = open(aggregate(), behaviour).unwrap();
        let other = StateLayout { version: 7, ..layout.clone() };
        let refused = step.restore(&other, &base).unwrap_err().to_string();
        for part in ["of version 7 (id Int64, count Int64), cannot be migrated", says] {
            assert!(refused.contains(part), "{refused} does not say {part}");
        }
        assert!(matches!(step.run(rows(1), None), Err(StepError::Refused { .. })));
    }
    assert!(Step::open(aggregate(), settings(json!({})), &schema()).is_ok());
}
