//! Scenarios on tables in temporary folders, and what they share.

mod commits;
mod traps;
mod upsert_model;
mod upsert_traps;
mod upserts;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use async_trait::async_trait;
use deltalake_core::DeltaTable;
use deltalake_core::kernel::Action;
use object_store::ObjectStore;
use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;
use uuid::Uuid;

use super::{DeltaApplier, DeltaSettings, DeltaStorage, Mode, RowKey, TableView, application_id, inspect};
use crate::ledger::entry::{Body, DataFile, Entry, EntryNumber, Epoch, SinkEntry, Writer};
use crate::schema::RecordSchema;
use crate::sink::conformance::{self, Fault, Trial, conforms};
use crate::sink::fault::FaultyStore;
use crate::sink::rows::tests::{rows, schema};
use crate::sink::rows::{FileFormat, PartitionSettings, Partitioning, RowWriter, WriterSettings, upload};
use crate::sink::{SinkApplier, SinkError};
use crate::storage::DurableLocal;

const PIPELINE: &str = "p";
const SINK: &str = "bronze";

/// A table's folder, and the pipeline that writes to it.
struct Place {
    folder: TempDir,
    store: Arc<dyn ObjectStore>,
    ledger: Uuid,
    /// The rows that appliers open the table for.
    rows: SchemaRef,
    mode: Mode,
    partition_by: Vec<String>,
    checkpoint_interval: u64,
}

impl Place {
    fn new() -> Self {
        Self::with_store(Arc::new(DurableLocal::new()))
    }

    fn with_store(store: Arc<dyn ObjectStore>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self {
            folder,
            store,
            ledger: Uuid::new_v4(),
            rows: schema(),
            mode: Mode::Append,
            partition_by: Vec::new(),
            checkpoint_interval: 100,
        }
    }

    fn url(&self) -> Url {
        Url::from_directory_path(self.folder.path().join("table")).expect("a url")
    }

    fn storage(&self) -> DeltaStorage {
        DeltaStorage::new(self.store.clone(), &self.url()).expect("a storage")
    }

    fn settings(&self) -> DeltaSettings {
        let settings = DeltaSettings::new(PIPELINE, SINK, self.url(), self.ledger, 3);
        DeltaSettings { checkpoint_interval: self.checkpoint_interval, mode: self.mode.clone(), ..settings }
    }

    fn partitioning(&self, rows: &Schema) -> Partitioning {
        let settings = PartitionSettings { by: self.partition_by.clone(), event_time: None };
        Partitioning::new(rows, &settings).expect("a partitioning")
    }

    async fn open(&self) -> Result<DeltaApplier, SinkError> {
        self.open_with(self.settings()).await
    }

    async fn open_with(&self, settings: DeltaSettings) -> Result<DeltaApplier, SinkError> {
        DeltaApplier::open(settings, &self.storage(), &self.partitioning(&self.rows)).await
    }

    /// An entry whose files are in place.
    async fn entry(&self, number: EntryNumber, rows: &RecordBatch) -> Arc<Entry> {
        let writer = Writer { incarnation: Uuid::new_v4(), epoch: number };
        let files = self.files(writer, 0, rows).await;
        let schema = (rows.schema() != self.rows)
            .then(|| RecordSchema::from_arrow(rows.schema_ref()).expect("a schema"));
        self.entry_of(number, writer, SinkEntry { files, schema })
    }

    /// Files of one thread, in place.
    async fn files(&self, writer: Writer, thread: usize, rows: &RecordBatch) -> Vec<DataFile> {
        let settings = WriterSettings {
            incarnation: writer.incarnation,
            thread,
            file_size: 1 << 20,
            max_partitions: 100,
            format: FileFormat::TABLE,
        };
        let partitioning = match &self.mode {
            Mode::Append => self.partitioning(rows.schema_ref()),
            Mode::Upsert(_) => Partitioning::staging(rows.schema_ref()).expect("a partitioning"),
        };
        let mut files = RowWriter::new(settings, rows.schema(), partitioning);
        files.write(rows).expect("rows are written");
        let files = files.finish(writer.epoch).expect("files are finished");
        upload(&self.storage().table_store(), files).await.expect("files are uploaded")
    }

