//! Folders of files in temporary folders.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use async_trait::async_trait;
use object_store::ObjectStore;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use serde_json::Value;
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::ledger::entry::{Body, Entry, EntryNumber, Epoch, SinkEntry, SinkRecord, Writer};
use crate::schema::RecordSchema;
use crate::sink::conformance::{self, Fault, Trial, conforms};
use crate::sink::fault::FaultyStore;
use crate::sink::rows::{
    Compression, Encoding, FileFormat, PartitionSettings, Partitioning, RowWriter, WriterSettings, upload,
};
use crate::sink::{Applied, SinkApplier, SinkError};

const PIPELINE: &str = "p";
const SINK: &str = "bronze";

struct Place {
    folder: TempDir,
    faulty: Arc<FaultyStore>,
    store: Arc<dyn ObjectStore>,
    ledger: Uuid,
}

impl Place {
    fn new() -> Self {
        let faulty = FaultyStore::new();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let prefix = Path::from_absolute_path(folder.path()).expect("a path");
        let store: Arc<dyn ObjectStore> = Arc::new(PrefixStore::new(faulty.clone(), prefix));
        Self { folder, faulty, store, ledger: Uuid::new_v4() }
    }

    fn settings(&self) -> FilesSettings {
        FilesSettings::new(PIPELINE, SINK, "the folder", self.ledger, 3)
    }

    async fn open_with(&self, settings: FilesSettings) -> Result<FilesApplier, SinkError> {
        FilesApplier::open(settings, self.store.clone()).await
    }

    fn marker(&self, number: EntryNumber) -> PathBuf {
        self.folder.path().join(format!("_markers/{:012}/{number:020}.json", number / 10_000))
    }
}

#[async_trait]
impl Trial for Place {
    async fn open(&self) -> Result<Box<dyn SinkApplier>, SinkError> {
        Ok(Box::new(self.open_with(self.settings()).await?))
    }

    async fn entry(&self, number: EntryNumber, ids: Range<i64>) -> Arc<Entry> {
        let writer = Writer { incarnation: Uuid::new_v4(), epoch: number };
        let settings = WriterSettings {
            incarnation: writer.incarnation,
            thread: 0,
            file_size: 1 << 20,
            max_partitions: 10,
            format: FileFormat { encoding: Encoding::JsonLines, compression: Compression::None },
        };
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(ids));
        let rows = RecordBatch::try_from_iter([("id", ids)]).expect("rows");
        let partitioning =
            Partitioning::new(rows.schema_ref(), &PartitionSettings::default()).expect("a partitioning");
        let mut files = RowWriter::new(settings, rows.schema(), partitioning);
        files.write(&rows).expect("rows are written");
        let files = files.finish(number).expect("files are finished");
        let files = upload(&self.store, files).await.expect("files are uploaded");
        let schema = Some(RecordSchema::from_arrow(rows.schema_ref()).expect("a schema"));
        let epoch = Epoch {
            configuration: String::new(),
            schema_version: 0,
            proposes_schema: None,
            tasks: Vec::new(),
            sinks: BTreeMap::from([(SINK.to_owned(), SinkEntry { files, schema })]),
            seen: BTreeMap::new(),
            references: BTreeMap::new(),
        };
        let written_at_ms = chrono::Utc::now().timestamp_millis();
        let body = Body::Epoch(epoch);
        Arc::new(Entry { format: 1, ledger: self.ledger, number, writer, written_at_ms, body })
    }

    async fn visible(&self) -> Vec<i64> {
        let folder = inspect(self.store.clone(), "the folder").await.expect("readable").expect("begun");
        let mut ids = Vec::new();
        for file in folder.markers.iter().flat_map(|marker| &marker.files) {
            let text = std::fs::read_to_string(self.folder.path().join(&file.path)).expect("a file");
            let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
            ids.extend(rows.map(|row| row["id"].as_i64().expect("an id")));
        }
        ids.sort_unstable();
        ids
    }

    fn fail_next(&self, fault: Fault) {
        self.faulty.fail_next("00004.json", fault);
    }

    fn has_failed(&self) -> bool {
        self.faulty.is_spent()
    }

    async fn go_back(&self) {
        std::fs::remove_file(self.marker(5)).expect("removed");
    }
}

