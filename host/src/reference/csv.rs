//! Rows of a CSV file.

use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit, TimestampMicrosecondType};
use arrow::error::ArrowError;
use arrow_csv::ReaderBuilder;
use arrow_csv::reader::Format;

use super::rows::CollectedRows;
use super::{CsvForm, ReferenceError};

pub(super) fn read(
    bytes: &[u8],
    form: &CsvForm,
    rows: &mut CollectedRows,
    unreadable: impl Fn(String) -> ReferenceError,
) -> Result<(), ReferenceError> {
    let columns = columns(bytes, form).map_err(&unreadable)?;
    let read_as: Vec<Field> =
        columns.iter().map(|(name, of)| Field::new(name, parsed_as(of.as_ref()), true)).collect();
    let wanted: Vec<usize> = (0..columns.len()).filter(|column| columns[*column].1.is_some()).collect();
    let types: Vec<Field> =
        columns.into_iter().filter_map(|(name, of)| of.map(|of| Field::new(name, of, true))).collect();
    let schema = Arc::new(Schema::new(types));
    rows.expect(schema.clone());
    let reader = ReaderBuilder::new(Arc::new(Schema::new(read_as)))
        .with_delimiter(form.delimiter)
        .with_header(form.header)
        .with_batch_size(8192)
        .with_projection(wanted)
        .build(Cursor::new(bytes))
        .map_err(|error| unreadable(error.to_string()))?;
    for batch in reader {
        let batch = batch.and_then(|batch| in_utc(&batch, &schema));
        rows.push(batch.map_err(|error| unreadable(told(&error, form)))?)?;
    }
    Ok(())
}

/// The lines of values that cannot be parsed are counted from the first row.
fn told(error: &ArrowError, form: &CsvForm) -> String {
    match error {
        ArrowError::ParseError(what) if form.header => format!("{what}, not counting the header"),
        _ => error.to_string(),
    }
}

/// The columns of the file, in its order: with their type, or none where they are left out.
fn columns(bytes: &[u8], form: &CsvForm) -> Result<Vec<(String, Option<DataType>)>, String> {
    if !form.header {
        let columns = form.columns.iter().flatten();
        return Ok(columns.map(|(name, of)| (name.clone(), Some(of.clone()))).collect());
    }
    let format = Format::default().with_header(true).with_delimiter(form.delimiter);
    let (header, _) = format.infer_schema(bytes, Some(0)).map_err(|error| error.to_string())?;
    let names: Vec<&String> = header.fields().iter().map(|field| field.name()).collect();
    if let Some((_, twice)) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
        return Err(format!("its header has `{twice}` twice"));
    }
    let Some(wanted) = &form.columns else {
        return Ok(names.into_iter().map(|name| (name.clone(), Some(DataType::Utf8))).collect());
    };
    if let Some((missing, _)) = wanted.iter().find(|(name, _)| !names.contains(&name)) {
        return Err(format!("its header lacks the column `{missing}`"));
    }
    let of = |name: &str| wanted.iter().find(|(wanted, _)| wanted == name).map(|(_, of)| of.clone());
    Ok(names.into_iter().map(|name| (name.clone(), of(name))).collect())
}

/// The reader knows time zones by their offset only.
fn parsed_as(of: Option<&DataType>) -> DataType {
    match of {
        Some(DataType::Timestamp(TimeUnit::Microsecond, Some(_))) => {
            DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()))
        }
        Some(of) => of.clone(),
        None => DataType::Utf8,
    }
}

fn in_utc(batch: &RecordBatch, schema: &Arc<Schema>) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| -> ArrayRef {
        match field.data_type() {
            DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) => {
                let times = column.as_primitive::<TimestampMicrosecondType>().clone();
                Arc::new(times.with_timezone(Arc::clone(zone)))
            }
            _ => Arc::clone(column),
        }
    });
    RecordBatch::try_new(schema.clone(), columns.collect())
}
