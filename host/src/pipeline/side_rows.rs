//! Rows that go beside a layer's own: dead letters and quarantined rows. Their tables have a schema of
//! their own, so that a changed pipeline does not change them.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, BinaryBuilder, Int32Builder, Int64Builder, RecordBatch, StringArray, StringBuilder,
    TimestampMicrosecondBuilder, new_null_array,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;

use crate::batch::{RawBatch, RawRecord};
use crate::json::rows::{Nulls, json_lines};

/// The columns that say where a row came from.
pub const POSITION_COLUMNS: [&str; 5] = ["_topic", "_partition", "_offset", "_timestamp", "_key"];

/// Columns that rows carry between steps and that no table gets.
pub const HIDDEN_COLUMNS: [&str; 2] = ["_event_time", "_watermark"];

pub fn utc_microseconds() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn position_fields() -> Vec<Field> {
    [DataType::Utf8, DataType::Int32, DataType::Int64, utc_microseconds(), DataType::Binary]
        .into_iter()
        .zip(POSITION_COLUMNS)
        .map(|(data_type, name)| Field::new(name, data_type, true))
        .collect()
}

fn with_positions(fields: &[(&str, DataType)]) -> SchemaRef {
    let own = fields.iter().map(|(name, data_type)| Field::new(*name, data_type.clone(), true));
    Arc::new(Schema::new(position_fields().into_iter().chain(own).collect::<Vec<_>>()))
}

/// `layer` and `step` are null where the record could not be decoded.
pub static DEAD_LETTER_SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    with_positions(&[
        ("layer", DataType::Utf8),
        ("step", DataType::Utf8),
        ("reason", DataType::Utf8),
        ("payload", DataType::Binary),
    ])
});

/// `row` is the row as the step saw it, as JSON.
pub static QUARANTINE_SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    with_positions(&[
        ("layer", DataType::Utf8),
        ("step", DataType::Utf8),
        ("rule", DataType::Utf8),
        ("reason", DataType::Utf8),
        ("row", DataType::Utf8),
    ])
});

/// Rows that one step set aside, with a reason for each.
pub struct SetAside<'a> {
    pub layer: &'a str,
    pub step: &'a str,
    pub rows: &'a RecordBatch,
    pub rules: Vec<&'a str>,
    pub reasons: &'a StringArray,
}

impl SetAside<'_> {
    /// The rows as quarantine rows.
    pub fn quarantined(&self) -> Result<RecordBatch, ArrowError> {
        let count = self.rows.num_rows();
        let mut columns = self.positions();
        columns.extend([
            repeated(self.layer, count),
            repeated(self.step, count),
            Arc::new(StringArray::from_iter_values(&self.rules)) as ArrayRef,
            Arc::new(self.reasons.clone()),
            Arc::new(rows_as_json(self.rows)?),
        ]);
        RecordBatch::try_new(QUARANTINE_SCHEMA.clone(), columns)
    }

    /// The rows as dead letters. Their payloads are those of `raw`, by offset; a row that is no record's own
    /// has none.
    pub fn dead_letters(&self, raw: Option<&RawBatch>) -> Result<RecordBatch, ArrowError> {
        let count = self.rows.num_rows();
        let by_offset: HashMap<i64, &RawRecord> = raw
            .map(|raw| raw.records.iter().map(|record| (record.offset, record)).collect())
            .unwrap_or_default();
        let offsets = self
            .rows
            .column_by_name("_offset")
            .and_then(|column| column.as_any().downcast_ref::<arrow::array::Int64Array>());
        let mut payloads = BinaryBuilder::new();
        for row in 0..count {
            let record = offsets
                .filter(|offsets| offsets.is_valid(row))
                .and_then(|offsets| by_offset.get(&offsets.value(row)));
            payloads.append_option(raw.zip(record).and_then(|(raw, record)| raw.payload(record)));
        }
        let mut columns = self.positions();
        columns.extend([
            repeated(self.layer, count),
            repeated(self.step, count),
            Arc::new(self.reasons.clone()) as ArrayRef,
            Arc::new(payloads.finish()),
        ]);
        RecordBatch::try_new(DEAD_LETTER_SCHEMA.clone(), columns)
    }

    fn positions(&self) -> Vec<ArrayRef> {
        position_fields()
            .iter()
            .map(|field| match self.rows.column_by_name(field.name()) {
                Some(column) if column.data_type() == field.data_type() => column.clone(),
                _ => new_null_array(field.data_type(), self.rows.num_rows()),
            })
            .collect()
    }
}