mod conforming {
    use super::*;

    conforms!(Place::new);
}

/// The text of a refusal.
fn refusal<T>(result: Result<T, SinkError>) -> String {
    match result {
        Err(SinkError::Refused(text)) => text,
        Err(other) => panic!("not a refusal: {other}"),
        Ok(_) => panic!("not refused"),
    }
}

#[tokio::test]
async fn a_folder_of_another_sink_or_begun_anew_is_refused() {
    let place = Place::new();
    let mut applier = place.open_with(place.settings()).await.expect("opened");
    let entry = place.entry(4, 0..3).await;
    assert_eq!(applier.apply(&[entry], 4).await.expect("applied"), Applied::Done);
    let record = SinkRecord { mark: 4, table: applier.table() };

    let other = FilesSettings { sink: "silver".to_owned(), ..place.settings() };
    assert!(refusal(place.open_with(other).await).contains("belongs to sink `bronze` of pipeline `p`"));

    let markers = place.folder.path().join("_markers");
    std::fs::rename(&markers, place.folder.path().join("aside")).expect("moved");
    let known = FilesSettings { record: Some(record.clone()), ..place.settings() };
    assert!(refusal(place.open_with(known.clone()).await).contains("markers are gone"));
    assert!(refusal(applier.mark().await).contains("markers are gone"));
    place.open_with(place.settings()).await.expect("begun anew by one that does not know");
    assert!(refusal(place.open_with(known).await).contains("begun anew"));
}

#[tokio::test]
async fn what_was_changed_or_is_gone_is_refused() {
    let place = Place::new();
    let mut applier = place.open_with(place.settings()).await.expect("opened");
    let entry = place.entry(4, 0..3).await;
    let path = place.folder.path().join(&entry.part_of(SINK).expect("a part").files[0].path);
    let entries = [entry];
    // Somebody else's marker is in the place of ours.
    std::fs::create_dir_all(place.marker(4).parent().expect("a folder")).expect("a folder");
    let other = format!(r#"{{"format": 1, "ledger": "{}", "entry": 4, "files": []}}"#, place.ledger);
    std::fs::write(place.marker(4), other).expect("written");
    assert!(refusal(applier.apply(&entries, 4).await).contains("lists other files"));
    std::fs::write(place.marker(4), "{").expect("written");
    assert!(refusal(applier.apply(&entries, 4).await).contains("restore it from a copy"));
    std::fs::remove_file(place.marker(4)).expect("removed");

    // Files of old entries are looked for.
    std::fs::write(&path, "{}").expect("written");
    let strict = FilesSettings { verify_files_after_ms: -60_000, ..place.settings() };
    let mut applier = place.open_with(strict).await.expect("opened");
    assert!(refusal(applier.apply(&entries, 4).await).contains("has 2 bytes"));
    std::fs::remove_file(&path).expect("removed");
    assert!(refusal(applier.apply(&entries, 4).await).contains("gone before the entry was applied"));
    assert_eq!(applier.mark().await.expect("a mark").number, 3);
}

#[tokio::test]
async fn the_newest_marker_is_found_across_their_folders() {
    let place = Place::new();
    let mut applier = place.open_with(place.settings()).await.expect("opened");
    for number in [9_999, 10_000, 10_001, 250_000] {
        let entry = place.entry(number, 0..1).await;
        assert_eq!(applier.apply(&[entry], number).await.expect("applied"), Applied::Done);
        let mut other = place.open().await.expect("opened");
        assert_eq!(other.mark().await.expect("a mark").number, number);
    }
    assert_eq!(place.visible().await, [0, 0, 0, 0]);
}
