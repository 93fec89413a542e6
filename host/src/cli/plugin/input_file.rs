//! Rows from a file that lies on the disk: JSON lines as records, Parquet as a table.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Schema};
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};

use super::records::{RecordRows, Records};
use crate::decode::RESCUED_COLUMN;
use crate::schema::{RESERVED_PREFIX, RecordSchema, timestamp_type};

/// Reads at most `limit` rows. `declared` are columns of JSON lines; Parquet has its own.
pub fn read(path: &Path, declared: &RecordSchema, limit: usize) -> Result<RecordRows> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "parquet" if declared.columns().is_empty() => read_parquet(path, limit),
        "parquet" => bail!("a Parquet file has its own columns: leave `--column` out"),
        "jsonl" | "ndjson" | "json" => read_lines(path, declared, limit),
        _ => bail!("the file must end in .jsonl (a JSON object a line) or .parquet"),
    }
}

/// Opening a pipe would wait for somebody who writes into it.
fn open(path: &Path) -> Result<File> {
    ensure!(!path.metadata()?.file_type().is_fifo(), "it is a pipe, and no file");
    Ok(File::open(path)?)
}

fn read_lines(path: &Path, declared: &RecordSchema, limit: usize) -> Result<RecordRows> {
    let mut records = Records::new();
    let lines = BufReader::new(open(path)?).split(b'\n');
    let mut taken = 0;
    for (number, line) in lines.enumerate() {
        let line = line?;
        // Some programs begin every file of text with a byte order mark.
        let line = line.strip_prefix(b"\xef\xbb\xbf").filter(|_| number == 0).unwrap_or(&line);
        if taken == limit {
            break;
        }
        if !line.trim_ascii().is_empty() {
            records.push(Some(line), None, None);
            taken += 1;
        }
    }
    records.decode(declared)
}

fn read_parquet(path: &Path, limit: usize) -> Result<RecordRows> {
    // Without the writer's own Arrow types: text is `Utf8`, whatever it was in memory there.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(open(path)?, options)?;
    let schema = reader.schema().clone();
    let batches = reader.with_limit(limit).build()?.collect::<Result<Vec<_>, _>>()?;
    of_table(concat_batches(&schema, &batches)?)
}

/// A table that a pipeline wrote has columns that the host makes: `_timestamp` and `_key` are taken over, positions
/// and watermarks made anew.
fn of_table(table: RecordBatch) -> Result<RecordRows> {
    let schema = table.schema();
    let is_own = |name: &str| !name.starts_with(RESERVED_PREFIX) || name == RESCUED_COLUMN;
    let own: Vec<usize> =
        (0..schema.fields().len()).filter(|index| is_own(schema.field(*index).name())).collect();
    let mut rows = RecordRows::of_table(with_utc(table.project(&own)?)?);
    let given = |name: &str, of: &DataType| {
        table.column_by_name(name).filter(|column| column.data_type() == of).cloned()
    };
    let [_, _, _, timestamp, key] = &mut rows.positions;
    if let Some(found) = given("_timestamp", &timestamp_type()) {
        *timestamp = found;
    }
    if let Some(found) = given("_key", &DataType::Binary) {
        *key = found;
    }
    Ok(rows)
}

/// Parquet knows that a time is in UTC; all of it is microseconds, as pipelines have it.
fn with_utc(table: RecordBatch) -> Result<RecordBatch> {
    let (schema, columns, _) = table.into_parts();
    let mut fields = Vec::with_capacity(columns.len());
    let mut cast: Vec<ArrayRef> = Vec::with_capacity(columns.len());
    for (field, column) in schema.fields().iter().zip(columns) {
        let is_utc = matches!(field.data_type(), DataType::Timestamp(_, Some(_)));
        let data_type = if is_utc { timestamp_type() } else { field.data_type().clone() };
        let column = arrow::compute::cast(&column, &data_type)
            .with_context(|| format!("column `{}`", field.name()))?;
        fields.push(Arc::new(field.as_ref().clone().with_data_type(data_type)));
        cast.push(column);
    }
    let rows = cast.first().map_or(0, |column| column.len());
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), cast, &options)?)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use arrow::array::{
        Array, AsArray, BinaryArray, Int64Array, LargeStringArray, TimestampMicrosecondArray,
        TimestampMillisecondArray,
    };
    use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
    use parquet::arrow::ArrowWriter;

    use super::*;

    #[test]
    fn lines_are_records_and_blank_lines_are_not() {
        let mut file = tempfile::Builder::new().suffix(".jsonl").tempfile().unwrap();
        file.write_all(b"\xef\xbb\xbf{\"n\": 1}\n\n  \nnonsense\n{\"n\": 3}\n{\"n\": 4}").unwrap();
        let rows = read(file.path(), &RecordSchema::default(), 3).unwrap();
        assert_eq!(rows.payload.column(0).as_primitive::<Int64Type>().values(), &[1, 3]);
        assert_eq!(rows.dead.len(), 1);
        let all = read(file.path(), &RecordSchema::default(), usize::MAX).unwrap();
        assert_eq!(all.payload.num_rows(), 3);
    }

    #[test]
    fn a_table_of_a_pipeline_gets_positions_anew_and_keeps_keys_and_times() {
        let columns: [(&str, ArrayRef); 5] = [
            ("text", Arc::new(LargeStringArray::from(vec!["a", "b", "c"]))),
            ("at", Arc::new(TimestampMillisecondArray::from(vec![1, 2, 3]).with_timezone("UTC"))),
            ("_offset", Arc::new(Int64Array::from(vec![7, 7, 8]))),
            ("_timestamp", Arc::new(TimestampMicrosecondArray::from(vec![5, 6, 7]).with_timezone("UTC"))),
            ("_key", Arc::new(BinaryArray::from(vec![&b"k"[..], b"l", b"m"]))),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let file = tempfile::Builder::new().suffix(".parquet").tempfile().unwrap();
        let mut writer = ArrowWriter::try_new(file.reopen().unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();

        let rows = read(file.path(), &RecordSchema::default(), 2).unwrap();
        assert_eq!(rows.payload.schema().field(0).data_type(), &DataType::Utf8);
        assert_eq!(rows.payload.column(1).as_primitive::<TimestampMicrosecondType>().values(), &[1000, 2000]);
        assert_eq!(rows.payload.num_columns(), 2);
        let [_, _, offset, timestamp, key] = rows.positions;
        assert_eq!(offset.as_primitive::<Int64Type>().values(), &[0, 1]);
        assert_eq!(timestamp.as_primitive::<TimestampMicrosecondType>().values(), &[5, 6]);
        assert_eq!((key.as_binary::<i32>().value(1), key.len()), (&b"l"[..], 2));
    }

    #[test]
    fn other_files_are_refused() {
        let refused = read(Path::new("rows.csv"), &RecordSchema::default(), 1).unwrap_err();
        assert!(refused.to_string().contains(".jsonl"), "{refused}");
    }
}
