//! The ledger on real stores, and what it says when something is wrong with the state location.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use object_store::memory::InMemory;
use object_store::path::Path;
use uuid::Uuid;

use super::bucket::BucketEntries;
use super::entry::{
    Body, Configuration, Configure, EntryNumber, Epoch, PluginReference, SinkRecord, StateSegment,
    TableVersion, TaskEntry, Writer,
};
use super::local::LocalEntries;
use super::state::REMEMBERED;
use super::store::{EntryStore, Put};
use super::sweep::{FoundFile, Holds, plan_sweep, writer_of};
use super::{Appended, Ledger, LedgerError, LedgerSettings, Opening, Proposal, Verdict};
use crate::changes::StateKind;
use crate::clock::{Clock, SystemClock};
use crate::progress::{Accounting, OffsetRange, TopicPartition};

const WORKER: Uuid = Uuid::from_u128(7);

pub(crate) fn configuration(digest: &str, sinks: &[&str]) -> Configuration {
    let window = PluginReference {
        layer: "gold".to_owned(),
        step: "window".to_owned(),
        name: "window".to_owned(),
        version: "1.0.0".to_owned(),
        digest: "ab".to_owned(),
        not_deterministic: Vec::new(),
    };
    Configuration {
        digest: digest.to_owned(),
        layers: BTreeMap::new(),
        sinks: sinks.iter().map(|sink| (*sink).to_owned()).collect(),
        plugins: vec![window],
    }
}

pub(crate) fn task(partition: i32, builds_on: Option<EntryNumber>, range: std::ops::Range<i64>) -> TaskEntry {
    TaskEntry {
        partition: TopicPartition::new("events", partition),
        topic_id: None,
        builds_on,
        range: OffsetRange { from: range.start, to: range.end },
        accounting: Accounting::default(),
        max_event_time: None,
        watermark: None,
        state: Vec::new(),
    }
}

pub(crate) fn epoch(tasks: Vec<TaskEntry>) -> Epoch {
    Epoch {
        configuration: "c0".to_owned(),
        schema_version: 0,
        proposes_schema: None,
        tasks,
        sinks: BTreeMap::new(),
        seen: BTreeMap::new(),
        references: BTreeMap::new(),
    }
}

pub(crate) fn segment(kind: StateKind, object: &str) -> StateSegment {
    StateSegment {
        layer: "gold".to_owned(),
        step: "window".to_owned(),
        kind,
        object: object.to_owned(),
        offset: 0,
        length: 1,
        sha256: String::new(),
    }
}

fn opening() -> Opening {
    Opening {
        pipeline: "meters".to_owned(),
        configuration: configuration("c0", &["bronze"]),
        incarnation: WORKER,
        new_id: Uuid::from_u128(1),
        known: None,
    }
}

fn proposal(number: u64, body: Body) -> Proposal {
    let writer = Writer { incarnation: WORKER, epoch: number };
    Proposal { writer, opened_at_ms: SystemClock.now_ms(), body }
}

fn memory() -> Arc<dyn EntryStore> {
    Arc::new(BucketEntries::new(Arc::new(InMemory::new()), Path::from("state/ledger")))
}

async fn open(store: &Arc<dyn EntryStore>, opening: Opening) -> Result<Ledger, LedgerError> {
    let settings = LedgerSettings { snapshot_every: 2, ..LedgerSettings::default() };
    Ledger::open(store.clone(), Arc::new(SystemClock), settings, opening).await
}

async fn enter(ledger: &Ledger, attempt: u64, epoch: Epoch) -> EntryNumber {
    match ledger.append(proposal(attempt, Body::Epoch(epoch))).await.unwrap() {
        Appended::Entered(entry) => entry.number,
        lost => panic!("{lost:?}"),
    }
}

