//! The files that a merge adds: what is left of the files that it removes, and the winners.

use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use deltalake_core::DeltaTableError;
use deltalake_core::kernel::schema::cast_record_batch;
use futures::TryStreamExt;
use object_store::ObjectStore;
use parquet::arrow::async_reader::ParquetRecordBatchStream;
use uuid::Uuid;

use super::incoming::Incoming;
use super::matching::Match;
use super::{Merge, MergeError, reading};
use crate::ledger::entry::DataFile;
use crate::sink::rows::{FileFormat, RowWriter, Values, WriterSettings, upload};

/// Bytes of files that are being written, beyond which the largest is closed before it is full.
const BUFFERED_BYTES: usize = 256 << 20;
const OPEN_FILES: usize = 64;

/// Returns the new files, in place.
pub(super) async fn rewrite(
    merge: &Merge<'_>,
    incoming: &Incoming,
    matches: &[Match<'_>],
) -> Result<Vec<DataFile>, MergeError> {
    let rows = Arc::new(merge.partitioning.rows_of(&merge.table));
    let in_file = merge.partitioning.file_schema().clone();
    let mut output = Output::new(merge, &rows);
    // In the order of partitions, so that what is left of many files comes together.
    for found in matches {
        let listed = Listed { rows: &found.replaced, are_kept: false };
        let mut kept = Selected::open(merge, found.path, found.file.size, listed).await?;
        while let Some(batch) = kept.next(&in_file).await? {
            output.write(&found.file.partition, &batch).await?;
        }
    }
    for (staged, winners) in merge.staged.iter().zip(incoming.rows_by_file(merge.staged.len())) {
        if winners.is_empty() {
            continue;
        }
        let listed = Listed { rows: &winners, are_kept: true };
        let mut kept = Selected::open(merge, &staged.file.path, staged.file.size, listed).await?;
        while let Some(batch) = kept.next(&rows).await? {
            for (partition, batch) in merge.partitioning.split(&batch)? {
                output.write(&partition, &batch).await?;
            }
        }
    }
    output.finish().await
}

/// The rows to take of a file, or to leave out: ascending.
struct Listed<'a> {
    rows: &'a [u32],
    are_kept: bool,
}

/// A file's rows without those that are not wanted.
struct Selected<'a> {
    path: &'a str,
    batches: ParquetRecordBatchStream<reading::StoredFile>,
    listed: Listed<'a>,
    row: u32,
}

impl<'a> Selected<'a> {
    async fn open(
        merge: &Merge<'_>,
        path: &'a str,
        size: u64,
        listed: Listed<'a>,
    ) -> Result<Self, MergeError> {
        Ok(Self { path, batches: reading::open(merge.store, path, size, None).await?, listed, row: 0 })
    }

    /// The next rows, with the columns of `schema`; those that the file lacks are null.
    async fn next(&mut self, schema: &SchemaRef) -> Result<Option<RecordBatch>, MergeError> {
        loop {
            let next = self.batches.try_next().await.map_err(|error| reading::failure(self.path, error))?;
            let Some(batch) = next else { return Ok(None) };
            tokio::task::yield_now().await;
            let rows = u32::try_from(batch.num_rows()).unwrap_or(u32::MAX);
            let mask = self.listed.mask(self.row, rows);
            self.row += rows;
            let batch = filter_record_batch(&batch, &mask)?;
            if batch.num_rows() > 0 {
                let whole = cast_record_batch(&batch, schema.clone(), false, true);
                let unfit = |error: DeltaTableError| MergeError::Unreadable {
                    path: self.path.to_owned(),
                    what: error.to_string(),
                };
                return Ok(Some(whole.map_err(unfit)?));
            }
        }
    }
}

impl Listed<'_> {
    /// For each of the `count` rows from `first` on whether it is wanted.
    fn mask(&mut self, first: u32, count: u32) -> BooleanArray {
        let mut mask = vec![!self.are_kept; count as usize];
        let here = self.rows.partition_point(|row| *row < first.saturating_add(count));
        let (here, later) = self.rows.split_at(here);
        self.rows = later;
        for row in here {
            if let Some(wanted) = mask.get_mut((row - first) as usize) {
                *wanted = self.are_kept;
            }
        }
        mask.into()
    }
}

struct Output<'a> {
    store: &'a Arc<dyn ObjectStore>,
    writer: RowWriter,
    stem: String,
    files: Vec<DataFile>,
}

impl<'a> Output<'a> {
    fn new(merge: &Merge<'a>, rows: &SchemaRef) -> Self {
        let attempt = Uuid::new_v4();
        let settings = WriterSettings {
            incarnation: attempt,
            thread: 0,
            file_size: merge.file_size,
            max_partitions: OPEN_FILES + 1,
            format: FileFormat::TABLE,
        };
        Self {
            store: merge.store,
            writer: RowWriter::new(settings, rows.clone(), merge.partitioning.clone()),
            // Not a name that an epoch's files have: no sweep ever takes it for one.
            stem: format!("merged-{attempt}"),
            files: Vec::new(),
        }
    }

    async fn write(&mut self, partition: &Values, rows: &RecordBatch) -> Result<(), MergeError> {
        while self.writer.open_files() >= OPEN_FILES || self.writer.buffered_bytes() > BUFFERED_BYTES {
            if !self.writer.close_largest(partition)? {
                break;
            }
            self.upload().await?;
        }
        self.writer.write_to(partition, rows)?;
        self.upload().await
    }

    async fn upload(&mut self) -> Result<(), MergeError> {
        let closed = self.writer.take_closed(&self.stem);
        if !closed.is_empty() {
            self.files.extend(upload(self.store, closed).await?);
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<Vec<DataFile>, MergeError> {
        self.writer.close_all()?;
        self.upload().await?;
        Ok(self.files)
    }
}
