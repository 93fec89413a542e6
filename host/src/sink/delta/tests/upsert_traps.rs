//! What goes wrong around a merge: others who change the table, answers that are lost, files that are gone.

use deltalake_core::kernel::Remove;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::super::actions;
use super::upserts::{key, keyed, keyed_place, keyed_schema, notes};
use super::*;
use crate::sink::conformance::Fault;
use crate::sink::{Applied, SinkApplier};

/// A table with two files, and an applier that has seen it.
async fn two_files(place: &Place) -> DeltaApplier {
    let mut applier = place.open().await.expect("opened");
    for (number, rows) in [(4, [(1, 5, "a"), (2, 5, "b")]), (5, [(3, 5, "c"), (4, 5, "d")])] {
        let entry = place.entry(number, &keyed(&rows)).await;
        assert_eq!(applier.apply(&[entry], number).await.expect("applied"), Applied::Done);
    }
    applier
}

impl Place {
    /// All rows into one file of each partition, as an OPTIMIZE does.
    pub(super) async fn optimize(&self) {
        let sample = self.view().await.sample;
        let rows = RecordBatch::try_new(self.rows.clone(), sample.columns().to_vec()).expect("rows");
        self.rewrite("OPTIMIZE", &rows).await;
    }

    /// Another writer's commit that puts files of `rows` in place of all others.
    pub(super) async fn rewrite(&self, operation: &str, rows: &RecordBatch) {
        let (incarnation, data_change) = (Uuid::new_v4(), operation != "OPTIMIZE");
        let (file_size, format) = (1 << 20, FileFormat::TABLE);
        let settings = WriterSettings { incarnation, thread: 0, file_size, max_partitions: 100, format };
        let mut writer = RowWriter::new(settings, rows.schema(), self.partitioning(rows.schema_ref()));
        writer.write(rows).expect("written");
        let files = writer.finish(0).expect("finished");
        let files = upload(&self.storage().table_store(), files).await.expect("uploaded");
        let mut lines = vec![info(operation, "")];
        for file in self.view().await.files {
            let deletion_timestamp = Some(1);
            let remove = Remove { path: file.path, data_change, deletion_timestamp, ..Remove::default() };
            lines.push(serde_json::to_value(Action::Remove(remove)).expect("JSON"));
        }
        for file in &files {
            let mut add = serde_json::to_value(actions::add(file)).expect("JSON");
            add["add"]["dataChange"] = data_change.into();
            lines.push(add);
        }
        self.foreign_in_store(&lines).await;
    }

    /// Another writer's commit, through the store.
    pub(super) async fn foreign_in_store(&self, actions: &[Value]) -> u64 {
        let version = self.table().await.version().expect("a version") + 1;
        let lines: Vec<String> = actions.iter().map(Value::to_string).collect();
        let path = Path::from(format!("_delta_log/{version:020}.json"));
        self.storage().table_store().put(&path, lines.join("\n").into()).await.expect("committed");
        version
    }
}

/// The library's own conflict check lets a removal of a file pass that an OPTIMIZE has removed. Here any newer
/// version means merging again.
#[tokio::test]
async fn an_optimize_between_snapshot_and_commit_means_merging_again() {
    let place = keyed_place(Arc::new(DurableLocal::new()));
    let mut applier = two_files(&place).await;
    let entry = [place.entry(6, &keyed(&[(1, 6, "A"), (5, 1, "e")])).await];
    assert_eq!(applier.mark().await.expect("a mark").number, 5);
    place.optimize().await;
    assert_eq!(place.view().await.files.len(), 1);
    assert_eq!(applier.apply(&entry, 6).await.expect("expected"), Applied::Busy);
    assert_eq!(applier.mark().await.expect("a mark").number, 5);
    assert_eq!(applier.apply(&entry, 6).await.expect("applied"), Applied::Done);
    assert_eq!(notes(&place).await, ["1 A", "2 b", "3 c", "4 d", "5 e"]);
}

/// A row that others deleted is gone; what comes for its key later is a new row, even if it is older.
#[tokio::test]
async fn a_delete_between_snapshot_and_commit_is_kept() {
    let place = keyed_place(Arc::new(DurableLocal::new()));
    let mut applier = two_files(&place).await;
    let entry = [place.entry(6, &keyed(&[(1, 4, "older"), (3, 6, "C")])).await];
    let files = place.view().await.files;
    let first =
        files.iter().find(|file| !place.commit(2).iter().any(|line| line["add"]["path"] == file.path));
    let remove =
        json!({"remove": {"path": first.expect("a file").path, "dataChange": true, "deletionTimestamp": 1}});
    place.foreign(&[info("DELETE", ""), remove]).await;
    assert_eq!(applier.apply(&entry, 6).await.expect("expected"), Applied::Busy);
    applier.mark().await.expect("a mark");
    assert_eq!(applier.apply(&entry, 6).await.expect("applied"), Applied::Done);
    assert_eq!(notes(&place).await, ["1 older", "3 C", "4 d"]);
}

