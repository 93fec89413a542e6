//! The applier against a sink in memory that fails, or that somebody tampered with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use object_store::memory::InMemory;
use object_store::path::Path;
use uuid::Uuid;

use super::applier::{ApplyBounds, ApplyError, apply_sink};
use crate::clock::{Clock, Pauses, SystemClock};
use crate::ledger::bucket::BucketEntries;
use crate::ledger::entry::{
    Body, Configuration, DataFile, Entry, EntryNumber, Epoch, SinkEntry, SinkRecord, TableVersion, Writer,
};
use crate::ledger::{Appended, Ledger, LedgerSettings, Opening, Proposal};
use crate::sink::{Applied, SinkApplier, SinkError, SinkMark};

const LEDGER: Uuid = Uuid::from_u128(1);

/// What the sink answers to the next calls of `apply`; `Ok(Done)` once it is empty.
#[derive(Default)]
struct Sink {
    ledger: Uuid,
    mark: EntryNumber,
    commits: Vec<(Vec<EntryNumber>, EntryNumber)>,
    answers: Vec<Answer>,
    /// How long a commit takes, for each of its entries.
    pace: Duration,
    told: Option<SinkRecord>,
}

enum Answer {
    Busy,
    Fails,
    CommitsAndFails,
}

#[async_trait]
impl SinkApplier for Sink {
    fn recorded(&mut self, record: &SinkRecord) {
        self.told = Some(record.clone());
    }

    async fn mark(&mut self) -> Result<SinkMark, SinkError> {
        Ok(SinkMark { number: self.mark, ledger: self.ledger })
    }

    async fn apply(&mut self, entries: &[Arc<Entry>], to: EntryNumber) -> Result<Applied, SinkError> {
        tokio::time::sleep(self.pace * entries.len() as u32).await;
        let answer = self.answers.pop();
        if matches!(answer, None | Some(Answer::CommitsAndFails)) {
            self.commits.push((entries.iter().map(|entry| entry.number).collect(), to));
            self.mark = to;
        }
        match answer {
            None => Ok(Applied::Done),
            Some(Answer::Busy) => Ok(Applied::Busy),
            Some(_) => Err(SinkError::Unavailable("no answer".to_owned())),
        }
    }
}

fn sink() -> Sink {
    Sink { ledger: LEDGER, ..Sink::default() }
}

fn bounds() -> ApplyBounds {
    let pauses = Pauses { first: Duration::ZERO, longest: Duration::ZERO };
    ApplyBounds { attempts: 3, mark_every: 100, pauses, ..ApplyBounds::default() }
}

/// A ledger with one entry for each number of rows that the sink `bronze` gets; 0 is an entry without it.
async fn ledger(rows: &[u64]) -> Ledger {
    let store = BucketEntries::new(Arc::new(InMemory::new()), Path::from("ledger"));
    let configuration = Configuration {
        digest: "c0".to_owned(),
        layers: BTreeMap::new(),
        sinks: vec!["bronze".to_owned()],
        plugins: Vec::new(),
    };
    let opening = Opening {
        pipeline: "meters".to_owned(),
        configuration,
        incarnation: Uuid::from_u128(2),
        new_id: LEDGER,
        known: None,
    };
    let settings = LedgerSettings::default();
    let ledger = Ledger::open(Arc::new(store), Arc::new(SystemClock), settings, opening).await.unwrap();
    for rows in rows {
        enter(&ledger, *rows, BTreeMap::new()).await;
    }
    ledger
}

async fn enter(ledger: &Ledger, rows: u64, seen: BTreeMap<String, SinkRecord>) {
    let file = DataFile {
        path: "file".to_owned(),
        size: 10 * rows,
        rows,
        modified_at_ms: 0,
        partition_values: Vec::new(),
        stats: None,
    };
    let part = SinkEntry { files: vec![file], schema: None };
    let sinks = if rows > 0 { BTreeMap::from([("bronze".to_owned(), part)]) } else { BTreeMap::new() };
    let (configuration, schema_version) = ("c0".to_owned(), 0);
    let body = Body::Epoch(Epoch {
        configuration,
        schema_version,
        proposes_schema: None,
        tasks: Vec::new(),
        sinks,
        seen,
        references: BTreeMap::new(),
    });
    let writer = Writer { incarnation: Uuid::from_u128(2), epoch: ledger.state().number + 1 };
    let proposal = Proposal { writer, opened_at_ms: SystemClock.now_ms(), body };
    assert!(matches!(ledger.append(proposal).await.unwrap(), Appended::Entered(_)));
}

#[tokio::test]
async fn all_that_is_missing_goes_into_one_commit() {
    let (ledger, mut sink) = (ledger(&[3, 0, 2, 0]).await, sink());
    let progress = apply_sink(&ledger, "bronze", &mut sink, &bounds()).await.unwrap();
    assert_eq!(sink.commits, [(vec![1, 3], 4)]);
    assert_eq!((progress.record.mark, progress.effective, progress.commits, progress.rows), (4, 4, 1, 5));
    apply_sink(&ledger, "bronze", &mut sink, &bounds()).await.unwrap();
    assert_eq!(sink.commits.len(), 1, "nothing is missing, nothing is committed");
}