/// Two workers, one after the other, on every kind of store: the second finds all that the first entered,
/// and the first loses its task to it.
async fn serves_two_workers(store: Arc<dyn EntryStore>) {
    let first = open(&store, opening()).await.unwrap();
    assert_eq!(enter(&first, 1, epoch(vec![task(0, None, 5..9)])).await, 1);
    assert_eq!(enter(&first, 2, epoch(vec![task(0, Some(1), 9..11)])).await, 2);
    assert_eq!(first.snapshot_if_due().await.unwrap(), Some(2));
    assert_eq!(first.snapshot_if_due().await.unwrap(), None);

    let incarnation = Uuid::from_u128(8);
    let second =
        open(&store, Opening { incarnation, new_id: Uuid::from_u128(2), ..opening() }).await.unwrap();
    assert_eq!(second.state(), first.state());
    let taken = Body::Epoch(epoch(vec![task(0, Some(2), 11..12)]));
    let writer = Writer { incarnation, epoch: 1 };
    let appended = second.append(Proposal { writer, ..proposal(0, taken) }).await.unwrap();
    assert!(matches!(appended, Appended::Entered(entry) if entry.number == 3));

    let late = Body::Epoch(epoch(vec![task(0, Some(2), 11..20)]));
    let tasks = vec![TopicPartition::new("events", 0)];
    assert_eq!(first.append(proposal(3, late)).await.unwrap(), Appended::Lost(Verdict::Moved { tasks }));
    assert_eq!(enter(&first, 4, epoch(vec![task(1, None, 0..1)])).await, 4);
    let numbers: Vec<_> = second.read(1..=4).await.unwrap().iter().map(|entry| entry.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
}

#[tokio::test]
async fn it_runs_on_an_object_store() {
    serves_two_workers(memory()).await;
}

#[tokio::test]
async fn it_runs_on_a_local_disk() {
    let directory = tempfile::tempdir().unwrap();
    serves_two_workers(Arc::new(LocalEntries::new(directory.path().join("state/ledger")))).await;
}

#[tokio::test]
async fn every_store_puts_once_and_lists_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let local: Arc<dyn EntryStore> = Arc::new(LocalEntries::new(directory.path().join("deep/ledger")));
    for store in [memory(), local] {
        assert_eq!(store.list("entries", "").await.unwrap(), []);
        assert_eq!(store.get("entries/1").await.unwrap(), None);
        for name in ["entries/2", "entries/1", "entries/3", "other/4"] {
            let put = store.put_if_absent(name, Bytes::from_static(b"first")).await.unwrap();
            assert_eq!(put, Put::Created);
        }
        let again = store.put_if_absent("entries/1", Bytes::from_static(b"second")).await.unwrap();
        assert_eq!(again, Put::Taken);
        assert_eq!(store.get("entries/1").await.unwrap(), Some(Bytes::from_static(b"first")));
        store.delete("entries/3").await.unwrap();
        store.delete("entries/3").await.unwrap();
        let files = |listed: Vec<super::store::Listed>| -> Vec<String> {
            listed.into_iter().map(|listed| listed.file).collect()
        };
        assert_eq!(files(store.list("entries", "").await.unwrap()), ["1", "2"]);
        assert_eq!(files(store.list("entries", "1").await.unwrap()), ["2"]);
    }
}

#[tokio::test]
async fn another_pipeline_is_refused() {
    let store = memory();
    open(&store, opening()).await.unwrap();
    let other = Opening { pipeline: "weather".to_owned(), ..opening() };
    let error = open(&store, other).await.err().unwrap();
    assert!(matches!(&error, LedgerError::OtherPipeline { found, .. } if found == "meters"), "{error}");
}

#[tokio::test]
async fn a_state_location_without_the_ledger_that_sinks_follow_is_refused() {
    let store = memory();
    let known = Some(Uuid::from_u128(99));
    let error = open(&store, Opening { known, ..opening() }).await.err().unwrap();
    assert!(matches!(error, LedgerError::Missing { .. }), "{error}");
    open(&store, opening()).await.unwrap();
    let error = open(&store, Opening { known, ..opening() }).await.err().unwrap();
    assert!(matches!(error, LedgerError::OtherLedger { .. }), "{error}");
}

#[tokio::test]
async fn a_ledger_without_its_beginning_is_refused() {
    let store = memory();
    let ledger = open(&store, opening()).await.unwrap();
    enter(&ledger, 1, epoch(vec![task(0, None, 0..1)])).await;
    store.delete("entries/00000000000000000000.json").await.unwrap();
    let error = open(&store, opening()).await.err().unwrap();
    assert!(matches!(error, LedgerError::Beheaded { first: 1 }), "{error}");
}

#[tokio::test]
async fn a_state_location_that_is_deleted_under_a_worker_stops_it() {
    let store = memory();
    let ledger = open(&store, opening()).await.unwrap();
    enter(&ledger, 1, epoch(vec![task(0, None, 0..1)])).await;
    for number in 0..2 {
        store.delete(&format!("entries/{number:020}.json")).await.unwrap();
    }
    let next = Body::Epoch(epoch(vec![task(0, Some(1), 1..2)]));
    let error = ledger.append(proposal(2, next)).await.err().unwrap();
    assert!(matches!(error, LedgerError::Vanished { number: 1 }), "{error}");
}

