//! Applying entries: one commit, once, whoever else is there.

use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use futures::future::join_all;

use super::*;
use crate::sink::conformance::Fault;
use crate::sink::{Applied, SinkApplier};

#[tokio::test]
async fn a_table_is_created_with_its_mark_in_one_commit_whoever_comes_first() {
    let place = Place::new();
    let mut appliers = join_all((0..4).map(|_| place.open())).await;
    let mut ids = Vec::new();
    for applier in &mut appliers {
        let applier = applier.as_mut().expect("opened");
        let mark = applier.mark().await.expect("a mark");
        assert_eq!((mark.number, mark.ledger), (3, place.ledger));
        ids.push(applier.table().id);
    }
    ids.dedup();
    assert_eq!(ids.len(), 1);
    assert!(!place.log_file(1).exists());
    let actions: Vec<_> = place
        .commit(0)
        .iter()
        .flat_map(|action| action.as_object().expect("an action").keys().cloned().collect::<Vec<_>>())
        .collect();
    assert_eq!(actions, ["commitInfo", "protocol", "metaData", "txn"]);
}

#[tokio::test]
async fn many_entries_are_one_commit_that_says_where_its_rows_come_from() {
    let place = Place::new();
    let mut applier = place.open().await.expect("opened");
    let entries = [place.entry(4, &rows(0, 10)).await, place.entry(6, &rows(10, 15)).await];
    assert_eq!(applier.apply(&entries, 7).await.expect("applied"), Applied::Done);
    assert_eq!(applier.mark().await.expect("a mark").number, 7);
    let view = place.view().await;
    assert_eq!((view.version, view.rows, view.files.len()), (1, 15, 2));
    assert_eq!(view.mark, Some(crate::sink::SinkMark { number: 7, ledger: place.ledger }));
    let info = &place.commit(1)[0]["commitInfo"];
    assert_eq!(info["sluicebox"]["entries"], json!([4, 6]));
    assert_eq!(info["sluicebox"]["ledger"], json!(place.ledger));
    assert_eq!(info["operation"], "STREAMING UPDATE");

    assert_eq!(applier.apply(&[], 9).await.expect("a mark alone"), Applied::Done);
    assert_eq!(place.view().await.mark.expect("a mark").number, 9);
    assert_eq!(
        applier.apply(&entries, 7).await.expect("expected"),
        Applied::Busy,
        "these entries are in already"
    );
    let mut reopened = place.open().await.expect("opened again");
    assert_eq!(reopened.mark().await.expect("a mark").number, 9);
}

#[tokio::test]
async fn a_stale_applier_loses_by_its_mark() {
    let place = Place::new();
    let (mut first, mut second) = (place.open().await.expect("opened"), place.open().await.expect("opened"));
    let entries = [place.entry(4, &rows(0, 10)).await];
    assert_eq!(first.apply(&entries, 4).await.expect("applied"), Applied::Done);
    assert_eq!(second.apply(&entries, 4).await.expect("expected"), Applied::Busy);
    assert_eq!(second.mark().await.expect("a mark").number, 4);
    assert_eq!(second.apply(&entries, 4).await.expect("expected"), Applied::Busy);
    assert_eq!(place.view().await.rows, 10);
}

#[tokio::test]
async fn a_lost_response_is_found_out_by_the_mark() {
    for (fault, mark_after) in [(Fault::AfterEffect, 4), (Fault::BeforeEffect, 3)] {
        let store = FaultyStore::new();
        let place = Place::with_store(store.clone());
        let mut applier = place.open().await.expect("opened");
        let entries = [place.entry(4, &rows(0, 10)).await];
        store.fail_next("00001.json", fault);
        let lost = applier.apply(&entries, 4).await;
        assert!(matches!(lost, Err(SinkError::Unavailable(_))), "{lost:?}");
        assert_eq!(applier.mark().await.expect("a mark").number, mark_after);
        if mark_after == 3 {
            assert_eq!(applier.apply(&entries, 4).await.expect("applied"), Applied::Done);
        }
        assert_eq!(place.view().await.rows, 10);
    }
}

#[tokio::test]
async fn a_commit_whose_checkpoint_fails_is_still_a_commit() {
    let store = FaultyStore::new();
    let place = Place { checkpoint_interval: 2, ..Place::with_store(store.clone()) };
    let mut applier = place.open().await.expect("opened");
    let checkpoint = |version: u64| place.log_file(version).with_extension("checkpoint.parquet");
    store.fail_next("checkpoint.parquet", Fault::BeforeEffect);
    for number in 4..8 {
        let entries = [place.entry(number, &rows(0, 10)).await];
        assert_eq!(applier.apply(&entries, number).await.expect("applied"), Applied::Done);
        assert_eq!(applier.mark().await.expect("a mark").number, number);
    }
    assert!(store.is_spent());
    assert!(!checkpoint(2).exists() && !checkpoint(3).exists());
    assert!(checkpoint(4).exists());
    std::fs::remove_file(place.log_file(0)).expect("the log is cleaned up");
    assert_eq!(
        place.open().await.expect("opened from the checkpoint").mark().await.expect("a mark").number,
        7
    );
    assert_eq!(place.view().await.rows, 40);
}

