//! Tables kept by key: which row wins, which files are rewritten, what commits say.

use arrow::array::{
    AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array, TimestampMicrosecondArray,
};
use arrow::compute::{concat_batches, sort_to_indices, take_record_batch};
use arrow::datatypes::Int64Type;
use arrow::util::pretty::pretty_format_batches;
use deltalake_core::kernel::{DataType as DeltaType, StructField};

use super::*;
use crate::sink::{Applied, SinkApplier};

pub(super) fn key(columns: &[&str], order_by: &str) -> Mode {
    let columns = columns.iter().map(|&column| column.to_owned()).collect();
    Mode::Upsert(RowKey { columns, order_by: order_by.to_owned() })
}

/// `id` is the key, `at` the order.
pub(super) fn keyed_schema() -> SchemaRef {
    let fields = [("id", DataType::Int64), ("at", DataType::Int64), ("note", DataType::Utf8)];
    Arc::new(Schema::new(fields.map(|(name, of)| Field::new(name, of, true)).to_vec()))
}

pub(super) fn keyed(rows: &[(i64, i64, &str)]) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.2))),
    ];
    RecordBatch::try_new(keyed_schema(), columns).expect("rows")
}

pub(super) fn keyed_place(store: Arc<dyn ObjectStore>) -> Place {
    Place { rows: keyed_schema(), mode: key(&["id"], "at"), ..Place::with_store(store) }
}

/// The rows by `id`, as `id note`.
pub(super) async fn notes(place: &Place) -> Vec<String> {
    let rows = place.view().await.sample;
    let (ids, notes) = (rows["id"].as_primitive::<Int64Type>(), rows["note"].as_string::<i32>());
    let mut found: Vec<_> = (0..rows.num_rows()).map(|row| (ids.value(row), notes.value(row))).collect();
    found.sort_unstable();
    found.into_iter().map(|(id, note)| format!("{id} {note}")).collect()
}

/// Applies one entry, and says what its commit did: paths removed, paths added.
async fn applied(place: &Place, applier: &mut DeltaApplier, entry: Arc<Entry>) -> (Vec<String>, Vec<String>) {
    let number = entry.number;
    applier.mark().await.expect("a mark");
    assert_eq!(applier.apply(&[entry], number).await.expect("applied"), Applied::Done);
    let commit = place.commit(applier.table().version.expect("a version"));
    let paths = |action: &str| {
        commit.iter().filter_map(|line| Some(line.get(action)?["path"].as_str()?.to_owned())).collect()
    };
    (paths("remove"), paths("add"))
}

#[tokio::test]
async fn the_row_with_the_largest_order_wins_then_the_later_entry_then_the_later_place() {
    let place = keyed_place(Arc::new(DurableLocal::new()));
    let mut applier = place.open().await.expect("opened");
    let writer = Writer { incarnation: Uuid::new_v4(), epoch: 1 };
    let mut files = place.files(writer, 0, &keyed(&[(1, 5, "a"), (1, 5, "later place"), (2, 9, "b")])).await;
    files.extend(place.files(writer, 1, &keyed(&[(2, 9, "later file"), (3, 7, "largest")])).await);
    let entries = [
        place.entry_of(4, writer, SinkEntry { files, schema: None }),
        place.entry(6, &keyed(&[(3, 6, "late"), (4, 1, "first"), (5, 3, "x")])).await,
        place.entry(7, &keyed(&[(4, 1, "later entry")])).await,
    ];
    assert_eq!(applier.apply(&entries, 8).await.expect("applied"), Applied::Done);
    assert_eq!(notes(&place).await, ["1 later place", "2 later file", "3 largest", "4 later entry", "5 x"]);
    assert_eq!(place.view().await.mark.expect("a mark").number, 8);

    let more = keyed(&[(1, 5, "equal"), (2, 8, "older"), (3, 8, "newer"), (6, 1, "new")]);
    let (removed, added) = applied(&place, &mut applier, place.entry(9, &more).await).await;
    assert_eq!(notes(&place).await, ["1 equal", "2 later file", "3 newer", "4 later entry", "5 x", "6 new"]);
    assert_eq!((removed.len(), added.len()), (1, 1));
}