    fn entry_of(&self, number: EntryNumber, writer: Writer, part: SinkEntry) -> Arc<Entry> {
        let epoch = Epoch {
            configuration: String::new(),
            schema_version: 0,
            proposes_schema: None,
            tasks: Vec::new(),
            sinks: BTreeMap::from([(SINK.to_owned(), part)]),
            seen: BTreeMap::new(),
            references: BTreeMap::new(),
        };
        let written_at_ms = chrono::Utc::now().timestamp_millis();
        Arc::new(Entry {
            format: 1,
            ledger: self.ledger,
            number,
            writer,
            written_at_ms,
            body: Body::Epoch(epoch),
        })
    }

    async fn view(&self) -> TableView {
        inspect(&self.storage(), PIPELINE, SINK, 1000).await.expect("a readable table").expect("a table")
    }

    async fn table(&self) -> DeltaTable {
        let mut table = DeltaTable::new(self.storage().log_store);
        table.load().await.expect("the table loads");
        table
    }

    fn log_file(&self, version: u64) -> std::path::PathBuf {
        self.folder.path().join(format!("table/_delta_log/{version:020}.json"))
    }

    /// The actions of a commit, as they lie in the log.
    fn commit(&self, version: u64) -> Vec<Value> {
        let text = std::fs::read_to_string(self.log_file(version)).expect("a commit");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// Another writer's commit, as the next version.
    async fn foreign(&self, actions: &[Value]) -> u64 {
        let version = self.table().await.version().expect("a version") + 1;
        let lines: Vec<String> = actions.iter().map(Value::to_string).collect();
        std::fs::write(self.log_file(version), lines.join("\n")).expect("a commit is written");
        version
    }

    fn remove_of(&self, entry: &Entry) -> Value {
        let Body::Epoch(epoch) = &entry.body else { panic!("not an epoch") };
        json!({"remove": {"path": epoch.sinks[SINK].files[0].path, "dataChange": true, "deletionTimestamp": 1}})
    }

    async fn metadata_with(&self, property: &str, value: &str) -> Value {
        let table = self.table().await;
        let action = Action::Metadata(table.snapshot().expect("a snapshot").metadata().clone());
        let mut action = serde_json::to_value(&action).expect("JSON");
        action["metaData"]["configuration"][property] = value.into();
        action
    }
}

/// A table whose store fails when it is told to.
struct Trying {
    place: Place,
    store: Arc<FaultyStore>,
}

impl Trying {
    fn new() -> Self {
        let store = FaultyStore::new();
        Self { place: Place::with_store(store.clone()), store }
    }
}

#[async_trait]
impl Trial for Trying {
    async fn open(&self) -> Result<Box<dyn SinkApplier>, SinkError> {
        Ok(Box::new(self.place.open().await?))
    }

    async fn entry(&self, number: EntryNumber, ids: Range<i64>) -> Arc<Entry> {
        self.place.entry(number, &rows(ids.start, ids.end)).await
    }

    async fn visible(&self) -> Vec<i64> {
        let sample = self.place.view().await.sample;
        let mut ids = sample.column(0).as_primitive::<Int64Type>().values().to_vec();
        ids.sort_unstable();
        ids
    }

    fn fail_next(&self, fault: Fault) {
        self.store.fail_next("_delta_log/00000000000000000001.json", fault);
    }

    fn has_failed(&self) -> bool {
        self.store.is_spent()
    }

    async fn go_back(&self) {
        let version = self.place.table().await.version().expect("a version");
        std::fs::remove_file(self.place.log_file(version)).expect("removed");
    }
}

mod conforming {
    use super::*;

    conforms!(Trying::new);
}

fn info(operation: &str, mode: &str) -> Value {
    json!({"commitInfo": {"timestamp": 1, "operation": operation, "operationParameters": {"mode": mode}}})
}

/// The text of a refusal.
fn refusal<T>(result: Result<T, SinkError>) -> String {
    match result {
        Err(SinkError::Refused(text)) => text,
        Err(other) => panic!("not a refusal: {other}"),
        Ok(_) => panic!("not refused"),
    }
}
