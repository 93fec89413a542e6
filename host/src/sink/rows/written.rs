//! The types that rows have in files and tables.
//!
//! | Arrow | written |
//! |---|---|
//! | boolean, int8 to int64, float32, float64, utf8, binary, date32 | the same |
//! | uint8, uint16, uint32 | the next wider signed integer |
//! | uint64 | decimal(20, 0) |
//! | float16 | float32 |
//! | large and view strings and binaries, fixed-size binary | string, binary |
//! | timestamps of any unit and zone | microseconds, UTC; without a zone they are read as UTC; nanoseconds are cut |
//! | date64 | date |
//! | decimals of up to 38 digits | the same |
//! | dictionary | its values' type |
//! | lists of every kind; struct; map | array; struct; map |
//!
//! Everything else (times, durations, intervals, null, unions) is refused when the pipeline is checked.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};

use super::{RowsError, refused};

/// The schema that rows of `schema` have in files and tables. Every column is nullable, so that
/// rows without it can follow. Errors name the column.
pub fn written_schema(schema: &Schema) -> Result<Schema, RowsError> {
    Ok(Schema::new(written_fields("", schema.fields())?))
}

fn written_fields(path: &str, fields: &Fields) -> Result<Fields, RowsError> {
    let mut names = HashSet::new();
    fields
        .iter()
        .map(|field| {
            let column =
                if path.is_empty() { field.name().clone() } else { format!("{path}.{}", field.name()) };
            if !names.insert(field.name().to_lowercase()) {
                return refused(
                    &column,
                    "another column differs from it by case only, and columns of tables ignore case",
                );
            }
            let data_type = written_type(&column, field.data_type())?;
            Ok(Arc::new(Field::new(field.name(), data_type, true)))
        })
        .collect()
}

fn written_type(column: &str, data_type: &DataType) -> Result<DataType, RowsError> {
    let element = |field: &FieldRef| -> Result<DataType, RowsError> {
        let data_type = written_type(&format!("{column}.element"), field.data_type())?;
        Ok(DataType::List(Arc::new(Field::new("element", data_type, true))))
    };
    match data_type {
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::Date32 => Ok(data_type.clone()),
        DataType::UInt8 => Ok(DataType::Int16),
        DataType::UInt16 => Ok(DataType::Int32),
        DataType::UInt32 => Ok(DataType::Int64),
        DataType::UInt64 => Ok(DataType::Decimal128(20, 0)),
        DataType::Float16 => Ok(DataType::Float32),
        DataType::FixedSizeBinary(_) => Ok(DataType::Binary),
        DataType::Date64 => Ok(DataType::Date32),
        DataType::Timestamp(_, _) => Ok(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => {
            if *precision > 38 || *scale < 0 {
                return refused(
                    column,
                    "tables hold decimals of up to 38 digits and with a scale of 0 or more",
                );
            }
            Ok(DataType::Decimal128(*precision, *scale))
        }
        DataType::Dictionary(_, values) => written_type(column, values),
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _) => element(field),
        DataType::Struct(fields) if fields.is_empty() => {
            refused(column, "a struct without fields cannot be stored")
        }
        DataType::Struct(fields) => Ok(DataType::Struct(written_fields(column, fields)?)),
        DataType::Map(entries, _) => written_map(column, entries),
        other => {
            refused(column, &format!("type `{other}` has no place in a table; cast it in a step before"))
        }
    }
}

fn written_map(column: &str, entries: &FieldRef) -> Result<DataType, RowsError> {
    let DataType::Struct(pair) = entries.data_type() else {
        return refused(column, "a map without keys and values");
    };
    let [key, value] = pair.as_ref() else {
        return refused(column, "a map without keys and values");
    };
    let key = Field::new("key", written_type(&format!("{column}.key"), key.data_type())?, false);
    let value = Field::new("value", written_type(&format!("{column}.value"), value.data_type())?, true);
    let entries = Field::new("key_value", DataType::Struct(vec![key, value].into()), false);
    Ok(DataType::Map(Arc::new(entries), false))
}

/// The rows with the types of `schema`, whose columns are theirs.
pub(in crate::sink) fn as_written(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, RowsError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn written(data_type: DataType) -> Result<DataType, RowsError> {
        written_schema(&Schema::new(vec![Field::new("c", data_type, true)]))
            .map(|schema| schema.field(0).data_type().clone())
    }

    #[test]
    fn types_without_a_counterpart_are_widened_or_refused_by_name() {
        assert_eq!(written(DataType::UInt8).expect("uint8"), DataType::Int16);
        assert_eq!(written(DataType::UInt64).expect("uint64"), DataType::Decimal128(20, 0));
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        assert_eq!(written(DataType::Timestamp(TimeUnit::Nanosecond, None)).expect("timestamp"), utc);
        assert_eq!(written(DataType::FixedSizeBinary(3)).expect("binary"), DataType::Binary);
        let inner = DataType::Struct(vec![Field::new("t", DataType::Time32(TimeUnit::Second), true)].into());
        let error =
            written(DataType::List(Arc::new(Field::new("item", inner, true)))).expect_err("time is refused");
        assert!(error.to_string().contains("`c.element.t`"), "{error}");
        let twice =
            Schema::new(vec![Field::new("a", DataType::Int32, true), Field::new("A", DataType::Int32, true)]);
        assert!(written_schema(&twice).is_err());
    }
}
