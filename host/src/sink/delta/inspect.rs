//! A table as people and the audit see it: read once, at one version.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, new_null_array};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{Schema, SchemaRef};
use bytes::Bytes;
use deltalake_core::DeltaTable;
use deltalake_core::kernel::LogicalFileView;
use deltalake_core::kernel::engine::arrow_conversion::TryIntoArrow;
use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use uuid::Uuid;

use super::log::TableLog;
use super::{DeltaError, DeltaStorage, application_id, ledger_property};
use crate::sink::rows::RowsError;
use crate::sink::{SinkError, SinkMark};

/// A table at one version.
#[derive(Debug, Clone)]
pub struct TableView {
    pub table_id: String,
    pub version: u64,
    /// Names and Delta types, in order.
    pub columns: Vec<(String, String)>,
    pub partition_columns: Vec<String>,
    pub rows: u64,
    pub files: Vec<ActiveFile>,
    /// How far the sink has followed its ledger; `None` if the table does not know the sink.
    pub mark: Option<SinkMark>,
    /// The first rows, in the table's columns.
    pub sample: RecordBatch,
}

/// A file that the table consists of at this version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveFile {
    /// Relative to the table, as entries name it.
    pub path: String,
    /// The same, as the store names it.
    pub object: Path,
    pub size: u64,
    /// Rows that are not deleted.
    pub rows: u64,
    /// Rows that are in the file and deleted.
    pub deleted: u64,
}

/// The ledger that the table's mark of this sink names; `None` if there is no table, or it does not know the sink.
pub async fn ledger_of_mark(
    storage: &DeltaStorage,
    pipeline: &str,
    sink: &str,
) -> Result<Option<Uuid>, SinkError> {
    let log = TableLog::new(storage, application_id(pipeline, sink));
    if !log.exists().await? {
        return Ok(None);
    }
    let metadata = log.load().await?.metadata;
    Ok(metadata.configuration().get(&ledger_property(pipeline, sink)).and_then(|ledger| ledger.parse().ok()))
}

/// Reads the newest version; `None` if there is no table. At most `sample_rows` rows are read, from as few
/// files as hold them.
pub async fn inspect(
    storage: &DeltaStorage,
    pipeline: &str,
    sink: &str,
    sample_rows: usize,
) -> Result<Option<TableView>, DeltaError> {
    let log_store = storage.log_store.clone();
    let location = log_store.root_url().to_string();
    let failed = |error: &dyn std::fmt::Display| DeltaError::Table {
        location: location.clone(),
        what: error.to_string(),
    };
    if !log_store.is_delta_table_location().await.map_err(|error| failed(&error))? {
        return Ok(None);
    }
    let mut table = DeltaTable::new(log_store.clone());
    table.load().await.map_err(|error| failed(&error))?;
    let snapshot = table.snapshot().map_err(|error| failed(&error))?.snapshot();
    let txn = snapshot.transaction_version(log_store.as_ref(), application_id(pipeline, sink));
    let txn = txn.await.map_err(|error| failed(&error))?;
    let properties = snapshot.metadata().configuration();
    let ledger = properties.get(&ledger_property(pipeline, sink)).and_then(|ledger| ledger.parse().ok());
    let mark = txn.and_then(|mark| u64::try_from(mark).ok()).zip(ledger);
    let views: Vec<LogicalFileView> =
        snapshot.file_views(log_store.as_ref(), None).try_collect().await.map_err(|error| failed(&error))?;

    let schema: Schema = snapshot.schema().as_ref().try_into_arrow().map_err(|error| failed(&error))?;
    let mut files = Vec::with_capacity(views.len());
    let mut sample = Sample { schema: nullable(&schema), batches: Vec::new(), missing: sample_rows };
    for view in &views {
        let path = view.path().into_owned();
        let deleted = view
            .deletion_vector_descriptor()
            .map_or(0, |vector| u64::try_from(vector.cardinality).unwrap_or(0));
        let mut rows = view.num_records().map(|rows| rows as u64);
        if rows.is_none() || (sample.missing > 0 && deleted == 0) {
            let read = storage.table_store().get(&view.object_store_path()).await;
            let store = |source| RowsError::Store { path: path.clone(), source };
            let bytes = read.map_err(store)?.bytes().await.map_err(store)?;
            let in_footer = sample.read(bytes, deleted == 0, view)?;
            rows = rows.or(Some(in_footer));
        }
        files.push(ActiveFile {
            path,
            object: view.object_store_path(),
            deleted,
            size: u64::try_from(view.size()).unwrap_or_default(),
            rows: rows.unwrap_or_default().saturating_sub(deleted),
        });
    }
    let columns = snapshot.schema();
    Ok(Some(TableView {
        table_id: snapshot.metadata().id().to_owned(),
        version: snapshot.version(),
        columns: columns
            .fields()
            .map(|field| (field.name().clone(), field.data_type().to_string()))
            .collect(),
        partition_columns: snapshot.metadata().partition_columns().to_vec(),
        rows: files.iter().map(|file| file.rows).sum(),
        files,
        mark: mark.map(|(number, ledger)| SinkMark { number, ledger }),
        sample: concat_batches(&sample.schema, &sample.batches)?,
    }))
}

struct Sample {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    missing: usize,
}

impl Sample {
    /// Returns how many rows the file's footer says it has.
    fn read(&mut self, bytes: Bytes, take_rows: bool, view: &LogicalFileView) -> Result<u64, DeltaError> {
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
        let rows = u64::try_from(reader.metadata().file_metadata().num_rows()).unwrap_or_default();
        if !take_rows || self.missing == 0 {
            return Ok(rows);
        }
        let partition = view.partition_values_map();
        for batch in reader.with_limit(self.missing).with_batch_size(self.missing).build()? {
            let batch = batch?;
            let columns = self.schema.fields().iter().map(|field| -> Result<ArrayRef, DeltaError> {
                let column = match (batch.column_by_name(field.name()), partition.get(field.name())) {
                    (Some(column), _) => Arc::clone(column),
                    (None, Some(Some(value))) => {
                        Arc::new(StringArray::from(vec![value.as_str(); batch.num_rows()]))
                    }
                    (None, _) => new_null_array(field.data_type(), batch.num_rows()),
                };
                Ok(cast(&column, field.data_type())?)
            });
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            self.missing = self.missing.saturating_sub(batch.num_rows());
            self.batches.push(RecordBatch::try_new(self.schema.clone(), columns)?);
        }
        Ok(rows)
    }
}

/// A file may lack what the table's newest schema requires.
fn nullable(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}
