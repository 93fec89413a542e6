//! The fold and the judge, over ledgers made up by chance.

use std::collections::BTreeSet;

use proptest::prelude::*;
use uuid::Uuid;

use super::entry::{Body, Configure, Entry, Epoch, FORMAT, Genesis, Sweep, Writer};
use super::tests::{configuration, epoch, segment, task};
use super::{LedgerState, Verdict};
use crate::changes::StateKind;
use crate::schema::RecordSchema;

/// What somebody tries to enter; most of it fits the state at that moment, some does not.
#[derive(Debug, Clone)]
enum Attempt {
    Epoch { partitions: BTreeSet<i32>, rows: i64, base: bool, stale: bool },
    Schema,
    Configure { sinks: usize, stale: bool },
    Sweep { epoch: u64 },
}

fn attempts() -> impl Strategy<Value = Vec<Attempt>> {
    let partitions = proptest::collection::btree_set(0..4, 0..4);
    let epochs = (partitions, 0_i64..5, any::<bool>(), any::<bool>())
        .prop_map(|(partitions, rows, base, stale)| Attempt::Epoch { partitions, rows, base, stale });
    let attempt = prop_oneof![
        6 => epochs,
        1 => Just(Attempt::Schema),
        1 => (0_usize..4, any::<bool>()).prop_map(|(sinks, stale)| Attempt::Configure { sinks, stale }),
        2 => (0_u64..40).prop_map(|epoch| Attempt::Sweep { epoch }),
    ];
    proptest::collection::vec(attempt, 0..40)
}

fn entry(state: Option<&LedgerState>, attempt: u64, body: Body) -> Entry {
    Entry {
        format: FORMAT,
        ledger: Uuid::from_u128(1),
        number: state.map_or(0, |state| state.number + 1),
        writer: Writer { incarnation: Uuid::from_u128(2), epoch: attempt },
        written_at_ms: 0,
        body,
    }
}

fn genesis() -> Entry {
    let configuration = configuration("c0", &["bronze"]);
    entry(None, 0, Body::Genesis(Genesis { pipeline: "meters".to_owned(), configuration }))
}

fn body(state: &LedgerState, number: u64, attempt: &Attempt) -> Body {
    let base_epoch = |tasks| Epoch {
        configuration: state.configuration.digest.clone(),
        schema_version: state.schema_version,
        ..epoch(tasks)
    };
    match attempt {
        Attempt::Epoch { partitions, rows, base, stale } => {
            let tasks = partitions.iter().map(|partition| {
                let at = state.tasks.values().find(|task| task.partition.partition == *partition);
                let from = at.map_or(0, |task| task.position);
                let builds_on = at.map(|task| task.entry);
                let mut task =
                    task(*partition, if *stale { Some(number + 7) } else { builds_on }, from..from + rows);
                let kind = if *base { StateKind::Base } else { StateKind::Changes };
                task.state = vec![segment(kind, &number.to_string())];
                task
            });
            Body::Epoch(base_epoch(tasks.collect()))
        }
        Attempt::Schema => {
            Body::Epoch(Epoch { proposes_schema: Some(RecordSchema::default()), ..base_epoch(Vec::new()) })
        }
        Attempt::Configure { sinks, stale } => {
            let names = ["bronze", "silver", "gold", "late"];
            let replaces = if *stale { "none".to_owned() } else { state.configuration.digest.clone() };
            let configuration = configuration(&format!("c{number}"), names.get(..*sinks).unwrap_or(&names));
            Body::Configure(Configure { replaces, configuration })
        }
        Attempt::Sweep { epoch } => {
            let writer = Writer { incarnation: Uuid::from_u128(2), epoch: *epoch };
            Body::Sweep(Sweep { condemned: vec![writer] })
        }
    }
}

/// The valid entries among the attempts, and the state after each.
fn ledger(attempts: &[Attempt]) -> Vec<(Entry, LedgerState)> {
    let genesis = genesis();
    let state = LedgerState::genesis(&genesis).unwrap();
    let mut ledger = vec![(genesis, state.clone())];
    let mut state = state;
    for (number, attempt) in (1..).zip(attempts) {
        let entry = entry(Some(&state), number, body(&state, number, attempt));
        let before = state.clone();
        match state.apply(&entry) {
            Verdict::Valid => ledger.push((entry, state.clone())),
            _ => assert_eq!(state, before, "an entry that is not valid changes nothing"),
        }
    }
    ledger
}

