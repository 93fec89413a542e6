//! Rows of a Parquet file.

use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};

use super::ReferenceError;
use super::rows::CollectedRows;

pub(super) fn read(
    bytes: Bytes,
    rows: &mut CollectedRows,
    unreadable: impl Fn(String) -> ReferenceError,
) -> Result<(), ReferenceError> {
    // Without the writer's own Arrow types: text is `Utf8`, whatever it was in memory there.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options)
        .map_err(|error| unreadable(error.to_string()))?;
    rows.expect(reader.schema().clone());
    for batch in reader.build().map_err(|error| unreadable(error.to_string()))? {
        rows.push(batch.map_err(|error| unreadable(error.to_string()))?)?;
    }
    Ok(())
}