#[tokio::test]
async fn a_torn_entry_and_a_newer_format_stop_the_pipeline() {
    let first = "entries/00000000000000000001.json";
    for (bytes, expected) in [
        (r#"{"format": 1, "ledg"#, "cannot be read"),
        (r#"{"format": 2, "what": "else"}"#, "has format 2"),
        (r#"{"format": 1, "ledger": 3}"#, "cannot be read"),
    ] {
        let store = memory();
        let ledger = open(&store, opening()).await.unwrap();
        store.put_if_absent(first, Bytes::from(bytes)).await.unwrap();
        let error = ledger.refresh().await.err().unwrap();
        assert!(!error.is_transient() && error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn an_entry_that_contradicts_the_ledger_stops_the_pipeline() {
    let store = memory();
    let ledger = open(&store, opening()).await.unwrap();
    enter(&ledger, 1, epoch(vec![task(0, None, 0..1)])).await;
    let mut entry = (*ledger.read(1..=1).await.unwrap()[0]).clone();
    (entry.number, entry.writer.epoch) = (2, 2);
    let bytes = serde_json::to_vec(&entry).unwrap();
    store.put_if_absent("entries/00000000000000000002.json", bytes.into()).await.unwrap();
    let error = ledger.refresh().await.err().unwrap();
    assert!(matches!(error, LedgerError::Contradiction { number: 2, .. }), "{error}");
}

#[tokio::test]
async fn an_epoch_older_than_half_the_grace_is_never_entered() {
    let ledger = open(&memory(), opening()).await.unwrap();
    let half = ledger.settings().grace.as_millis() as i64 / 2;
    let body = Body::Epoch(epoch(vec![task(0, None, 0..1)]));
    let opened_at_ms = SystemClock.now_ms() - half - 1_000;
    let old = Proposal { opened_at_ms, ..proposal(1, body) };
    assert_eq!(ledger.append(old).await.unwrap(), Appended::Expired);
    assert_eq!(ledger.state().number, 0);
}

/// A worker stands still with its put on the way, the ledger goes on, is snapshotted and swept, and then the
/// put gets the number that was freed. It must not take that for the ledger.
#[tokio::test]
async fn a_put_to_a_swept_number_is_not_in_the_ledger() {
    let store = memory();
    let ledger = open(&store, opening()).await.unwrap();
    let stale = open(&store, opening()).await.unwrap();
    let mut last = None;
    for attempt in 1..=6_u64 {
        let from = attempt as i64;
        last = Some(enter(&ledger, attempt, epoch(vec![task(0, last, from..from + 1)])).await);
    }
    ledger.snapshot_if_due().await.unwrap();
    for number in 0..6 {
        store.delete(&format!("entries/{number:020}.json")).await.unwrap();
    }
    let writer = Writer { incarnation: Uuid::from_u128(9), epoch: 1 };
    let body = Body::Epoch(epoch(vec![task(0, None, 1..100)]));
    let appended = stale.append(Proposal { writer, ..proposal(0, body) }).await.unwrap();
    assert!(matches!(appended, Appended::Lost(Verdict::Moved { .. })), "{appended:?}");
    assert_eq!(stale.state(), ledger.state());
    assert_eq!(stale.refresh().await.unwrap(), open(&store, opening()).await.unwrap().state());
}

#[tokio::test]
async fn old_entries_go_up_to_the_lowest_mark_and_the_newest_snapshot() {
    let store = memory();
    let settings = LedgerSettings { snapshot_every: 2, grace: std::time::Duration::ZERO, cached: 0 };
    let two = Opening { configuration: configuration("c0", &["bronze", "silver"]), ..opening() };
    let ledger = Ledger::open(store.clone(), Arc::new(SystemClock), settings, two).await.unwrap();
    for attempt in 1..=4 {
        let change =
            Configure { replaces: "c0".to_owned(), configuration: ledger.state().configuration.clone() };
        let future = SystemClock.now_ms() + 60_000;
        let appended =
            ledger.append(Proposal { opened_at_ms: future, ..proposal(attempt, Body::Configure(change)) });
        assert!(matches!(appended.await.unwrap(), Appended::Entered(_)));
    }
    let marks =
        |bronze, silver| BTreeMap::from([("bronze".to_owned(), bronze), ("silver".to_owned(), silver)]);
    assert_eq!(ledger.sweep_entries(&marks(4, 4)).await.unwrap(), 0, "there is no snapshot yet");
    ledger.snapshot_if_due().await.unwrap();
    // By the clock of the store, entries of this very millisecond are not old yet.
    while store.list("entries", "").await.unwrap().iter().any(|at| at.modified_at_ms >= SystemClock.now_ms())
    {
    }
    let bronze_alone = BTreeMap::from([("bronze".to_owned(), 4)]);
    assert_eq!(ledger.sweep_entries(&bronze_alone).await.unwrap(), 0, "where silver is, nobody says");
    assert_eq!(ledger.sweep_entries(&marks(4, 2)).await.unwrap(), 2);
    assert_eq!(ledger.sweep_entries(&marks(4, 9)).await.unwrap(), 2);
    assert_eq!(store.list("entries", "").await.unwrap().len(), 1);
    assert!(matches!(ledger.read(1..=2).await, Err(LedgerError::Gone { number: 1 })));
}

#[tokio::test]
async fn a_sweep_spares_what_is_entered_reached_or_young() {
    let ledger = open(&memory(), opening()).await.unwrap();
    let mut tasks = vec![task(0, None, 0..1)];
    tasks[0].state = vec![segment(StateKind::Base, "state/reached")];
    enter(&ledger, 1, epoch(tasks)).await;
    let grace = ledger.settings().grace;
    let now_ms = 10 * grace.as_millis() as i64;
    let file = |epoch, path: &str, age_ms: i64, holds| {
        let writer = Writer { incarnation: WORKER, epoch };
        FoundFile { path: path.to_owned(), writer, modified_at_ms: now_ms - age_ms, holds }
    };
    let old = grace.as_millis() as i64 + 1;
    let found = [
        file(1, "bronze/entered", old, Holds::Rows),
        file(1, "state/reached", old, Holds::State),
        file(1, "state/superseded", old, Holds::State),
        file(1, "state/superseded-just-now", old - 1, Holds::State),
        file(2, "bronze/young", old - 1, Holds::Rows),
        file(1, "silver/staged", old, Holds::Staged),
        file(1, "silver/staged-just-now", old - 1, Holds::Staged),
        file(3, "bronze/abandoned", old, Holds::Rows),
        file(3, "silver/abandoned", old, Holds::Rows),
    ];
    let entered = BTreeSet::from([Writer { incarnation: WORKER, epoch: 1 }]);
    for (unapplied, merged) in
        [(None, &found[..0]), (Some(&entered), &[]), (Some(&BTreeSet::new()), &found[5..6])]
    {
        let plan = plan_sweep(&ledger.state(), unapplied, &found, now_ms, grace);
        assert_eq!(plan.condemn, [Writer { incarnation: WORKER, epoch: 3 }]);
        assert_eq!(plan.delete, [&found[2..3], merged].concat(), "{unapplied:?}");
    }
}

#[test]
fn files_name_their_writers() {
    let name = format!("date=2026-11-21/{WORKER}-12-0.parquet");
    assert_eq!(writer_of(&name), Some(Writer { incarnation: WORKER, epoch: 12 }));
    for foreign in ["part-00000-x.parquet", "", "é", &format!("{WORKER}-x-0"), &format!("{WORKER}-1"), "a/"]
    {
        assert_eq!(writer_of(foreign), None, "{foreign}");
    }
}

#[tokio::test]
async fn what_was_seen_of_a_sink_only_grows() {
    let ledger = open(&memory(), opening()).await.unwrap();
    let seen = |mark, version| {
        let table = TableVersion { id: Some("t".to_owned()), version: Some(version) };
        BTreeMap::from([("bronze".to_owned(), SinkRecord { mark, table })])
    };
    enter(&ledger, 1, Epoch { seen: seen(5, 7), ..epoch(vec![]) }).await;
    enter(&ledger, 2, Epoch { seen: seen(4, 9), ..epoch(vec![]) }).await;
    assert_eq!(ledger.state().sinks["bronze"].record.as_ref(), seen(5, 7).get("bronze"));
}

/// Each configuration that was in force is remembered once, by the entry that put it in force last, and the oldest are
/// forgotten.
#[tokio::test]
async fn replaced_configurations_are_remembered() {
    let ledger = open(&memory(), opening()).await.unwrap();
    let mut attempt = 0;
    let mut configure = async |to: &str| {
        attempt += 1;
        let replaces = ledger.state().configuration.digest.clone();
        let body = Body::Configure(Configure { replaces, configuration: configuration(to, &[]) });
        let appended = ledger.append(proposal(attempt, body)).await.unwrap();
        assert!(matches!(appended, Appended::Entered(_)), "{appended:?}");
    };
    for to in ["c1", "c0", "c1"] {
        configure(to).await;
    }
    let remembered = || -> Vec<(u64, u64, String)> {
        let state = ledger.state();
        let replaced = state.replaced.iter();
        replaced.map(|was| (was.configured.entry, was.by, was.configuration.digest.clone())).collect()
    };
    assert_eq!(remembered(), [(2, 3, "c0".to_owned())], "`c1` is in force again");
    assert_eq!(ledger.state().configured.entry, 3);
    for to in 0..20 {
        configure(&format!("d{to}")).await;
    }
    assert_eq!(remembered().len(), REMEMBERED);
    assert_eq!(remembered().last().unwrap().2, "d18");
}