#[tokio::test]
async fn a_schema_grows_in_the_commit_that_needs_it() {
    let place = Place::new();
    let mut applier = place.open().await.expect("opened");
    let wide = |last: Field| {
        let fields =
            vec![Field::new("id", DataType::Int64, true), Field::new("name", DataType::Utf8, true), last];
        let batch = rows(0, 2);
        let column = arrow::array::new_null_array(fields[2].data_type(), 2);
        let columns = vec![batch.column(0).clone(), batch.column(1).clone(), column];
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("rows")
    };
    let entries = [
        place.entry(4, &rows(2, 4)).await,
        place.entry(5, &wide(Field::new("extra", DataType::Int16, true))).await,
    ];
    assert_eq!(applier.apply(&entries, 5).await.expect("applied"), Applied::Done);
    let view = place.view().await;
    assert_eq!(view.version, 1);
    assert_eq!(view.columns[2], ("extra".to_owned(), "short".to_owned()));
    assert_eq!(view.sample.num_rows(), 4);
    assert!(place.commit(1).iter().any(|action| action.get("metaData").is_some()));

    let entries = [place.entry(6, &wide(Field::new("extra", DataType::Utf8, true))).await];
    let text = refusal(applier.apply(&entries, 6).await);
    assert!(text.contains("`extra`") && text.contains("cast it"), "{text}");
}

#[tokio::test]
async fn others_may_append_delete_update_and_rewrite() {
    let place = Place::new();
    let mut applier = place.open().await.expect("opened");
    let first = place.entry(4, &rows(0, 10)).await;
    assert_eq!(applier.apply(std::slice::from_ref(&first), 4).await.expect("applied"), Applied::Done);
    let second = [place.entry(5, &rows(10, 20)).await];
    place.foreign(&[info("DELETE", ""), place.remove_of(&first)]).await;
    assert_eq!(applier.apply(&second, 5).await.expect("expected"), Applied::Busy);
    assert_eq!(applier.mark().await.expect("a mark").number, 4);
    for operation in ["UPDATE", "OPTIMIZE", "MERGE", "WRITE"] {
        place.foreign(&[info(operation, "Append"), json!({"somethingNew": {"a": 1}})]).await;
    }
    assert_eq!(applier.mark().await.expect("a mark").number, 4);
    assert_eq!(applier.apply(&second, 5).await.expect("applied"), Applied::Done);
    let actions: Vec<_> = place.commit(7);
    assert!(actions.iter().any(|action| action["txn"]["version"] == 5));
}

#[tokio::test]
async fn the_log_may_be_cleaned_up_behind_us() {
    let place = Place::new();
    let mut sleeper = place.open().await.expect("opened");
    let mut applier = Place { checkpoint_interval: 5, ..place }.open_beside().await;
    for number in 4..9 {
        let entries = [applier.1.entry(number, &rows(0, 1)).await];
        applier.0.apply(&entries, number).await.expect("applied");
    }
    for version in 0..5 {
        std::fs::remove_file(applier.1.log_file(version)).expect("a commit is removed");
    }
    assert_eq!(sleeper.mark().await.expect("a mark").number, 8);
    let entries = [applier.1.entry(9, &rows(0, 1)).await];
    assert_eq!(sleeper.apply(&entries, 9).await.expect("applied"), Applied::Done);
    assert_eq!(applier.1.view().await.rows, 6);
}

impl Place {
    async fn open_beside(self) -> (DeltaApplier, Self) {
        (self.open().await.expect("opened"), self)
    }
}

/// Commits do not slow down with the length of the log: checkpoints included, the last fifty of 400 take about
/// as long as the first fifty.
#[tokio::test(flavor = "multi_thread")]
async fn commits_stay_as_fast_as_the_log_grows() {
    let place = Place::new();
    let mut applier = place.open().await.expect("opened");
    let template = place.entry(4, &rows(0, 10)).await;
    let Body::Epoch(epoch) = &template.body else { panic!("not an epoch") };
    let mut times = Vec::new();
    for number in 4..404 {
        let mut part = epoch.sinks[SINK].clone();
        part.files[0].path = format!("{number}.parquet");
        let entry = place.entry_of(number, template.writer, part);
        let start = Instant::now();
        assert_eq!(applier.mark().await.expect("a mark").number, number - 1);
        assert_eq!(applier.apply(&[entry], number).await.expect("applied"), Applied::Done);
        times.push(start.elapsed());
    }
    // The quickest of fifty is what a commit takes; the rest is what else the machine does.
    let quickest = |times: &[Duration]| times.iter().min().copied().expect("fifty times");
    let (first, last) = (quickest(&times[..50]), quickest(&times[350..]));
    assert!(last < first * 2 + Duration::from_millis(1), "first {first:?}, last {last:?}");
    assert!(place.log_file(400).with_extension("checkpoint.parquet").exists());
}

#[tokio::test]
async fn values_that_are_awkward_in_paths_come_back_whole() {
    let place = Place { partition_by: vec!["name".to_owned()], ..Place::new() };
    let mut applier = place.open().await.expect("opened");
    let names = StringArray::from(vec![Some("a/b=c %20é"), None, Some("plain")]);
    let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(vec![1, 2, 3])), Arc::new(names)];
    let batch = RecordBatch::try_new(schema(), columns).expect("rows");
    let entries = [place.entry(4, &batch).await];
    assert_eq!(applier.apply(&entries, 4).await.expect("applied"), Applied::Done);
    let view = place.view().await;
    assert_eq!((view.rows, view.files.len(), view.partition_columns), (3, 3, vec!["name".to_owned()]));
    let mut found: Vec<_> = (0..3)
        .map(|row| {
            let name = view.sample.column(1).as_string::<i32>();
            (
                view.sample.column(0).as_primitive::<Int64Type>().value(row),
                (!name.is_null_at(row)).then(|| name.value(row)),
            )
        })
        .collect();
    found.sort();
    assert_eq!(found, [(1, Some("a/b=c %20é")), (2, None), (3, Some("plain"))]);
}

trait NullAt {
    fn is_null_at(&self, row: usize) -> bool;
}

impl NullAt for StringArray {
    fn is_null_at(&self, row: usize) -> bool {
        arrow::array::Array::is_null(self, row)
    }
}
