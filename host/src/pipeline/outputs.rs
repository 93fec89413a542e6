//! What one lane writes: a writer for each sink, shared by the lane's tasks.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use uuid::Uuid;

use super::blueprint::TableSpec;
use super::tree::SinkIndex;
use crate::schema::RecordSchema;
use crate::sink::delta::Mode;
use crate::sink::rows::{
    EncodedFile, FileFormat, PartitionSettings, Partitioning, RowWriter, RowsError, WriterSettings,
};

/// The rows of a sink, under one schema version.
#[derive(Debug, Clone)]
pub struct SinkRows {
    /// As its writer takes them.
    pub written: SchemaRef,
    /// What messages tell, where the rows are messages.
    pub messages: Option<SchemaRef>,
}

/// How rows of one sink are laid out, under one schema version.
#[derive(Debug, Clone)]
pub struct SinkLayout {
    pub name: String,
    /// Of the table.
    pub partitioning: Partitioning,
    /// Of the files, where they wait in a folder of their own.
    staging: Option<Partitioning>,
    /// The rows that the writer takes; folders derived from them come on top.
    pub rows: SchemaRef,
    /// What the sink holds for its readers, as an entry says it.
    pub table: RecordSchema,
    pub file_size: usize,
    format: FileFormat,
}

#[derive(Debug, thiserror::Error)]
#[error("sink `{sink}`: {error}")]
pub struct WriteError {
    pub sink: String,
    pub error: RowsError,
}

pub struct Outputs {
    sinks: Vec<Output>,
}

struct Output {
    name: String,
    rows: SchemaRef,
    writer: RowWriter,
}

/// The files of one sink, encoded and not yet in place.
pub struct SinkFiles {
    pub sink: SinkIndex,
    pub files: Vec<EncodedFile>,
}

/// Partitions of one sink that a lane may have open at once: each holds a file's buffers.
const MAX_OPEN_PARTITIONS: usize = 1000;

impl SinkLayout {
    /// `event_time` is the column that folders by date and hour follow, where the rows have it; they follow
    /// `_timestamp` where they do not.
    pub fn new(
        name: &str,
        rows: SinkRows,
        table: &TableSpec,
        event_time: Option<&str>,
    ) -> Result<Self, WriteError> {
        let failed = |error| WriteError { sink: name.to_owned(), error };
        let SinkRows { written: rows, messages } = rows;
        let event_time = event_time.filter(|column| rows.index_of(column).is_ok()).map(str::to_owned);
        let settings = PartitionSettings { by: table.partition_by.clone(), event_time };
        let partitioning = Partitioning::new(&rows, &settings).map_err(failed)?;
        table.format.check(partitioning.file_schema()).map_err(failed)?;
        if let Mode::Upsert(key) = &table.mode {
            key.check(&rows).map_err(failed)?;
        }
        let is_staged = messages.is_some() || matches!(table.mode, Mode::Upsert(_));
        let staging = is_staged.then(|| Partitioning::staging(&rows)).transpose().map_err(failed)?;
        let held = messages.as_ref().unwrap_or(partitioning.table_schema());
        let held =
            RecordSchema::from_arrow(held).map_err(|error| failed(RowsError::Schema(error.to_string())))?;
        Ok(Self {
            name: name.to_owned(),
            partitioning,
            staging,
            rows,
            table: held,
            file_size: table.file_size,
            format: table.format,
        })
    }

    fn writer(&self, incarnation: Uuid, lane: usize) -> RowWriter {
        let settings = WriterSettings {
            incarnation,
            thread: lane,
            file_size: self.file_size,
            max_partitions: MAX_OPEN_PARTITIONS,
            format: self.format,
        };
        let partitioning = self.staging.as_ref().unwrap_or(&self.partitioning);
        RowWriter::new(settings, self.rows.clone(), partitioning.clone())
    }
}

impl Outputs {
    pub fn new(layouts: &[SinkLayout], incarnation: Uuid, lane: usize) -> Self {
        let sinks = layouts
            .iter()
            .map(|layout| Output {
                name: layout.name.clone(),
                rows: layout.rows.clone(),
                writer: layout.writer(incarnation, lane),
            })
            .collect();
        Self { sinks }
    }

    /// Writes rows; columns that the sink's table does not hold are left out.
    pub fn write(&mut self, sink: SinkIndex, rows: &RecordBatch) -> Result<(), WriteError> {
        let output = self.sinks.get_mut(sink).expect("a lane has an output for each sink of its tree");
        let failed = |error| WriteError { sink: output.name.clone(), error };
        let columns: Vec<usize> = output
            .rows
            .fields()
            .iter()
            .filter_map(|field| rows.schema_ref().index_of(field.name()).ok())
            .collect();
        let rows = rows.project(&columns).map_err(|error| failed(error.into()))?;
        output.writer.write(&rows).map_err(|error| WriteError { sink: output.name.clone(), error })
    }

    pub fn buffered_bytes(&self) -> usize {
        self.sinks.iter().map(|output| output.writer.buffered_bytes()).sum()
    }

    /// Hands over everything written since the last cut.
    pub fn cut(&mut self, epoch: u64) -> Result<Vec<SinkFiles>, WriteError> {
        let mut cut = Vec::new();
        for (sink, output) in self.sinks.iter_mut().enumerate() {
            let files = output
                .writer
                .finish(epoch)
                .map_err(|error| WriteError { sink: output.name.clone(), error })?;
            if !files.is_empty() {
                cut.push(SinkFiles { sink, files });
            }
        }
        Ok(cut)
    }
}
