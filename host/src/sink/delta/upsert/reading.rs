//! Parquet files out of the store, row group by row group, and the keys of their rows.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray, new_null_array};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStream};
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use super::MergeError;
use crate::sink::delta::row_key::RowKey;
use crate::sink::rows::Values;

const BATCH_ROWS: usize = 8192;

/// A file of known size in the store.
pub(super) struct StoredFile {
    store: Arc<dyn ObjectStore>,
    path: Path,
    size: u64,
}

/// Opens a file for the columns in `names` that it has, or for all.
pub(super) async fn open(
    store: &Arc<dyn ObjectStore>,
    path: &str,
    size: u64,
    names: Option<&[&str]>,
) -> Result<ParquetRecordBatchStream<StoredFile>, MergeError> {
    let failed = |error| failure(path, error);
    let location = Path::parse(path).unwrap_or_else(|_| Path::from(path));
    let file = StoredFile { store: Arc::clone(store), path: location, size };
    let mut builder = ParquetRecordBatchStreamBuilder::new(file).await.map_err(failed)?;
    if let Some(names) = names {
        let roots = builder.parquet_schema().root_schema().get_fields().iter().enumerate();
        let wanted: Vec<_> =
            roots.filter(|(_, field)| names.contains(&field.name())).map(|(index, _)| index).collect();
        let mask = ProjectionMask::roots(builder.parquet_schema(), wanted);
        builder = builder.with_projection(mask);
    }
    builder.with_batch_size(BATCH_ROWS).build().map_err(failed)
}

pub(super) fn failure(path: &str, error: ParquetError) -> MergeError {
    let (path, what) = (path.to_owned(), error.to_string());
    let ParquetError::External(cause) = &error else { return MergeError::Unreadable { path, what } };
    match cause.downcast_ref::<object_store::Error>() {
        Some(object_store::Error::NotFound { .. }) => MergeError::Gone { path },
        Some(_) => MergeError::Unavailable { path, what },
        None => MergeError::Unreadable { path, what },
    }
}

fn external(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

impl AsyncFileReader for StoredFile {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        async move { self.store.get_range(&self.path, range).await.map_err(external) }.boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, Result<Vec<Bytes>, ParquetError>> {
        async move { self.store.get_ranges(&self.path, &ranges).await.map_err(external) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        async move {
            let size = self.size;
            let reader = ParquetMetaDataReader::new().with_prefetch_hint(Some(64 << 10));
            Ok(Arc::new(reader.load_and_finish(self, size).await?))
        }
        .boxed()
    }
}

/// Keys and orders as bytes that compare as their values do. A key's bytes are those of its columns, one after
/// the other; none is the beginning of another.
pub(super) struct KeyEncoder {
    key: Vec<ColumnEncoder>,
    order: ColumnEncoder,
}

struct ColumnEncoder {
    name: String,
    data_type: DataType,
    converter: RowConverter,
}

/// The keys of a batch's rows.
pub(super) struct EncodedKeys {
    pub columns: Vec<Rows>,
    pub order: Rows,
    /// Where all of the key's columns have a value.
    has_key: Option<NullBuffer>,
    has_order: Option<NullBuffer>,
}

impl KeyEncoder {
    /// Types are those of the table, so that all files' keys compare.
    pub fn new(table: &Schema, key: &RowKey) -> Result<Self, ArrowError> {
        let column = |name: &String| ColumnEncoder::new(table, name);
        let order = column(&key.order_by)?;
        Ok(Self { key: key.columns.iter().map(column).collect::<Result<_, _>>()?, order })
    }

    /// The rows of a file's batch; `partition` has the columns that are not in the file.
    pub fn encode(
        &self,
        batch: &RecordBatch,
        partition: &[(&str, &Option<String>)],
    ) -> Result<EncodedKeys, ArrowError> {
        let (mut columns, mut has_key) = (Vec::with_capacity(self.key.len()), None);
        for column in &self.key {
            let values = column.values(batch, partition)?;
            has_key = NullBuffer::union(has_key.as_ref(), values.logical_nulls().as_ref());
            columns.push(column.converter.convert_columns(&[values])?);
        }
        let order = self.order.values(batch, partition)?;
        let has_order = order.logical_nulls();
        Ok(EncodedKeys {
            columns,
            order: self.order.converter.convert_columns(&[order])?,
            has_key,
            has_order,
        })
    }
}

impl ColumnEncoder {
    pub fn new(table: &Schema, name: &str) -> Result<Self, ArrowError> {
        let data_type = table.field_with_name(name)?.data_type().clone();
        let converter = RowConverter::new(vec![SortField::new(data_type.clone())])?;
        Ok(Self { name: name.to_owned(), data_type, converter })
    }

    fn values(
        &self,
        batch: &RecordBatch,
        partition: &[(&str, &Option<String>)],
    ) -> Result<ArrayRef, ArrowError> {
        let rows = batch.num_rows();
        if let Some(values) = batch.column_by_name(&self.name) {
            return cast(values, &self.data_type);
        }
        match partition.iter().find(|(name, _)| *name == self.name) {
            Some((_, Some(text))) => {
                let texts: ArrayRef = Arc::new(StringArray::from(vec![text.as_str(); rows]));
                cast(&texts, &self.data_type)
            }
            _ => Ok(new_null_array(&self.data_type, rows)),
        }
    }
}

impl EncodedKeys {
    /// Puts the row's key in place of what is in `key`; says whether it has one.
    pub fn key(&self, row: usize, key: &mut Vec<u8>) -> bool {
        key.clear();
        if self.has_key.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return false;
        }
        self.columns.iter().for_each(|column| key.extend_from_slice(column.row(row).data()));
        true
    }

    pub fn has_order(&self, row: usize) -> bool {
        self.has_order.as_ref().is_none_or(|nulls| nulls.is_valid(row))
    }
}

/// The partition's values with the names of their columns.
pub(super) fn named<'a>(columns: &[&'a str], values: &'a Values) -> Vec<(&'a str, &'a Option<String>)> {
    columns.iter().copied().zip(values).collect()
}