#[tokio::test]
async fn a_commit_says_what_it_merged() {
    let place = keyed_place(Arc::new(DurableLocal::new()));
    let mut applier = place.open().await.expect("opened");
    applied(&place, &mut applier, place.entry(4, &keyed(&[(1, 5, "a"), (2, 5, "b"), (3, 5, "c")])).await)
        .await;
    let more = keyed(&[(2, 4, "old"), (3, 6, "new"), (3, 5, "superseded"), (4, 0, "inserted")]);
    let (removed, added) = applied(&place, &mut applier, place.entry(5, &more).await).await;
    let commit = place.commit(2);
    let info = &commit[0]["commitInfo"];
    assert_eq!((&info["operation"], &info["isBlindAppend"]), (&json!("MERGE"), &json!(false)));
    assert_eq!(info["operationParameters"]["predicate"], "target.id = source.id");
    assert_eq!(info["sluicebox"]["entries"], json!([5]));
    let expected = [
        ("numSourceRows", "4"),
        ("numSourceRowsSuperseded", "1"),
        ("numSourceRowsOutdated", "1"),
        ("numTargetRowsInserted", "1"),
        ("numTargetRowsUpdated", "1"),
        ("numTargetRowsCopied", "2"),
        ("numTargetFilesRemoved", "1"),
        ("numTargetFilesAdded", "1"),
        ("numOutputRows", "4"),
    ];
    for (metric, value) in expected {
        assert_eq!(info["operationMetrics"][metric], value, "{metric}");
    }
    let line = |action: &str| commit.iter().find_map(|line| line.get(action)).expect("an action").clone();
    assert_eq!(
        (line("remove")["dataChange"].clone(), line("add")["dataChange"].clone()),
        (true.into(), true.into())
    );
    assert_eq!(line("txn")["version"], 5);
    assert!(added[0].starts_with("merged-") && removed[0].starts_with("merged-"), "{removed:?} {added:?}");
}

/// Rows that are all older than the table's change nothing but the mark, or they would be merged for ever. And a
/// mark alone reads nothing, not even a file of which nothing is known.
#[tokio::test]
async fn a_merge_without_effect_commits_its_mark_alone() {
    let store = FaultyStore::new();
    let place = keyed_place(store.clone());
    let mut applier = place.open().await.expect("opened");
    applied(&place, &mut applier, place.entry(4, &keyed(&[(1, 5, "a"), (2, 5, "b")])).await).await;
    let mut add = place.commit(1).into_iter().find(|line| line.get("add").is_some()).expect("a file");
    add["add"]["stats"] = Value::Null;
    place.foreign(&[info("COMPUTE STATS", ""), add]).await;
    let (removed, added) =
        applied(&place, &mut applier, place.entry(5, &keyed(&[(1, 4, "x"), (2, 3, "y")])).await).await;
    assert_eq!((removed.len(), added.len()), (0, 0));
    store.take_read();
    assert_eq!(applier.apply(&[], 7).await.expect("a mark alone"), Applied::Done);
    assert!(!store.take_read().iter().any(|path| path.contains("merged-")));
    assert_eq!(applier.mark().await.expect("a mark").number, 7);
    assert_eq!(notes(&place).await, ["1 a", "2 b"]);
}

/// Statistics keep files from being read, and what is read and not matched is not rewritten.
#[tokio::test]
async fn only_files_that_hold_a_key_are_rewritten_and_only_those_that_may_are_read() {
    let store = FaultyStore::new();
    let place = keyed_place(store.clone());
    let mut applier = place.open().await.expect("opened");
    let mut paths = Vec::new();
    for (number, ids) in [(4, [1, 9]), (5, [10, 19]), (6, [20, 29])] {
        let rows = keyed(&ids.map(|id| (id, 5, "first")));
        paths.extend(applied(&place, &mut applier, place.entry(number, &rows).await).await.1);
    }
    let entry = place.entry(7, &keyed(&[(3, 9, "between"), (10, 9, "second"), (40, 9, "beyond")])).await;
    store.take_read();
    let (removed, _) = applied(&place, &mut applier, entry).await;
    let read = store.take_read();
    let was_read = |path: &String| read.iter().any(|read| read.ends_with(path.as_str()));
    assert_eq!(removed, [paths[1].clone()]);
    assert_eq!(paths.iter().map(was_read).collect::<Vec<_>>(), [true, true, false]);
    assert_eq!(notes(&place).await.len(), 8);
}

#[tokio::test]
async fn a_partition_column_in_the_key_keeps_other_partitions_from_being_read() {
    let store = FaultyStore::new();
    let place = Place {
        mode: key(&["id", "note"], "at"),
        partition_by: vec!["note".to_owned()],
        ..keyed_place(store.clone())
    };
    let mut applier = place.open().await.expect("opened");
    let rows = keyed(&[(1, 5, "a b/c"), (1, 5, "b"), (1, 5, "c"), (2, 5, "c")]);
    let (_, paths) = applied(&place, &mut applier, place.entry(4, &rows).await).await;
    assert_eq!(paths.len(), 3);
    let entry = place.entry(5, &keyed(&[(1, 6, "a b/c"), (2, 6, "c"), (3, 1, "d")])).await;
    store.take_read();
    let (removed, added) = applied(&place, &mut applier, entry).await;
    let read = store.take_read();
    assert_eq!((removed.len(), added.len()), (2, 3));
    assert!(!read.iter().any(|path| path.contains("note=b/")), "{read:?}");
    assert_eq!(notes(&place).await, ["1 a b/c", "1 b", "1 c", "2 c", "3 d"]);
    assert_eq!(place.open().await.expect("opened again").mark().await.expect("a mark").number, 5);
}

