//! Reads Delta tables with nothing of Sluicebox: the files that the newest snapshot lists, by parquet.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use url::Url;

/// The newest version of the table at `path`; `None` before it exists.
pub fn newest_version(path: &Path) -> Result<Option<u64>> {
    let Ok(log) = path.join("_delta_log").read_dir() else { return Ok(None) };
    let mut newest = None;
    for entry in log {
        let name = entry?.file_name();
        let version = name.to_str().and_then(|name| name.strip_suffix(".json")?.parse().ok());
        newest = newest.max(version);
    }
    Ok(newest)
}

/// The newest state of a table in a local folder.
#[derive(Debug, Clone)]
pub struct Table {
    pub version: u64,
    files: Vec<PathBuf>,
}

impl Table {
    /// `None` if there is no table at `path`.
    pub fn open(path: &Path) -> Result<Option<Self>> {
        if !path.join("_delta_log").is_dir() {
            return Ok(None);
        }
        let url =
            Url::from_directory_path(path).map_err(|()| anyhow!("{} is not absolute", path.display()))?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let opened = runtime.block_on(deltalake::open_table(url));
        let table = opened.with_context(|| format!("table {}", path.display()))?;
        let snapshot = table.snapshot()?;
        let mut files = Vec::new();
        for file in snapshot.log_data() {
            ensure!(file.deletion_vector_descriptor().is_none(), "{} has deletion vectors", path.display());
            files.push(path.join(file.object_store_path().as_ref()));
        }
        Ok(Some(Self { version: snapshot.version() as u64, files }))
    }

    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    pub fn rows(&self) -> Result<u64> {
        let mut rows = 0;
        self.scan(|batch| {
            rows += batch.num_rows() as u64;
            Ok(())
        })?;
        Ok(rows)
    }

    /// Calls `each` with every batch of rows, files in no particular order. Partition columns are not
    /// in the files, and so not in the batches.
    pub fn scan(&self, mut each: impl FnMut(&RecordBatch) -> Result<()>) -> Result<()> {
        for path in &self.files {
            let file = File::open(path).with_context(|| format!("listed file {}", path.display()))?;
            for batch in ParquetRecordBatchReaderBuilder::try_new(file)?.build()? {
                each(&batch?).with_context(|| format!("in {}", path.display()))?;
            }
        }
        Ok(())
    }

    /// Every row as text, sorted. Columns go by name and nulls are left out, so that files from before
    /// and after a schema change compare.
    pub fn rows_as_text(&self) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        self.scan(|batch| {
            lines.extend(batch_as_text(batch)?);
            Ok(())
        })?;
        lines.sort_unstable();
        Ok(lines)
    }
}

fn batch_as_text(batch: &RecordBatch) -> Result<Vec<String>> {
    let schema = batch.schema();
    let mut by_name: Vec<usize> = (0..batch.num_columns()).collect();
    by_name.sort_unstable_by_key(|column| schema.field(*column).name());
    // The JSON writer leaves nulls out, nested ones too.
    let mut writer = arrow::json::LineDelimitedWriter::new(Vec::new());
    writer.write(&batch.project(&by_name)?)?;
    writer.finish()?;
    let text = String::from_utf8(writer.into_inner())?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// The positions of a batch's rows, from its columns `_partition` and `_offset`.
pub fn positions(batch: &RecordBatch) -> Result<Vec<(i32, i64)>> {
    let partitions = cast(column(batch, "_partition")?, &DataType::Int32)?;
    let offsets = cast(column(batch, "_offset")?, &DataType::Int64)?;
    if partitions.null_count() + offsets.null_count() > 0 {
        bail!("a row without position");
    }
    let partitions = partitions.as_primitive::<Int32Type>().values().iter().copied();
    Ok(partitions.zip(offsets.as_primitive::<Int64Type>().values().iter().copied()).collect())
}

/// A column of strings; a dictionary or view is unfolded.
pub fn strings(batch: &RecordBatch, name: &str) -> Result<ArrayRef> {
    Ok(cast(column(batch, name)?, &DataType::Utf8)?)
}

/// A column of bytes.
pub fn bytes(batch: &RecordBatch, name: &str) -> Result<ArrayRef> {
    Ok(cast(column(batch, name)?, &DataType::Binary)?)
}

/// A column by its name.
pub fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    batch.column_by_name(name).with_context(|| format!("no column `{name}`"))
}
