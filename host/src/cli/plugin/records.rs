//! Records and tables as the rows that a step gets: decoded as a pipeline would, with the positions of a topic
//! `input`, whose partition 0 holds them from offset 0 on.

use std::ops::Range;

use anyhow::{Context, Result};
use arrow::array::{ArrayRef, RecordBatch};

use crate::batch::{RawBatch, RawRecord};
use crate::config;
use crate::decode::columns::host_columns;
use crate::decode::{DecodeSettings, Decoded, DecodedRows, Decoder};
use crate::progress::{OffsetRange, TopicPartition};
use crate::schema::{Column, RecordSchema, parse_type};

const TOPIC: &str = "input";

/// Records that are to be decoded together.
#[derive(Debug)]
pub struct Records {
    raw: RawBatch,
}

impl Records {
    pub fn new() -> Self {
        Self {
            raw: RawBatch {
                partition: TopicPartition::new(TOPIC, 0),
                range: OffsetRange { from: 0, to: 0 },
                lost: false,
                records: Vec::new(),
                data: Vec::new(),
            },
        }
    }

    /// Adds a record; its offset is its number, from 0. `payload` and `key` may be absent, as in Kafka.
    pub fn push(&mut self, payload: Option<&[u8]>, key: Option<&[u8]>, timestamp_ms: Option<i64>) {
        let offset = self.raw.range.to;
        self.raw.range.to += 1;
        let key = key.map(|bytes| self.hold(bytes));
        let payload = payload.map(|bytes| self.hold(bytes));
        self.raw.records.push(RawRecord { offset, timestamp_ms, key, payload });
    }

    fn hold(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.raw.data.len();
        self.raw.data.extend_from_slice(bytes);
        start..self.raw.data.len()
    }

    /// Decodes all records, into the columns of `declared` and what else they hold.
    pub fn decode(&self, declared: &RecordSchema) -> Result<RecordRows> {
        let DecodedRows { batch, records, dead } = self.decode_growing(declared)?;
        let positions = host_columns(&self.raw, &records).map(|(_, column)| column);
        let dead = dead.into_iter().map(|dead| (dead.record as usize, dead.reason)).collect();
        Ok(RecordRows { payload: batch, positions, dead })
    }

    fn decode_growing(&self, declared: &RecordSchema) -> Result<DecodedRows> {
        let mut schema = declared.clone();
        loop {
            match Decoder::new(settings(), schema)?.decode(&self.raw) {
                Decoded::Rows(rows) => return Ok(rows),
                Decoded::SchemaChange(next) => schema = next,
            }
        }
    }
}

/// Rows without their event times.
#[derive(Debug)]
pub struct RecordRows {
    pub payload: RecordBatch,
    /// `_topic` to `_key`.
    pub positions: [ArrayRef; 5],
    /// Records that are no rows, by number, with the reason.
    pub dead: Vec<(usize, String)>,
}

impl RecordRows {
    /// Rows that are no records: their positions are made up.
    pub fn of_table(payload: RecordBatch) -> Self {
        let mut made_up = Records::new();
        for _ in 0..payload.num_rows() {
            made_up.push(None, None, None);
        }
        let all: Vec<u32> = (0..).take(payload.num_rows()).collect();
        let positions = host_columns(&made_up.raw, &all).map(|(_, column)| column);
        Self { payload, positions, dead: Vec::new() }
    }
}

/// A pipeline's own, where its file says nothing.
fn settings() -> DecodeSettings {
    crate::cli::settings::decode_settings(&config::Decode::default())
}

/// The columns that a person declares, name and type.
pub fn declared_columns<T: AsRef<str>>(columns: impl IntoIterator<Item = (T, T)>) -> Result<RecordSchema> {
    let column = |(name, of): (T, T)| {
        let (name, of) = (name.as_ref(), of.as_ref());
        let data_type = parse_type(of).with_context(|| format!("column `{name}`"))?;
        Ok(Column { name: name.to_owned(), data_type })
    };
    let schema = RecordSchema::new(columns.into_iter().map(column).collect::<Result<_>>()?)?;
    schema.check_not_reserved()?;
    Ok(schema)
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::{DataType, Int64Type};

    use super::*;

    #[test]
    fn declared_columns_come_first_and_others_are_inferred() {
        let mut records = Records::new();
        records.push(Some(br#"{"n": 1, "at": "2026-01-01T00:00:00Z"}"#), Some(b"k"), Some(5));
        records.push(Some(b"no json"), None, None);
        records.push(Some(br#"{"at": null, "n": 2.5}"#), None, None);
        let declared = declared_columns([("at", "timestamp")]).unwrap();
        let rows = records.decode(&declared).unwrap();
        let schema = rows.payload.schema();
        let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["at", "n", "_rescued"]);
        assert_eq!(schema.field(1).data_type(), &DataType::Float64);
        assert_eq!(rows.positions[2].as_primitive::<Int64Type>().values(), &[0, 2]);
        assert_eq!(rows.positions[4].as_binary::<i32>().value(0), b"k");
        assert_eq!((rows.dead.len(), rows.dead[0].0), (1, 1));
    }

    #[test]
    fn rows_of_tables_have_positions_too() {
        let numbers: ArrayRef = std::sync::Arc::new(arrow::array::Int64Array::from(vec![7, 8]));
        let rows = RecordRows::of_table(RecordBatch::try_from_iter([("n", numbers)]).unwrap());
        assert_eq!(rows.positions[2].as_primitive::<Int64Type>().values(), &[0, 1]);
    }

    #[test]
    fn wrong_columns_are_refused() {
        for (name, of, says) in [("a", "int65", "column `a`"), ("_a", "int64", "reserved")] {
            let refused = declared_columns([(name, of)]).unwrap_err();
            assert!(refused.to_string().contains(says), "{refused}");
        }
    }
}
