//! Rows to files in memory.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use bytes::Bytes;
use uuid::Uuid;

use super::parquet::{ParquetFile, ParquetFiles};
use super::text::{Text, TextFile};
use super::{Encoding, FileFormat, Partitioning, RowsError, Values, as_written};
use crate::ledger::entry::DataFile;

/// A file is looked at for its size after this many rows.
const ROWS_AT_ONCE: usize = 8192;

#[derive(Debug, Clone)]
pub struct WriterSettings {
    /// Random, new for each start of a worker; with the epoch it makes files that never were entered recognisable.
    pub incarnation: Uuid,
    /// The worker's thread: every thread has its own writer.
    pub thread: usize,
    /// Bytes at which a file is closed and the next begun.
    pub file_size: usize,
    /// Partitions that may be open at once.
    pub max_partitions: usize,
    pub format: FileFormat,
}

/// A file that has its name, but is not yet in its place. `file.modified_at_ms` is set by the upload.
#[derive(Debug, Clone)]
pub struct EncodedFile {
    pub bytes: Bytes,
    pub file: DataFile,
}

/// Turns the rows of all tasks of a thread into data files. It neither blocks nor does I/O.
pub struct RowWriter {
    settings: WriterSettings,
    rows: SchemaRef,
    partitioning: Partitioning,
    parquet: ParquetFiles,
    open: BTreeMap<Values, OpenFile>,
    closed: Vec<(Values, Finished)>,
    /// Files that were named since the last time that everything was handed over.
    named: usize,
}

enum OpenFile {
    Parquet(Box<ParquetFile>),
    Text(Box<TextFile>),
}

/// A file with all of its rows.
pub(super) struct Finished {
    pub bytes: Bytes,
    pub rows: u64,
    pub stats: Option<String>,
}

impl OpenFile {
    fn write(&mut self, rows: &RecordBatch) -> Result<(), RowsError> {
        match self {
            Self::Parquet(file) => Ok(file.write(rows)?),
            Self::Text(file) => file.write(rows),
        }
    }

    /// About what the file would have if it were closed now.
    fn size(&self) -> usize {
        match self {
            Self::Parquet(file) => file.bytes_written() + file.in_progress_size(),
            Self::Text(file) => file.bytes(),
        }
    }

    fn memory(&self) -> usize {
        match self {
            Self::Parquet(file) => file.bytes_written() + file.memory_size(),
            Self::Text(file) => file.bytes(),
        }
    }
}

impl RowWriter {
    /// `rows` is the schema that `partitioning` was made for.
    pub fn new(settings: WriterSettings, rows: SchemaRef, partitioning: Partitioning) -> Self {
        let parquet = ParquetFiles::new(partitioning.file_schema().clone(), settings.format.compression);
        let (open, closed, named) = Default::default();
        Self { settings, rows, partitioning, parquet, open, closed, named }
    }