#[tokio::test]
async fn commits_are_bounded_and_hold_at_least_one_entry() {
    for (bounds, expected) in [
        (ApplyBounds { entries: 2, ..bounds() }, vec![(vec![1, 2], 3), (vec![4, 5], 5)]),
        (ApplyBounds { rows: 7, ..bounds() }, vec![(vec![1], 1), (vec![2], 3), (vec![4, 5], 5)]),
        (ApplyBounds { bytes: 0, ..bounds() }, vec![(vec![1], 1), (vec![2], 3), (vec![4], 4), (vec![5], 5)]),
    ] {
        let (ledger, mut sink) = (ledger(&[3, 9, 0, 2, 5]).await, sink());
        apply_sink(&ledger, "bronze", &mut sink, &bounds).await.unwrap();
        assert_eq!(sink.commits, expected);
    }
}

#[tokio::test]
async fn a_commit_that_fails_is_tried_again_with_half_as_many_entries() {
    let (ledger, mut sink) = (ledger(&[1; 8]).await, sink());
    sink.answers = vec![Answer::Fails, Answer::Fails];
    apply_sink(&ledger, "bronze", &mut sink, &bounds()).await.unwrap();
    assert_eq!(sink.commits, [(vec![1, 2], 2), (vec![3, 4, 5, 6], 6), (vec![7, 8], 8)]);
}

#[tokio::test]
async fn a_commit_that_takes_too_long_gets_smaller_and_a_single_entry_takes_as_long_as_it_needs() {
    let bounds = ApplyBounds { time: Duration::from_millis(100), ..bounds() };
    for (pace, expected) in
        [(40, vec![(vec![1, 2], 2), (vec![3, 4], 4)]), (150, vec![(vec![1], 1), (vec![2], 2)])]
    {
        let (ledger, mut sink) =
            (ledger(&[1; 4]).await, Sink { pace: Duration::from_millis(pace), ..sink() });
        let first = apply_sink(&ledger, "bronze", &mut sink, &bounds).await.unwrap();
        assert_eq!((first.commits, first.effective), (1, expected[0].1), "the rest is for the next call");
        apply_sink(&ledger, "bronze", &mut sink, &bounds).await.unwrap();
        assert_eq!(sink.commits, expected);
    }
}

#[tokio::test]
async fn entries_without_rows_cost_a_commit_only_now_and_then() {
    let (ledger, mut sink) = (ledger(&[0, 0, 0]).await, sink());
    let progress = apply_sink(&ledger, "bronze", &mut sink, &bounds()).await.unwrap();
    assert_eq!((progress.effective, progress.record.mark, sink.commits.len()), (3, 0, 0));
    let often = ApplyBounds { mark_every: 3, ..bounds() };
    apply_sink(&ledger, "bronze", &mut sink, &often).await.unwrap();
    assert_eq!(sink.commits, [(vec![], 3)]);
}

#[tokio::test]
async fn a_commit_that_was_reported_as_failed_is_not_repeated() {
    let (ledger, mut sink) = (ledger(&[3]).await, sink());
    sink.answers = vec![Answer::CommitsAndFails, Answer::Busy];
    let progress = apply_sink(&ledger, "bronze", &mut sink, &bounds()).await.unwrap();
    assert_eq!(sink.commits, [(vec![1], 1)]);
    assert_eq!(progress.record.mark, 1);
}

#[tokio::test]
async fn a_sink_that_keeps_failing_is_left_for_now() {
    let (ledger, mut sink) = (ledger(&[3]).await, sink());
    sink.answers = vec![Answer::Fails, Answer::Busy, Answer::Fails];
    let error = apply_sink(&ledger, "bronze", &mut sink, &bounds()).await.unwrap_err();
    assert!(matches!(&error, ApplyError::GaveUp { attempts: 3, .. }) && error.is_transient(), "{error}");
    apply_sink(&ledger, "bronze", &mut sink, &bounds()).await.unwrap();
    assert_eq!(sink.commits, [(vec![1], 1)]);
}

#[tokio::test]
async fn a_mark_of_another_ledger_stops_the_pipeline() {
    let (ledger, mut sink) = (ledger(&[3]).await, Sink { ledger: Uuid::from_u128(5), ..sink() });
    let error = apply_sink(&ledger, "bronze", &mut sink, &bounds()).await.unwrap_err();
    assert!(matches!(error, ApplyError::OtherLedger { .. }) && !error.is_transient());
}

#[tokio::test]
async fn a_mark_above_the_tail_stops_the_pipeline() {
    let (ledger, mut sink) = (ledger(&[3]).await, Sink { mark: 2, ..sink() });
    let error = apply_sink(&ledger, "bronze", &mut sink, &bounds()).await.unwrap_err();
    assert!(matches!(error, ApplyError::AboveTail { mark: 2, tail: 1, .. }), "{error}");
}

#[tokio::test]
async fn a_mark_below_the_record_stops_the_pipeline_and_the_sink_is_told_the_record() {
    let (ledger, mut sink) = (ledger(&[3, 2]).await, sink());
    let record = SinkRecord { mark: 2, table: TableVersion { id: Some("t".to_owned()), version: Some(4) } };
    enter(&ledger, 0, BTreeMap::from([("bronze".to_owned(), record.clone())])).await;
    sink.mark = 1;
    let error = apply_sink(&ledger, "bronze", &mut sink, &bounds()).await.unwrap_err();
    assert!(matches!(error, ApplyError::WentBack { mark: 1, recorded: 2, .. }), "{error}");
    assert_eq!(sink.told, Some(record));
    assert!(sink.commits.is_empty());
}

#[tokio::test]
async fn a_sink_that_the_configuration_does_not_have_is_not_touched() {
    let (ledger, mut sink) = (ledger(&[3]).await, sink());
    let error = apply_sink(&ledger, "gone", &mut sink, &bounds()).await.unwrap_err();
    assert!(matches!(error, ApplyError::Removed { .. }), "{error}");
}
