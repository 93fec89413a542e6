//! Rows to Parquet files in memory.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{Schema, SchemaRef};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, PageType, ZstdLevel};
use parquet::column::page::{Page, PageReader};
use parquet::file::metadata::{PageEncodingStats, ParquetMetaData};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnPath;
use uuid::Uuid;

use super::partition::Values;
use super::{DeltaError, Partitioning, stats};
use crate::ledger::entry::DataFile;

/// A file is looked at for its size after this many rows.
const ROWS_AT_ONCE: usize = 8192;
/// How many files a column goes without a dictionary before it is tried again.
const FILES_WITHOUT_DICTIONARY: u64 = 32;
/// With fewer rows nothing can be said about how distinct they are.
const ROWS_TO_JUDGE: i64 = 1024;

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
}

/// A file that has its name, but is not yet in its place. `file.modified_at_ms` is set by the upload.
#[derive(Debug, Clone)]
pub struct EncodedFile {
    pub bytes: Bytes,
    pub file: DataFile,
}

/// Turns the rows of all tasks of a thread into data files. It neither blocks nor does I/O.
pub struct DeltaWriter {
    settings: WriterSettings,
    rows: SchemaRef,
    partitioning: Partitioning,
    open: BTreeMap<Values, ArrowWriter<Vec<u8>>>,
    closed: Vec<Closed>,
    /// Files that were named since the last time that everything was handed over.
    named: usize,
    /// Leaf columns whose values are mostly distinct, and the file from which they get a dictionary again.
    without_dictionary: HashMap<ColumnPath, u64>,
    files: u64,
}

struct Closed {
    partition: Values,
    bytes: Bytes,
    rows: u64,
    stats: String,
}

impl DeltaWriter {
    /// `rows` is the schema that `partitioning` was made for.
    pub fn new(settings: WriterSettings, rows: SchemaRef, partitioning: Partitioning) -> Self {
        let (open, closed, named, without_dictionary) = Default::default();
        Self { settings, rows, partitioning, open, closed, named, without_dictionary, files: 0 }
    }