#[tokio::test]
async fn a_lost_response_is_found_out_by_the_mark_and_nothing_is_merged_twice() {
    for (fault, mark_after) in [(Fault::AfterEffect, 6), (Fault::BeforeEffect, 5)] {
        let store = FaultyStore::new();
        let place = keyed_place(store.clone());
        let mut applier = two_files(&place).await;
        let entry = [place.entry(6, &keyed(&[(1, 6, "A"), (5, 1, "e")])).await];
        store.fail_next("00003.json", fault);
        let lost = applier.apply(&entry, 6).await;
        assert!(matches!(lost, Err(SinkError::Unavailable(_))), "{lost:?}");
        assert_eq!(applier.mark().await.expect("a mark").number, mark_after);
        if mark_after == 5 {
            assert_eq!(applier.apply(&entry, 6).await.expect("applied"), Applied::Done);
        }
        assert_eq!(applier.apply(&entry, 6).await.expect("expected"), Applied::Busy, "it is in already");
        // The files that our state has are the table's: the next merge finds the row.
        let next = [place.entry(7, &keyed(&[(1, 7, "AA"), (5, 0, "old")])).await];
        applier.mark().await.expect("a mark");
        assert_eq!(applier.apply(&next, 7).await.expect("applied"), Applied::Done);
        assert_eq!(notes(&place).await, ["1 AA", "2 b", "3 c", "4 d", "5 e"]);
    }
}

/// A file of a merge that cannot be put in place: nothing is committed, and trying again merges anew.
#[tokio::test]
async fn a_merged_file_that_does_not_arrive_commits_nothing() {
    let store = FaultyStore::new();
    let place = keyed_place(store.clone());
    let mut applier = two_files(&place).await;
    let entry = [place.entry(6, &keyed(&[(1, 6, "A")])).await];
    store.fail_next("-0.parquet", Fault::BeforeEffect);
    let failed = applier.apply(&entry, 6).await;
    assert!(matches!(failed, Err(SinkError::Unavailable(_))), "{failed:?}");
    assert!(!place.log_file(3).exists());
    applier.mark().await.expect("a mark");
    assert_eq!(applier.apply(&entry, 6).await.expect("applied"), Applied::Done);
    assert_eq!(notes(&place).await, ["1 A", "2 b", "3 c", "4 d"]);
}

#[tokio::test]
async fn a_stale_applier_loses_and_its_files_are_never_seen() {
    let place = keyed_place(Arc::new(DurableLocal::new()));
    let mut first = two_files(&place).await;
    let mut second = place.open().await.expect("opened");
    let entry = [place.entry(6, &keyed(&[(1, 6, "A")])).await];
    assert_eq!(first.apply(&entry, 6).await.expect("applied"), Applied::Done);
    assert_eq!(second.apply(&entry, 6).await.expect("expected"), Applied::Busy);
    assert_eq!(second.mark().await.expect("a mark").number, 6);
    assert_eq!(second.apply(&entry, 6).await.expect("expected"), Applied::Busy);
    let next = [place.entry(7, &keyed(&[(1, 7, "AA"), (3, 9, "C")])).await];
    assert_eq!(second.apply(&next, 7).await.expect("applied"), Applied::Done);
    assert_eq!(notes(&place).await, ["1 AA", "2 b", "3 C", "4 d"]);
}

#[tokio::test]
async fn the_files_are_known_again_after_a_checkpoint_and_a_cleaned_up_log() {
    let place = Place { checkpoint_interval: 2, ..keyed_place(Arc::new(DurableLocal::new())) };
    let mut sleeper = place.open().await.expect("opened");
    let mut applier = two_files(&place).await;
    assert!(place.log_file(2).with_extension("checkpoint.parquet").exists());
    for version in 0..2 {
        std::fs::remove_file(place.log_file(version)).expect("a commit is removed");
    }
    let entry = [place.entry(6, &keyed(&[(1, 6, "A")])).await];
    assert_eq!(sleeper.mark().await.expect("a mark").number, 5);
    assert_eq!(sleeper.apply(&entry, 6).await.expect("applied"), Applied::Done);
    let mut reopened = place.open().await.expect("opened from the checkpoint");
    let entry = [place.entry(7, &keyed(&[(1, 7, "AA"), (4, 7, "D")])).await];
    assert_eq!(reopened.apply(&entry, 7).await.expect("applied"), Applied::Done);
    assert_eq!(applier.mark().await.expect("a mark").number, 7);
    assert_eq!(notes(&place).await, ["1 AA", "2 b", "3 c", "4 D"]);
}

