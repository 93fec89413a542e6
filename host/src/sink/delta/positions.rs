//! The positions of a table's rows, for whom wants to count them.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use object_store::ObjectStoreExt;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::{DeltaError, DeltaStorage, TableView};
use crate::sink::rows::RowsError;

const COLUMNS: [&str; 3] = ["_topic", "_partition", "_offset"];

/// Calls `each` with topic, partition and offset of every row that has them, file by file; rows that others
/// deleted by deletion vectors included. Says whether the table carries positions at all.
pub async fn positions(
    storage: &DeltaStorage,
    table: &TableView,
    mut each: impl FnMut(&str, i32, i64),
) -> Result<bool, DeltaError> {
    if !COLUMNS.iter().all(|name| table.columns.iter().any(|(column, _)| column == name)) {
        return Ok(false);
    }
    for file in &table.files {
        let store = |source| RowsError::Store { path: file.path.clone(), source };
        let bytes =
            storage.table_store().get(&file.object).await.map_err(store)?.bytes().await.map_err(store)?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
        let mask = ProjectionMask::columns(reader.parquet_schema(), COLUMNS);
        for batch in reader.with_projection(mask).build()? {
            read(&batch?, &mut each)?;
        }
    }
    Ok(true)
}

fn read(rows: &RecordBatch, each: &mut impl FnMut(&str, i32, i64)) -> Result<(), DeltaError> {
    let column = |name: &str, of: &DataType| -> Result<Option<ArrayRef>, DeltaError> {
        Ok(rows.column_by_name(name).map(|column| cast(column, of)).transpose()?)
    };
    let [topic, partition, offset] = COLUMNS;
    let columns = (
        column(topic, &DataType::Utf8)?,
        column(partition, &DataType::Int32)?,
        column(offset, &DataType::Int64)?,
    );
    // A file that others wrote may lack them.
    let (Some(topics), Some(partitions), Some(offsets)) = columns else { return Ok(()) };
    let partitions = partitions.as_primitive::<Int32Type>();
    let offsets = offsets.as_primitive::<Int64Type>();
    for (row, topic) in topics.as_string::<i32>().iter().enumerate() {
        if let Some(topic) = topic.filter(|_| partitions.is_valid(row) && offsets.is_valid(row)) {
            each(topic, partitions.value(row), offsets.value(row));
        }
    }
    Ok(())
}
