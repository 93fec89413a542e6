//! A task may be swapped, recycled, crashed and restored in any order, and cut anywhere: what is entered is what an
//! undisturbed task enters. Real components, a real ledger, state objects in memory.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may, as tests do")]

#[path = "../components/mod.rs"]
mod components;
mod pipeline;

use std::collections::BTreeMap;

use pipeline::{Rows, Worker};
use proptest::prelude::*;

const RECORDS: i64 = 300;

/// What happens to a task.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// The next records are processed.
    Batch(i64),
    /// What was done is entered.
    Cut,
    /// The step's plugin is replaced by one whose state has this version; the third takes over no other.
    Swap(u32),
    /// The instances are replaced between two epochs.
    Recycle,
    /// What was not entered is lost, and so are the instances.
    Crash,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (1i64..60).prop_map(Event::Batch),
        2 => Just(Event::Cut),
        2 => (1u32..=3).prop_map(Event::Swap),
        1 => Just(Event::Recycle),
        1 => Just(Event::Crash),
    ]
}

/// What is in the tables after the events, all records being processed in the end.
fn entered(events: &[Event]) -> BTreeMap<String, Rows> {
    let mut worker = Worker::new(1);
    for event in events {
        match *event {
            Event::Batch(records) => worker.process(records.min(RECORDS - worker.position())),
            Event::Cut => worker.cut(),
            Event::Swap(version) => {
                worker.cut();
                let is_known = version < 3 || matches!(worker.stored_version("numbers"), None | Some(3));
                let taken_over = worker.swap(version);
                assert_eq!(taken_over.is_ok(), is_known, "{taken_over:?}");
            }
            Event::Recycle => {
                worker.cut();
                worker.restart();
            }
            Event::Crash => worker.restart(),
        }
    }
    worker.process(RECORDS - worker.position());
    worker.cut();
    worker.rows()
}

#[test]
fn events_change_nothing_of_what_is_entered() {
    let undisturbed = entered(&[]);
    assert_eq!(undisturbed["numbered"].len(), 277, "the last of each thirteen is a duplicate");
    assert!(undisturbed["windows"].len() > 20);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    runner
        .run(&prop::collection::vec(event(), 1..24), |events| {
            prop_assert_eq!(entered(&events), undisturbed.clone());
            Ok(())
        })
        .unwrap();
}

/// The state of one version is taken over by the other and back, and is stored as a base each time.
#[test]
fn a_migration_replaces_what_was_stored() {
    let mut worker = Worker::new(1);
    worker.process(100);
    worker.cut();
    assert_eq!(worker.stored_version("numbers"), Some(1));
    worker.swap(2).unwrap();
    assert_eq!(worker.stored_version("numbers"), Some(1), "nothing is stored before an entry");
    worker.restart();
    worker.process(1);
    worker.cut();
    assert_eq!((worker.stored_version("numbers"), worker.stored_links("numbers")), (Some(2), 1));
    worker.process(1);
    worker.cut();
    assert_eq!(worker.stored_links("numbers"), 2);
    let refused = worker.swap(3).unwrap_err();
    assert!(
        refused.contains("version 2 (key_int Int64, value_parity Utf8, value_number Int64)"),
        "{refused}"
    );
    assert!(refused.contains("cannot be migrated"), "{refused}");
    worker.process(1);
    worker.cut();
    assert_eq!(worker.stored_links("numbers"), 3, "the old one goes on");
}
