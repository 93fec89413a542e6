//! What the decoder as a whole promises. The parts have their own tests beside them.

mod growth;
mod properties;
mod records;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use serde_json::{Value, json};

use super::*;
use crate::batch::RawRecord;
use crate::progress::{OffsetRange, TopicPartition};
use crate::schema::tests::schema;

const SETTINGS: DecodeSettings =
    DecodeSettings { policy: Policy::Merge, max_columns: 100, max_depth: 32, max_record_bytes: 100_000 };

fn with_policy(policy: Policy) -> DecodeSettings {
    DecodeSettings { policy, ..SETTINGS }
}

fn raw<P: AsRef<[u8]>>(payloads: &[P]) -> RawBatch {
    let mut data = Vec::new();
    let mut records = Vec::new();
    for (offset, payload) in (0..).zip(payloads) {
        let start = data.len();
        data.extend_from_slice(payload.as_ref());
        let payload = Some(start..data.len());
        records.push(RawRecord { offset, timestamp_ms: None, key: None, payload });
    }
    let range = OffsetRange { from: 0, to: payloads.len() as i64 };
    RawBatch { partition: TopicPartition::new("t", 0), range, lost: false, records, data }
}

fn rows(decoded: Decoded) -> DecodedRows {
    match decoded {
        Decoded::Rows(rows) => rows,
        Decoded::SchemaChange(next) => panic!("the schema changes: {next:?}"),
    }
}

/// Decodes one batch under a schema that holds it.
fn decode<P: AsRef<[u8]>>(policy: Policy, columns: &[(&str, &str)], payloads: &[P]) -> DecodedRows {
    rows(Decoder::new(with_policy(policy), schema(columns)).unwrap().decode(&raw(payloads)))
}

/// Decodes one batch, following its schema changes.
fn settle<P: AsRef<[u8]>>(
    settings: DecodeSettings,
    mut schema: RecordSchema,
    payloads: &[P],
) -> (RecordSchema, DecodedRows) {
    loop {
        match Decoder::new(settings.clone(), schema.clone()).unwrap().decode(&raw(payloads)) {
            Decoded::Rows(rows) => return (schema, rows),
            Decoded::SchemaChange(next) => {
                assert_eq!(schema.merge(&next), Ok(next.clone()), "a schema only grows");
                assert_ne!(schema, next);
                schema = next;
            }
        }
    }
}

/// The rows as JSON objects without nulls; `_rescued` as the object that its text is.
fn to_json(batch: &RecordBatch) -> Vec<Value> {
    let object = |row| {
        let fields = batch.schema_ref().fields().iter().zip(batch.columns());
        Value::Object(
            fields
                .filter(|(_, column)| column.is_valid(row))
                .map(|(field, column)| {
                    let value = value_at(column, row);
                    let rescued = field.name() == RESCUED_COLUMN;
                    let text =
                        value.as_str().filter(|_| rescued).map(|text| serde_json::from_str(text).unwrap());
                    (field.name().clone(), text.unwrap_or(value))
                })
                .collect(),
        )
    };
    (0..batch.num_rows()).map(object).collect()
}

fn value_at(column: &ArrayRef, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Boolean => json!(column.as_boolean().value(row)),
        DataType::Int64 => json!(column.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => json!(column.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => json!(column.as_string::<i32>().value(row)),
        DataType::List(_) => {
            let items = column.as_list::<i32>().value(row);
            (0..items.len()).map(|item| value_at(&items, item)).collect()
        }
        DataType::Struct(fields) => {
            let columns = column.as_struct().columns();
            let members = fields.iter().zip(columns).filter(|(_, column)| column.is_valid(row));
            Value::Object(
                members.map(|(field, column)| (field.name().clone(), value_at(column, row))).collect(),
            )
        }
        _ => {
            let options = arrow::util::display::FormatOptions::default();
            let text = arrow::util::display::ArrayFormatter::try_new(column, &options).unwrap();
            json!(text.value(row).to_string())
        }
    }
}
