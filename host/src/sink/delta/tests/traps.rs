//! What must stop the pipeline, and what it then says.

use deltalake_core::kernel::{StructField, StructType};
use deltalake_core::operations::restore::RestoreBuilder;

use super::*;
use crate::ledger::entry::SinkRecord;
use crate::sink::{Applied, SinkApplier};

/// A table with entries 4 and 5 in versions 1 and 2.
async fn two_entries(place: &Place) -> (DeltaApplier, [Arc<Entry>; 2]) {
    let mut applier = place.open().await.expect("opened");
    let entries = [place.entry(4, &rows(0, 10)).await, place.entry(5, &rows(10, 20)).await];
    for entry in &entries {
        let applied = applier.apply(std::slice::from_ref(entry), entry.number).await;
        assert_eq!(applied.expect("applied"), Applied::Done);
    }
    (applier, entries)
}

#[tokio::test]
async fn transaction_retention_is_refused_at_open_and_later() {
    let place = Place::new();
    let (mut applier, _) = two_entries(&place).await;
    let metadata = place.metadata_with("delta.setTransactionRetentionDuration", "interval 7 days").await;
    place.foreign(&[info("SET TBLPROPERTIES", ""), metadata]).await;
    for text in [refusal(applier.mark().await), refusal(place.open().await)] {
        assert!(
            text.contains("setTransactionRetentionDuration") && text.contains("UNSET TBLPROPERTIES"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_restore_stops_the_pipeline_until_it_is_accepted() {
    let place = Place::new();
    let (mut applier, _) = two_entries(&place).await;
    let table = place.table().await;
    let restore: RestoreBuilder = table.restore();
    restore.with_version_to_restore(1).await.expect("restored");
    assert_eq!(place.view().await.rows, 10, "the rows of entry 5 are gone");
    assert_eq!(place.view().await.mark.expect("a mark").number, 5, "and the mark does not say so");
    for text in [refusal(applier.mark().await), refusal(place.open().await), refusal(applier.mark().await)] {
        assert!(
            text.contains("version 3 is a RESTORE") && text.contains("restore the table to version 2"),
            "{text}"
        );
    }
    place.table().await.restore().with_version_to_restore(2).await.expect("restored back");
    assert!(refusal(place.open().await).contains("RESTORE"));
    let accepting = DeltaSettings { accept_version: Some(4), ..place.settings() };
    let mut accepted = place.open_with(accepting).await.expect("opened");
    assert_eq!(accepted.mark().await.expect("a mark").number, 5);
    assert_eq!(place.view().await.rows, 20);
}

#[tokio::test]
async fn an_overwrite_or_replacement_by_others_stops_the_pipeline() {
    for (operation, expected) in
        [("WRITE", "overwrite"), ("CREATE OR REPLACE TABLE", "CREATE OR REPLACE TABLE"), ("CLONE", "CLONE")]
    {
        let place = Place::new();
        let (mut applier, entries) = two_entries(&place).await;
        place.foreign(&[info(operation, "Overwrite"), place.remove_of(&entries[0])]).await;
        for text in [refusal(applier.mark().await), refusal(place.open().await)] {
            assert!(text.contains(&format!("version 3 is a {expected} by another writer")), "{text}");
        }
    }
}

#[tokio::test]
async fn a_table_that_was_created_again_is_another_table() {
    let place = Place::new();
    let (mut applier, _) = two_entries(&place).await;
    place.foreign(&[info("OPTIMIZE", "")]).await;
    assert_eq!(applier.mark().await.expect("a mark").number, 5);
    let record = SinkRecord { mark: 5, table: applier.table() };
    std::fs::remove_dir_all(place.folder.path().join("table")).expect("removed");
    let gone = refusal(applier.mark().await);
    assert!(gone.contains("the table is gone"), "{gone}");
    let settings = DeltaSettings { record: Some(record), ..place.settings() };
    assert!(refusal(place.open_with(settings.clone()).await).contains("the table is gone"));

    // As many versions as before, so that numbers alone do not tell.
    two_entries(&place).await;
    place.foreign(&[info("OPTIMIZE", "")]).await;
    for text in [refusal(applier.mark().await), refusal(place.open_with(settings).await)] {
        assert!(text.contains("another table than before") && text.contains("another name"), "{text}");
    }
}

#[tokio::test]
async fn a_table_of_another_ledger_is_refused() {
    let place = Place::new();
    two_entries(&place).await;
    let other = DeltaSettings { ledger: Uuid::new_v4(), ..place.settings() };
    let text = refusal(place.open_with(other).await);
    assert!(text.contains(&place.ledger.to_string()) && text.contains("state location"), "{text}");
}

#[tokio::test]
async fn another_pipeline_under_our_id_is_noticed_while_we_run() {
    let place = Place::new();
    let (mut applier, _) = two_entries(&place).await;
    let txn = |mark: u64| json!({"txn": {"appId": application_id(PIPELINE, SINK), "version": mark}});
    let theirs =
        json!({"commitInfo": {"operation": "STREAMING UPDATE", "sluicebox": {"ledger": Uuid::new_v4()}}});
    let version = place.foreign(&[theirs, txn(9)]).await;
    assert!(refusal(applier.mark().await).contains("belongs to the ledger"));
    std::fs::write(place.log_file(version), txn(4).to_string()).expect("written");
    let text = refusal(applier.mark().await);
    assert!(text.contains("from entry 5 back to 4"), "{text}");
}

#[tokio::test]
async fn a_table_that_went_backwards_is_noticed_by_what_was_seen() {
    let place = Place::new();
    let (mut applier, _) = two_entries(&place).await;
    let record = SinkRecord { mark: 5, table: applier.table() };
    let settings = DeltaSettings { record: Some(record.clone()), ..place.settings() };
    std::fs::remove_file(place.log_file(2)).expect("removed");
    for text in [refusal(applier.mark().await), refusal(place.open_with(settings).await)] {
        assert!(text.contains("went backwards") && text.contains("version 1 with the mark 4"), "{text}");
    }
    let mut unaware = place.open().await.expect("nothing is known of the table");
    assert_eq!(unaware.mark().await.expect("a mark").number, 4);
    unaware.recorded(&record);
    assert!(refusal(unaware.mark().await).contains("went backwards"));
}

#[tokio::test]
async fn files_of_a_late_entry_are_looked_for_before_they_are_applied() {
    let place = Place::new();
    let mut applier = place.open().await.expect("opened");
    let mut entry = place.entry(4, &rows(0, 10)).await;
    Arc::make_mut(&mut entry).written_at_ms -= 2 * 3_600_000;
    let Body::Epoch(epoch) = &entry.body else { panic!("not an epoch") };
    let file = place.folder.path().join("table").join(&epoch.sinks[SINK].files[0].path);
    let bytes = std::fs::read(&file).expect("the file");
    std::fs::remove_file(&file).expect("vacuumed");
    let text = refusal(applier.apply(std::slice::from_ref(&entry), 4).await);
    assert!(text.contains("of entry 4 is gone") && text.contains("VACUUM"), "{text}");
    std::fs::write(&file, &bytes[1..]).expect("cut short");
    assert!(refusal(applier.apply(std::slice::from_ref(&entry), 4).await).contains("bytes"));
    std::fs::write(&file, bytes).expect("put back");
    assert_eq!(applier.apply(&[entry], 4).await.expect("applied"), Applied::Done);
}

#[tokio::test]
async fn files_of_another_partitioning_are_refused() {
    let place = Place::new();
    let mut applier = place.open().await.expect("opened");
    let elsewhere = Place { partition_by: vec!["name".to_owned()], ..Place::new() };
    let entry = elsewhere.entry(4, &rows(0, 10)).await;
    let text = refusal(applier.apply(&[entry], 4).await);
    assert!(text.contains("of entry 4 is not partitioned by []"), "{text}");
}

#[tokio::test]
async fn what_this_sink_does_not_write_is_refused() {
    for (property, value, expected) in [
        ("delta.columnMapping.mode", "name", "columnMapping"),
        ("delta.enableInCommitTimestamps", "true", "enableInCommitTimestamps"),
        ("delta.constraints.positive", "id > 0", "constraint"),
    ] {
        let place = Place::new();
        let (mut applier, _) = two_entries(&place).await;
        let metadata = place.metadata_with(property, value).await;
        place.foreign(&[info("SET TBLPROPERTIES", ""), metadata]).await;
        assert!(refusal(applier.mark().await).contains(expected));
    }
    let place = Place::new();
    let (mut applier, _) = two_entries(&place).await;
    let protocol = json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 7, "writerFeatures": ["rowTracking", "domainMetadata"]}});
    place.foreign(&[info("ADD FEATURE", ""), protocol]).await;
    for text in [refusal(applier.mark().await), refusal(place.open().await)] {
        assert!(text.contains("requires `rowTracking`"), "{text}");
    }
}

async fn made_by_others(place: &Place, fields: Vec<StructField>) {
    let fields = StructType::try_new(fields).expect("a schema");
    let table = DeltaTable::new(place.storage().log_store);
    table.create().with_columns(fields.fields().cloned()).await.expect("created");
}

#[tokio::test]
async fn a_table_of_others_is_adopted_if_it_can_take_the_rows() {
    use deltalake_core::kernel::DataType as Delta;
    let id = || StructField::nullable("id", Delta::LONG);
    let place = Place::new();
    made_by_others(&place, vec![id(), StructField::nullable("theirs", Delta::DATE)]).await;
    let mut applier = place.open().await.expect("adopted");
    assert_eq!(applier.mark().await.expect("a mark").number, 3);
    let entries = [place.entry(4, &rows(0, 10)).await];
    assert_eq!(applier.apply(&entries, 4).await.expect("applied"), Applied::Done);
    let view = place.view().await;
    let names: Vec<_> = view.columns.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((names, view.rows, view.sample.num_rows()), (vec!["id", "theirs", "name"], 10, 10));

    for (fields, expected) in [
        (vec![StructField::nullable("id", Delta::STRING)], "holds `string` and the rows have `long`"),
        (vec![StructField::nullable("ID", Delta::LONG)], "ignore case"),
        (vec![id(), StructField::not_null("must", Delta::LONG)], "NOT NULL"),
    ] {
        let place = Place::new();
        made_by_others(&place, fields).await;
        let text = refusal(place.open().await);
        assert!(text.contains(expected), "{text}");
    }
    let place = Place { partition_by: vec!["name".to_owned()], ..Place::new() };
    made_by_others(&place, vec![id()]).await;
    assert!(refusal(place.open().await).contains("partitioned by"));
}