/// Records that could not be decoded: for each its index in `raw` and the reason.
pub fn undecodable<'a>(
    raw: &RawBatch,
    records: impl ExactSizeIterator<Item = (usize, &'a str)>,
) -> Result<RecordBatch, ArrowError> {
    let count = records.len();
    let mut partitions = Int32Builder::with_capacity(count);
    let mut offsets = Int64Builder::with_capacity(count);
    let mut timestamps = TimestampMicrosecondBuilder::with_capacity(count).with_data_type(utc_microseconds());
    let (mut keys, mut payloads) = (BinaryBuilder::new(), BinaryBuilder::new());
    let mut reasons = StringBuilder::new();
    for (index, reason) in records {
        let Some(record) = raw.records.get(index) else { continue };
        partitions.append_value(raw.partition.partition);
        offsets.append_value(record.offset);
        timestamps.append_option(record.timestamp_ms.and_then(|ms| ms.checked_mul(1000)));
        keys.append_option(raw.key(record));
        reasons.append_value(reason);
        payloads.append_option(raw.payload(record));
    }
    let columns: Vec<ArrayRef> = vec![
        repeated(&raw.partition.topic, count),
        Arc::new(partitions.finish()),
        Arc::new(offsets.finish()),
        Arc::new(timestamps.finish()),
        Arc::new(keys.finish()),
        new_null_array(&DataType::Utf8, count),
        new_null_array(&DataType::Utf8, count),
        Arc::new(reasons.finish()),
        Arc::new(payloads.finish()),
    ];
    RecordBatch::try_new(DEAD_LETTER_SCHEMA.clone(), columns)
}

fn repeated(text: &str, count: usize) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, count)))
}

fn rows_as_json(rows: &RecordBatch) -> Result<StringArray, ArrowError> {
    let shown: Vec<usize> = (0..rows.num_columns())
        .filter(|column| !HIDDEN_COLUMNS.contains(&rows.schema_ref().field(*column).name().as_str()))
        .collect();
    let text = String::from_utf8(json_lines(&rows.project(&shown)?, Nulls::LeftOut)?)
        .map_err(|error| ArrowError::JsonError(format!("a row is not UTF-8 as JSON: {error}")))?;
    Ok(StringArray::from(text.lines().collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int64Array};
    use arrow::datatypes::Int64Type;

    use super::*;
    use crate::progress::{OffsetRange, TopicPartition};

    fn raw() -> RawBatch {
        let record = |offset, payload| RawRecord { offset, timestamp_ms: Some(7), key: None, payload };
        RawBatch {
            partition: TopicPartition::new("t", 3),
            range: OffsetRange { from: 10, to: 13 },
            lost: false,
            records: vec![record(10, Some(0..2)), record(12, None)],
            data: b"{]".to_vec(),
        }
    }

    #[test]
    fn an_undecodable_record_keeps_its_bytes_and_its_position() {
        let rows = undecodable(&raw(), [(0, "not JSON"), (1, "tombstone")].into_iter()).unwrap();
        assert_eq!(rows["_offset"].as_primitive::<Int64Type>().values(), &[10, 12]);
        assert_eq!(rows["payload"].as_binary::<i32>().value(0), b"{]");
        assert!(rows["payload"].is_null(1));
        assert!(rows["layer"].is_null(0));
    }

    #[test]
    fn a_rejected_row_is_kept_as_json_with_its_rule() {
        let rows = RecordBatch::try_from_iter([
            ("_offset", Arc::new(Int64Array::from(vec![12])) as ArrayRef),
            ("note", Arc::new(StringArray::from(vec!["two\nlines"]))),
            ("_watermark", Arc::new(Int64Array::from(vec![1]))),
        ])
        .unwrap();
        let reasons = StringArray::from(vec!["too hot"]);
        let aside = SetAside {
            layer: "silver",
            step: "plausible",
            rows: &rows,
            rules: vec!["hot"],
            reasons: &reasons,
        };
        let quarantined = aside.quarantined().unwrap();
        assert_eq!(quarantined["row"].as_string::<i32>().value(0), r#"{"_offset":12,"note":"two\nlines"}"#);
        assert_eq!(quarantined["rule"].as_string::<i32>().value(0), "hot");
        assert!(aside.dead_letters(Some(&raw())).unwrap()["payload"].is_null(0));
    }
}