    /// Encodes the rows. After an error the epoch's rows are incomplete: drop the epoch and the writer.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), RowsError> {
        if !same_columns(batch.schema_ref(), &self.rows) {
            let what = format!("expected {:?}, got {:?}", self.rows.fields(), batch.schema_ref().fields());
            return Err(RowsError::OtherRows(what));
        }
        for (partition, rows) in self.partitioning.split(batch)? {
            self.write_to(&partition, &rows)?;
        }
        Ok(())
    }

    /// Encodes rows of one partition, without its columns.
    pub(in crate::sink) fn write_to(
        &mut self,
        partition: &Values,
        rows: &RecordBatch,
    ) -> Result<(), RowsError> {
        let rows = as_written(rows, self.partitioning.file_schema())?;
        let mut from = 0;
        while from < rows.num_rows() {
            let length = ROWS_AT_ONCE.min(rows.num_rows() - from);
            self.append(partition, &rows.slice(from, length))?;
            from += length;
        }
        Ok(())
    }

    /// Closes the open file that holds the most, but not that of `spared`. Says whether there was one.
    pub(in crate::sink) fn close_largest(&mut self, spared: &Values) -> Result<bool, RowsError> {
        let others = self.open.iter().filter(|(partition, _)| *partition != spared);
        let largest = others.max_by_key(|(_, file)| file.size());
        let Some(partition) = largest.map(|(partition, _)| partition.clone()) else { return Ok(false) };
        if let Some(file) = self.open.remove(&partition) {
            self.close(partition, file)?;
        }
        Ok(true)
    }

    pub(in crate::sink) fn open_files(&self) -> usize {
        self.open.len()
    }

    /// Bytes that the writer holds on to: closed files, and what the open ones have encoded so far.
    pub fn buffered_bytes(&self) -> usize {
        let open: usize = self.open.values().map(OpenFile::memory).sum();
        open + self.closed.iter().map(|(_, file)| file.bytes.len()).sum::<usize>()
    }

    /// Hands over everything that was written since the last time, and starts anew.
    pub fn finish(&mut self, epoch: u64) -> Result<Vec<EncodedFile>, RowsError> {
        let WriterSettings { incarnation, thread, .. } = &self.settings;
        let stem = format!("{incarnation}-{epoch}-{thread}");
        self.close_all()?;
        let files = self.take_closed(&stem);
        self.named = 0;
        Ok(files)
    }

    pub(in crate::sink) fn close_all(&mut self) -> Result<(), RowsError> {
        while let Some((partition, file)) = self.open.pop_first() {
            self.close(partition, file)?;
        }
        Ok(())
    }

    /// Hands over the files that are closed.
    pub(in crate::sink) fn take_closed(&mut self, stem: &str) -> Vec<EncodedFile> {
        let closed = std::mem::take(&mut self.closed);
        let numbers = self.named..;
        self.named += closed.len();
        numbers
            .zip(closed)
            .map(|(number, (partition, file))| self.name(partition, file, stem, number))
            .collect()
    }

    fn append(&mut self, partition: &Values, rows: &RecordBatch) -> Result<(), RowsError> {
        if !self.open.contains_key(partition) {
            if self.open.len() >= self.settings.max_partitions {
                return Err(RowsError::TooManyPartitions { limit: self.settings.max_partitions });
            }
            let file = self.open_file()?;
            self.open.insert(partition.clone(), file);
        }
        let Some(file) = self.open.get_mut(partition) else { return Ok(()) };
        file.write(rows)?;
        if file.size() >= self.settings.file_size
            && let Some((partition, file)) = self.open.remove_entry(partition)
        {
            self.close(partition, file)?;
        }
        Ok(())
    }

    fn open_file(&mut self) -> Result<OpenFile, RowsError> {
        let FileFormat { encoding, compression } = self.settings.format;
        let text = |text| TextFile::open(text, compression, self.partitioning.file_schema());
        let text = |of| Ok(OpenFile::Text(Box::new(text(of)?)));
        match encoding {
            Encoding::Parquet => Ok(OpenFile::Parquet(Box::new(self.parquet.open()?))),
            Encoding::JsonLines => text(Text::JsonLines),
            Encoding::Csv => text(Text::Csv),
        }
    }

    fn close(&mut self, partition: Values, file: OpenFile) -> Result<(), RowsError> {
        let finished = match file {
            OpenFile::Parquet(file) => self.parquet.finish(*file)?,
            OpenFile::Text(file) => file.finish()?,
        };
        self.closed.push((partition, finished));
        Ok(())
    }

    fn name(&self, partition: Values, file: Finished, stem: &str, number: usize) -> EncodedFile {
        let folder = self.partitioning.folder(&partition);
        let columns = self.partitioning.columns().map(str::to_owned);
        EncodedFile {
            file: DataFile {
                path: format!("{folder}{stem}-{number}.{}", self.settings.format.ending()),
                size: file.bytes.len() as u64,
                rows: file.rows,
                modified_at_ms: 0,
                partition_values: columns.zip(partition).collect(),
                stats: file.stats,
            },
            bytes: file.bytes,
        }
    }
}

/// Whether two schemas have the same names and types. Whether a column may be null is nothing to a writer.
fn same_columns(a: &Schema, b: &Schema) -> bool {
    a.fields().len() == b.fields().len()
        && a.fields()
            .iter()
            .zip(b.fields())
            .all(|(a, b)| a.name() == b.name() && a.data_type().equals_datatype(b.data_type()))
}