/// Where the partition is no part of the key, a row moves to where its newest version belongs.
#[tokio::test]
async fn a_row_moves_between_partitions() {
    let place = Place { partition_by: vec!["note".to_owned()], ..keyed_place(Arc::new(DurableLocal::new())) };
    let mut applier = place.open().await.expect("opened");
    applied(&place, &mut applier, place.entry(4, &keyed(&[(1, 5, "x"), (2, 5, "x"), (3, 5, "y")])).await)
        .await;
    let (removed, added) =
        applied(&place, &mut applier, place.entry(5, &keyed(&[(1, 6, "y"), (3, 4, "x")])).await).await;
    assert_eq!(notes(&place).await, ["1 y", "2 x", "3 y"]);
    assert_eq!((removed.len(), added.len()), (1, 2));
    assert!(removed[0].starts_with("note=x/"), "{removed:?}");
}

#[tokio::test]
async fn the_schema_grows_and_old_rows_are_copied_into_it() {
    let place = keyed_place(Arc::new(DurableLocal::new()));
    let mut applier = place.open().await.expect("opened");
    applied(&place, &mut applier, place.entry(4, &keyed(&[(1, 5, "a"), (2, 5, "b")])).await).await;
    let wide = with_column(&keyed(&[(2, 6, "c")]), "more");
    let older = place.entry(5, &keyed(&[(3, 1, "d")])).await;
    let entries = [older, place.entry(6, &wide).await];
    assert_eq!(applier.apply(&entries, 6).await.expect("applied"), Applied::Done);
    assert!(place.commit(2).iter().any(|line| line.get("metaData").is_some()));
    let rows = place.view().await.sample;
    let rows =
        take_record_batch(&rows, &sort_to_indices(&rows["id"], None, None).expect("sorted")).expect("rows");
    let text = pretty_format_batches(&[rows]).expect("a table").to_string();
    let cells: Vec<Vec<&str>> = text
        .lines()
        .skip(3)
        .filter(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert_eq!(cells, [["1", "5", "a", ""], ["2", "6", "c", "new"], ["3", "1", "d", ""]]);

    // An outdated row brings no column with it: the table is as it was.
    let outdated = with_column(&keyed(&[(1, 0, "old")]), "other");
    applied(&place, &mut applier, place.entry(7, &outdated).await).await;
    assert_eq!(place.view().await.columns.len(), 4);
}

/// The rows with one more column, of `new`.
fn with_column(rows: &RecordBatch, name: &str) -> RecordBatch {
    let mut fields = rows.schema().fields().to_vec();
    fields.push(Arc::new(Field::new(name, DataType::Utf8, true)));
    let column: ArrayRef = Arc::new(StringArray::from(vec!["new"; rows.num_rows()]));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), [rows.columns(), &[column]].concat()).expect("rows")
}