    /// Encodes the rows. After an error the epoch's rows are incomplete: drop the epoch and the writer.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), DeltaError> {
        if !same_columns(batch.schema_ref(), &self.rows) {
            let what = format!("expected {:?}, got {:?}", self.rows.fields(), batch.schema_ref().fields());
            return Err(DeltaError::OtherRows(what));
        }
        for (partition, rows) in self.partitioning.split(batch)? {
            self.write_to(&partition, &rows)?;
        }
        Ok(())
    }

    /// Encodes rows of one partition, without its columns.
    pub(super) fn write_to(&mut self, partition: &Values, rows: &RecordBatch) -> Result<(), DeltaError> {
        let rows = self.as_written(rows)?;
        let mut from = 0;
        while from < rows.num_rows() {
            let length = ROWS_AT_ONCE.min(rows.num_rows() - from);
            self.append(partition, &rows.slice(from, length))?;
            from += length;
        }
        Ok(())
    }

    /// Closes the open file that holds the most, but not that of `spared`. Says whether there was one.
    pub(super) fn close_largest(&mut self, spared: &Values) -> Result<bool, DeltaError> {
        let others = self.open.iter().filter(|(partition, _)| *partition != spared);
        let largest = others.max_by_key(|(_, file)| file.bytes_written() + file.in_progress_size());
        let Some(partition) = largest.map(|(partition, _)| partition.clone()) else { return Ok(false) };
        if let Some(file) = self.open.remove(&partition) {
            self.close(partition, file)?;
        }
        Ok(true)
    }

    pub(super) fn open_files(&self) -> usize {
        self.open.len()
    }

    /// Bytes that the writer holds on to: closed files, and what the open ones have encoded so far.
    pub fn buffered_bytes(&self) -> usize {
        let open: usize = self.open.values().map(|file| file.bytes_written() + file.memory_size()).sum();
        open + self.closed.iter().map(|file| file.bytes.len()).sum::<usize>()
    }

    /// Hands over everything that was written since the last time, and starts anew.
    pub fn finish(&mut self, epoch: u64) -> Result<Vec<EncodedFile>, DeltaError> {
        let WriterSettings { incarnation, thread, .. } = &self.settings;
        let stem = format!("{incarnation}-{epoch}-{thread}");
        self.close_all()?;
        let files = self.take_closed(&stem);
        self.named = 0;
        Ok(files)
    }

    pub(super) fn close_all(&mut self) -> Result<(), DeltaError> {
        while let Some((partition, file)) = self.open.pop_first() {
            self.close(partition, file)?;
        }
        Ok(())
    }

    /// Hands over the files that are closed.
    pub(super) fn take_closed(&mut self, stem: &str) -> Vec<EncodedFile> {
        let closed = std::mem::take(&mut self.closed);
        let numbers = self.named..;
        self.named += closed.len();
        numbers.zip(closed).map(|(number, file)| self.name(file, stem, number)).collect()
    }

    fn as_written(&self, rows: &RecordBatch) -> Result<RecordBatch, DeltaError> {
        let schema = self.partitioning.file_schema();
        if rows.schema_ref().fields() == schema.fields() {
            return Ok(rows.clone());
        }
        // A value that the written type cannot hold is an error, not a null.
        let options = CastOptions { safe: false, ..CastOptions::default() };
        let columns = rows
            .columns()
            .iter()
            .zip(schema.fields())
            .map(|(column, field)| cast_with_options(column, field.data_type(), &options))
            .collect::<Result<Vec<ArrayRef>, _>>()?;
        Ok(RecordBatch::try_new(schema.clone(), columns)?)
    }

    fn append(&mut self, partition: &Values, rows: &RecordBatch) -> Result<(), DeltaError> {
        if !self.open.contains_key(partition) {
            if self.open.len() >= self.settings.max_partitions {
                return Err(DeltaError::TooManyPartitions { limit: self.settings.max_partitions });
            }
            let file = self.open_file()?;
            self.open.insert(partition.clone(), file);
        }
        let Some(file) = self.open.get_mut(partition) else { return Ok(()) };
        file.write(rows)?;
        if file.bytes_written() + file.in_progress_size() >= self.settings.file_size
            && let Some((partition, file)) = self.open.remove_entry(partition)
        {
            self.close(partition, file)?;
        }
        Ok(())
    }

    fn open_file(&mut self) -> Result<ArrowWriter<Vec<u8>>, DeltaError> {
        let now = self.files;
        self.files += 1;
        self.without_dictionary.retain(|_, again| *again > now);
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_offset_index_disabled(true)
            .set_created_by(concat!("sluicebox version ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_coerce_types(true);
        for column in self.without_dictionary.keys() {
            properties = properties.set_column_dictionary_enabled(column.clone(), false);
        }
        // Readers go by the table's schema; Arrow's own would only tell them of our types.
        let options =
            ArrowWriterOptions::new().with_properties(properties.build()).with_skip_arrow_metadata(true);
        Ok(ArrowWriter::try_new_with_options(Vec::new(), self.partitioning.file_schema().clone(), options)?)
    }

    fn close(&mut self, partition: Values, mut file: ArrowWriter<Vec<u8>>) -> Result<(), DeltaError> {
        let footer = file.finish()?;
        let bytes = Bytes::from(std::mem::take(file.inner_mut()));
        for column in mostly_distinct(&bytes, &footer)? {
            self.without_dictionary.insert(column, self.files + FILES_WITHOUT_DICTIONARY);
        }
        let stats = stats::stats(self.partitioning.file_schema().fields(), &footer);
        let rows = u64::try_from(footer.file_metadata().num_rows()).unwrap_or_default();
        self.closed.push(Closed { partition, bytes, rows, stats });
        Ok(())
    }

    fn name(&self, file: Closed, stem: &str, number: usize) -> EncodedFile {
        let folder = self.partitioning.folder(&file.partition);
        let columns = self.partitioning.columns().map(str::to_owned);
        EncodedFile {
            file: DataFile {
                path: format!("{folder}{stem}-{number}.parquet"),
                size: file.bytes.len() as u64,
                rows: file.rows,
                modified_at_ms: 0,
                partition_values: columns.zip(file.partition).collect(),
                stats: Some(file.stats),
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

/// Leaf columns whose dictionary did not pay: most of their values are distinct, or too many for one page.
fn mostly_distinct(file: &Bytes, footer: &ParquetMetaData) -> Result<HashSet<ColumnPath>, DeltaError> {
    let mut columns = HashSet::new();
    let file = Arc::new(file.clone());
    for group in footer.row_groups().iter().filter(|group| group.num_rows() >= ROWS_TO_JUDGE) {
        let rows = usize::try_from(group.num_rows()).unwrap_or_default();
        for chunk in group.columns().iter().filter(|chunk| chunk.dictionary_page_offset().is_some()) {
            let overflowed =
                chunk.page_encoding_stats().is_some_and(|pages| pages.iter().any(is_plain_data_page));
            let mut pages = SerializedPageReader::new(Arc::clone(&file), chunk, rows, None)?;
            let distinct = match pages.get_next_page()? {
                Some(Page::DictionaryPage { num_values, .. }) => i64::from(num_values),
                _ => 0,
            };
            let nulls = chunk.statistics().and_then(Statistics::null_count_opt).unwrap_or_default();
            let values = chunk.num_values() - i64::try_from(nulls).unwrap_or_default();
            if overflowed || distinct * 2 > values {
                columns.insert(chunk.column_path().clone());
            }
        }
    }
    Ok(columns)
}

fn is_plain_data_page(pages: &PageEncodingStats) -> bool {
    pages.page_type != PageType::DICTIONARY_PAGE && pages.encoding == Encoding::PLAIN
}