#[tokio::test]
async fn deletion_vectors_and_files_elsewhere_are_refused() {
    let place = keyed_place(Arc::new(DurableLocal::new()));
    let mut applier = two_files(&place).await;
    let vector = json!({"storageType": "i", "pathOrInlineDv": "x", "sizeInBytes": 1, "cardinality": 1});
    let file = place.commit(1).iter().find_map(|line| line.get("add").cloned()).expect("a file");
    let mut marked = file.clone();
    marked["deletionVector"] = vector;
    let remove = json!({"remove": {"path": file["path"], "dataChange": true, "deletionTimestamp": 1}});
    place.foreign(&[info("DELETE", ""), json!({"add": marked}), remove.clone()]).await;
    applier.mark().await.expect("the guard has nothing against it");
    let entry = [place.entry(6, &keyed(&[(9, 6, "A")])).await];
    let text = refusal(applier.apply(&entry, 6).await);
    assert!(text.contains("deletion vector") && text.contains("REORG TABLE"), "{text}");

    let mut elsewhere = file.clone();
    elsewhere["path"] = "s3://bucket/table/part.parquet".into();
    place.foreign(&[info("WRITE", "Append"), json!({"add": elsewhere}), remove]).await;
    applier.mark().await.expect("a mark");
    let text = refusal(applier.apply(&entry, 6).await);
    assert!(text.contains("shallow clone"), "{text}");
}

#[tokio::test]
async fn properties_that_forbid_merging_are_refused_at_open_and_later() {
    for property in ["delta.appendOnly", "delta.enableChangeDataFeed", "delta.enableDeletionVectors"] {
        let place = keyed_place(Arc::new(DurableLocal::new()));
        let mut applier = two_files(&place).await;
        let metadata = place.metadata_with(property, "true").await;
        place.foreign(&[info("SET TBLPROPERTIES", ""), metadata]).await;
        for text in [refusal(applier.mark().await), refusal(place.open().await)] {
            assert!(text.contains(property) && text.contains("mode: upsert"), "{text}");
        }
        let appending = DeltaSettings { mode: Mode::Append, ..place.settings() };
        place.open_with(appending).await.expect("appending is nothing to them");
    }
}

/// A staged file must never become a file of the table, nor an appended one be merged as if it were staged.
#[tokio::test]
async fn entries_of_another_mode_are_refused() {
    let place = keyed_place(Arc::new(DurableLocal::new()));
    let mut merging = place.open().await.expect("opened");
    let staged = place.entry(4, &keyed(&[(1, 1, "a")])).await;
    let mut appending =
        place.open_with(DeltaSettings { mode: Mode::Append, ..place.settings() }).await.expect("opened");
    let place = Place { mode: Mode::Append, ..place };
    let appended = place.entry(4, &keyed(&[(1, 1, "a")])).await;
    for text in [refusal(appending.apply(&[staged], 4).await), refusal(merging.apply(&[appended], 4).await)] {
        assert!(text.contains("of entry 4 was written for another `mode`"), "{text}");
    }
}

#[tokio::test]
async fn a_staged_file_that_is_gone_stops_the_pipeline_and_a_file_of_the_table_says_so() {
    let place = keyed_place(Arc::new(DurableLocal::new()));
    let mut applier = two_files(&place).await;
    let entry = place.entry(6, &keyed(&[(1, 6, "A")])).await;
    let Body::Epoch(epoch) = &entry.body else { panic!("not an epoch") };
    let staged = place.folder.path().join("table").join(&epoch.sinks[SINK].files[0].path);
    let bytes = std::fs::read(&staged).expect("the file");
    std::fs::remove_file(&staged).expect("removed");
    let text = refusal(applier.apply(std::slice::from_ref(&entry), 6).await);
    assert!(text.contains("of entry 6 is gone"), "{text}");
    std::fs::write(&staged, &bytes[..bytes.len() - 4]).expect("cut short");
    let text = refusal(applier.apply(std::slice::from_ref(&entry), 6).await);
    assert!(text.contains("cannot be read") && text.contains("restore it from a copy"), "{text}");
    std::fs::write(&staged, bytes).expect("put back");

    for file in place.view().await.files {
        std::fs::remove_file(place.folder.path().join("table").join(file.path)).expect("vacuumed");
    }
    match applier.apply(&[entry], 6).await {
        Err(SinkError::Unavailable(text)) => assert!(text.contains("of the table is gone"), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn rows_that_cannot_be_kept_by_key_are_refused_before_the_table_exists() {
    let key = |columns: &[&str], order_by: &str| {
        let Mode::Upsert(key) = key(columns, order_by) else { panic!("not a key") };
        key.check(&keyed_schema()).map_err(|error| error.to_string())
    };
    assert_eq!(key(&["id", "note"], "at"), Ok(()));
    assert!(key(&["id", "nothing"], "at").expect_err("refused").contains("`nothing`"));
}