/// In a table of others keys may come twice, or be null, and files may lack what the rows have. What is newest of
/// a key stays; what has no key stays as it is.
#[tokio::test]
async fn a_table_of_others_comes_to_one_row_for_each_key_that_is_written() {
    let place = keyed_place(Arc::new(DurableLocal::new()));
    let table = DeltaTable::new(place.storage().log_store);
    let columns = [("id", DeltaType::LONG), ("theirs", DeltaType::DATE), ("at", DeltaType::LONG)];
    table
        .create()
        .with_columns(columns.map(|(name, of)| StructField::nullable(name, of)))
        .await
        .expect("created");
    let ids = Int64Array::from(vec![Some(1), Some(1), Some(2), None, Some(3), Some(4)]);
    let ats = Int64Array::from(vec![Some(1), Some(5), Some(1), Some(1), None, Some(1)]);
    let days = Date32Array::from(vec![Some(7); 6]);
    let theirs = RecordBatch::try_from_iter([
        ("id", Arc::new(ids) as ArrayRef),
        ("theirs", Arc::new(days)),
        ("at", Arc::new(ats)),
    ])
    .expect("rows");
    let appending = Place { mode: Mode::Append, ..keyed_place(place.store.clone()) };
    let writer = Writer { incarnation: Uuid::new_v4(), epoch: 1 };
    let appending = Place { folder: place.folder, ..appending };
    let files = appending.files(writer, 0, &theirs).await;
    let add = serde_json::to_value(super::super::actions::add(&files[0])).expect("JSON");
    appending.foreign(&[info("WRITE", "Append"), add]).await;
    let place = Place { mode: key(&["id"], "at"), ..appending };

    let mut applier = place.open().await.expect("adopted");
    let rows = keyed(&[
        (1, 3, "outdated"),
        (2, 3, "newer"),
        (3, 0, "in place of a row without order"),
        (5, 1, "new"),
    ]);
    applied(&place, &mut applier, place.entry(4, &rows).await).await;
    let rows = place.view().await.sample;
    let (ids, ats) = (rows["id"].as_primitive::<Int64Type>(), rows["at"].as_primitive::<Int64Type>());
    let mut found: Vec<_> = ids.iter().zip(ats.iter()).collect();
    found.sort_unstable();
    let expected = [(None, 1), (Some(1), 5), (Some(2), 3), (Some(3), 0), (Some(4), 1), (Some(5), 1)];
    assert_eq!(found, expected.map(|(id, at)| (id, Some(at))));
    assert_eq!(rows["theirs"].null_count(), 3, "what was copied kept its columns");
}

/// Every type that a key may have: two rows of neighbouring values are two, and each is found again by statistics.
#[tokio::test]
async fn keys_of_every_type_find_their_rows() {
    let micros = |values: [i64; 3]| TimestampMicrosecondArray::from(values.to_vec()).with_timezone("UTC");
    let decimals = |precision, values: [i128; 3]| {
        let values = Decimal128Array::from(values.to_vec());
        Arc::new(values.with_precision_and_scale(precision, 2).expect("decimals")) as ArrayRef
    };
    let big = 10i128.pow(29);
    let keys: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec!["", "\u{10ffff}".repeat(60).as_str(), "é"])),
        Arc::new(arrow::array::Int8Array::from(vec![-1, 0, i8::MIN])),
        Arc::new(Int64Array::from(vec![i64::MIN, i64::MAX, 9_007_199_254_740_993])),
        Arc::new(arrow::array::UInt64Array::from(vec![u64::MAX, u64::MAX - 1, 0])),
        Arc::new(Date32Array::from(vec![-1, 0, 20_000])),
        Arc::new(micros([1_700_000_000_000_001, 1_700_000_000_000_999, -1])),
        decimals(9, [-1, 5, 1005]),
        decimals(38, [big, big + 1, -big]),
        Arc::new(BinaryArray::from(vec![&b""[..], b"\0", b"\xff"])),
    ];
    for keys in keys {
        every_key_is_found(keys, 3).await;
    }
    every_key_is_found(Arc::new(BooleanArray::from(vec![true, false])), 2).await;
}

async fn every_key_is_found(keys: ArrayRef, distinct: usize) {
    let data_type = keys.data_type().clone();
    let batch = |at: i64| {
        let ats: ArrayRef = Arc::new(Int64Array::from(vec![at; keys.len()]));
        RecordBatch::try_from_iter_with_nullable([("k", keys.clone(), true), ("at", ats, true)])
            .expect("rows")
    };
    for partition_by in [vec![], vec!["k".to_owned()]] {
        let place = Place {
            rows: batch(0).schema(),
            mode: key(&["k"], "at"),
            partition_by,
            ..Place::with_store(Arc::new(DurableLocal::new()))
        };
        let partitions = PartitionSettings { by: place.partition_by.clone(), event_time: None };
        // Not every type names folders, and an empty string names none.
        let has_empty = keys.as_string_opt::<i32>().is_some();
        if !place.partition_by.is_empty()
            && (has_empty || Partitioning::new(&place.rows, &partitions).is_err())
        {
            continue;
        }
        let mut applier = place.open().await.expect("opened");
        // One key at a time, so that each has a file of its own to be found in.
        for row in 0..keys.len() {
            let number = 4 + row as u64;
            applied(&place, &mut applier, place.entry(number, &batch(1).slice(row, 1)).await).await;
        }
        let again = concat_batches(&place.rows, [&batch(0), &batch(2)]).expect("rows");
        let (removed, _) = applied(&place, &mut applier, place.entry(9, &again).await).await;
        assert_eq!(removed.len(), distinct, "{data_type}");
        let rows = place.view().await.sample;
        let ats = rows["at"].as_primitive::<Int64Type>();
        assert_eq!(ats.values(), &vec![2; distinct][..], "{data_type}");
    }
}