proptest! {
    #[test]
    fn a_snapshot_and_the_tail_are_the_whole_prefix(attempts in attempts(), cut in any::<proptest::sample::Index>()) {
        let ledger = ledger(&attempts);
        let cut = cut.index(ledger.len());
        let bytes = serde_json::to_vec(&ledger[cut].1).unwrap();
        let mut state: LedgerState = serde_json::from_slice(&bytes).unwrap();
        for (entry, after) in &ledger[cut + 1..] {
            prop_assert_eq!(state.apply(entry), Verdict::Valid);
            prop_assert_eq!(&state, after);
            prop_assert_eq!(serde_json::to_vec(&state).unwrap(), serde_json::to_vec(after).unwrap());
        }
    }

    #[test]
    fn an_entry_is_valid_once_and_only_after_its_own_prefix(attempts in attempts()) {
        let ledger = ledger(&attempts);
        for (entry, _) in &ledger[1..] {
            for (_, state) in &ledger {
                let moved = Entry { number: state.number + 1, ..entry.clone() };
                let verdict = state.judge(&moved);
                if state.number >= entry.number {
                    prop_assert_ne!(verdict, Verdict::Valid);
                } else if state.number + 1 == entry.number {
                    prop_assert_eq!(verdict, Verdict::Valid);
                }
            }
        }
    }

    #[test]
    fn positions_form_a_chain_and_state_begins_with_its_last_base(attempts in attempts()) {
        let ledger = ledger(&attempts);
        for pair in ledger.windows(2) {
            let [(_, before), (entry, after)] = pair else { continue };
            let Body::Epoch(epoch) = &entry.body else { continue };
            for task in &epoch.tasks {
                let position = before.tasks.get(&task.partition).map_or(0, |before| before.position);
                prop_assert_eq!(task.range.from, position);
                prop_assert_eq!(after.tasks[&task.partition].position, task.range.to);
                let bases = after.tasks[&task.partition].state.iter().skip(1).filter(|at| at.kind == StateKind::Base);
                prop_assert_eq!(bases.count(), 0);
            }
        }
    }

    #[test]
    fn a_condemned_epoch_is_never_valid_again(attempts in attempts()) {
        let mut condemned = BTreeSet::new();
        for (entry, state) in ledger(&attempts) {
            if let Body::Sweep(sweep) = &entry.body {
                condemned.extend(sweep.condemned.iter().copied());
            }
            for writer in &condemned {
                let late = Entry { writer: *writer, ..self::entry(Some(&state), 0, Body::Epoch(epoch(Vec::new()))) };
                prop_assert_eq!(state.judge(&late), Verdict::Condemned);
                prop_assert!(!state.has_entered(*writer));
            }
        }
    }
}

#[test]
fn each_way_of_not_fitting_has_its_verdict() {
    let mut state = LedgerState::genesis(&genesis()).unwrap();
    let first = entry(Some(&state), 1, Body::Epoch(epoch(vec![task(0, None, 3..5)])));
    assert_eq!(state.apply(&first), Verdict::Valid);
    let judge = |tasks| state.judge(&entry(Some(&state), 2, Body::Epoch(epoch(tasks))));
    let refused = |verdict: Verdict, why: &str| {
        assert!(matches!(&verdict, Verdict::Refused(text) if text.contains(why)), "{verdict:?}");
    };
    assert_eq!(judge(vec![task(0, Some(1), 5..6)]), Verdict::Valid);
    refused(judge(vec![task(0, Some(1), 4..6)]), "does not begin at 5");
    let mut backwards = task(0, Some(1), 5..5);
    backwards.range.to = 4;
    refused(judge(vec![backwards]), "ends before it begins");
    refused(judge(vec![task(1, None, 0..1), task(1, None, 0..1)]), "twice");
    assert!(matches!(judge(vec![task(1, Some(1), 0..1)]), Verdict::Moved { .. }));
    let other = Epoch { configuration: "c9".to_owned(), ..epoch(vec![]) };
    let verdict = state.judge(&entry(Some(&state), 2, Body::Epoch(other)));
    assert_eq!(verdict, Verdict::ConfigurationMoved { in_force: "c0".to_owned() });
    let newer = Epoch { schema_version: 1, ..epoch(vec![]) };
    assert_eq!(
        state.judge(&entry(Some(&state), 2, Body::Epoch(newer))),
        Verdict::SchemaMoved { in_force: 0 }
    );
    let unknown = Epoch { sinks: [("nowhere".to_owned(), Default::default())].into(), ..epoch(vec![]) };
    refused(state.judge(&entry(Some(&state), 2, Body::Epoch(unknown))), "no sink `nowhere`");
    let entered = Sweep { condemned: vec![first.writer] };
    assert!(matches!(state.judge(&entry(Some(&state), 2, Body::Sweep(entered))), Verdict::Entered { .. }));
    assert_eq!(state.judge(&Entry { number: 2, ..first }), Verdict::Repeated);
    refused(state.judge(&entry(None, 2, Body::Epoch(epoch(vec![])))), "entry 0 after entry 1");
}

#[test]
fn a_topic_that_was_created_again_is_refused() {
    let mut state = LedgerState::genesis(&genesis()).unwrap();
    let of = |id: &str, builds_on, range| {
        let mut task = task(0, builds_on, range);
        task.topic_id = Some(id.to_owned());
        Body::Epoch(epoch(vec![task]))
    };
    let first = entry(Some(&state), 1, of("a", None, 0..1));
    assert_eq!(state.apply(&first), Verdict::Valid);
    let verdict = state.judge(&entry(Some(&state), 2, of("b", Some(1), 1..2)));
    assert!(matches!(verdict, Verdict::Refused(why) if why.contains("created again")));
}

#[test]
fn a_step_that_is_gone_takes_its_state_along() {
    let mut state = LedgerState::genesis(&genesis()).unwrap();
    let mut with_state = task(0, None, 0..1);
    with_state.state = vec![segment(StateKind::Base, "a"), segment(StateKind::Changes, "b")];
    let first = entry(Some(&state), 1, Body::Epoch(epoch(vec![with_state])));
    assert_eq!(state.apply(&first), Verdict::Valid);
    assert_eq!(state.tasks.values().map(|task| task.state.len()).sum::<usize>(), 2);
    let mut configuration = configuration("c1", &["bronze", "silver"]);
    configuration.plugins.clear();
    let change = Body::Configure(Configure { replaces: "c0".to_owned(), configuration });
    let second = entry(Some(&state), 2, change);
    assert_eq!(state.apply(&second), Verdict::Valid);
    assert!(state.tasks.values().all(|task| task.state.is_empty()));
    assert_eq!((state.sinks["bronze"].since, state.sinks["silver"].since), (0, 2));
}
