//! Payloads to Arrow, by a schema-driven visitor over the parsed payload.
//!
//! Each record stands alone: what is wrong with one is seen in that one, makes it a dead letter with the
//! reason, and leaves no trace in the rows of the others.

mod builder;
pub mod columns;
pub mod event_time;
mod growth;
mod payload;
mod record;
mod scalar;
#[cfg(test)]
mod tests;
mod visit;

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use self::builder::{Builder, StructBuilder, Values};
use self::growth::Growth;
use self::payload::PayloadParser;
use self::record::{Fault, Record};
use crate::batch::RawBatch;
use crate::schema::{MAX_TYPE_DEPTH, RecordSchema, SchemaError};

/// The column that holds what no other column does: a JSON object of path to value, or null.
pub const RESCUED_COLUMN: &str = "_rescued";

/// What becomes of values that the schema does not hold.
///
/// | | unknown field | mismatched value |
/// |---|---|---|
/// | `Merge` | a new column; `_rescued` where none can be made | a wider column if that loses nothing, else null in its column, and `_rescued` |
/// | `Rescue` | `_rescued` | null in its column, and `_rescued` |
/// | `Strict` | dead letter | dead letter |
///
/// Under `Merge` an empty schema means that all of it is inferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    Merge,
    Rescue,
    Strict,
}

#[derive(Debug, Clone)]
pub struct DecodeSettings {
    pub policy: Policy,
    /// Leaf columns to which the schema may grow; further unknown fields are rescued.
    pub max_columns: usize,
    /// Levels of nesting in a payload, its own object included; at most [`MAX_TYPE_DEPTH`].
    pub max_depth: usize,
    pub max_record_bytes: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error(transparent)]
    Schema(#[from] SchemaError),
    #[error("`max_depth` is {0}: it must be from 1 to {MAX_TYPE_DEPTH}")]
    MaxDepth(usize),
}

/// Decodes batches under one schema, into memory that it keeps between batches.
pub struct Decoder {
    settings: DecodeSettings,
    schema: RecordSchema,
    output: SchemaRef,
    parser: PayloadParser,
    root: StructBuilder,
    rescued: Builder,
    rescued_text: Vec<u8>,
    columns_are_full: bool,
}

/// What decoding a batch came to.
#[derive(Debug)]
pub enum Decoded {
    Rows(DecodedRows),
    /// Only under [`Policy::Merge`]: a schema that holds more of this batch. Decode it again under that
    /// one. It only ever grows, so this ends.
    SchemaChange(RecordSchema),
}

#[derive(Debug)]
pub struct DecodedRows {
    /// The schema's columns in order, then [`RESCUED_COLUMN`] unless the policy is strict.
    pub batch: RecordBatch,
    /// For each row the index of its record in [`RawBatch::records`]; ascending.
    pub records: Vec<u32>,
    pub dead: Vec<DeadLetter>,
}

/// A record that could not be decoded. Each record is a row or one of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The index of the record in [`RawBatch::records`].
    pub record: u32,
    pub reason: String,
}

impl Decoder {
    pub fn new(settings: DecodeSettings, schema: RecordSchema) -> Result<Self, DecodeError> {
        schema.check_not_reserved()?;
        let (columns, max_columns) = (schema.leaf_columns(), settings.max_columns);
        if columns > max_columns {
            return Err(SchemaError::TooManyColumns { columns, max_columns }.into());
        }
        if !(1..=MAX_TYPE_DEPTH).contains(&settings.max_depth) {
            return Err(DecodeError::MaxDepth(settings.max_depth));
        }
        let payload_schema = schema.to_arrow();
        let mut fields = payload_schema.fields().to_vec();
        if settings.policy != Policy::Strict {
            fields.push(Arc::new(Field::new(RESCUED_COLUMN, DataType::Utf8, true)));
        }
        let root = StructBuilder::new(payload_schema.fields());
        let rescued = Builder::new(&DataType::Utf8);
        Ok(Self {
            parser: PayloadParser::new(settings.max_depth, settings.max_record_bytes),
            root: root.expect("a record schema holds only types that have builders"),
            rescued: rescued.expect("strings have a builder"),
            output: Arc::new(Schema::new(fields)),
            rescued_text: Vec::new(),
            columns_are_full: columns >= max_columns,
            settings,
            schema,
        })
    }

    pub fn schema(&self) -> &RecordSchema {
        &self.schema
    }

    /// The schema of [`DecodedRows::batch`].
    pub fn output_schema(&self) -> &SchemaRef {
        &self.output
    }

    pub fn decode(&mut self, raw: &RawBatch) -> Decoded {
        let mut records = Vec::with_capacity(raw.records.len());
        let mut dead = Vec::new();
        let mut growth = None;
        for (record, index) in raw.records.iter().zip(0..) {
            match self.append(raw.payload(record), &mut growth) {
                Ok(()) => records.push(index),
                Err(reason) => {
                    self.truncate(records.len());
                    dead.push(DeadLetter { record: index, reason });
                }
            }
        }
        if let Some(next) = growth.map(Growth::finish).filter(|next| *next != self.schema) {
            self.truncate(0);
            return Decoded::SchemaChange(next);
        }
        let mut columns = self.root.finish();
        let rescued = self.rescued.finish();
        if self.settings.policy != Policy::Strict {
            columns.push(rescued);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(records.len()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.output), columns, &options)
            .expect("the builders' columns have the schema's types and equal lengths");
        Decoded::Rows(DecodedRows { batch, records, dead })
    }

    /// Appends one record as a row. After an error the builders may hold a part of it.
    fn append(&mut self, payload: Option<&[u8]>, growth: &mut Option<Growth>) -> Result<(), String> {
        let Self { parser, root, rescued, rescued_text, schema, settings, columns_are_full, .. } = self;
        parser.parse(payload, |document| {
            let nodes = document.nodes;
            let mut record = Record::new(document, rescued_text, settings.policy, *columns_are_full);
            root.append_object(&mut record, 0).map_err(|fault| match fault {
                Fault::Dead(reason) => reason,
                Fault::Mismatch(_) => "the payload is not an object".to_owned(),
            })?;
            if record.wants_growth {
                growth.get_or_insert_with(|| Growth::new(schema, settings.max_columns)).observe(nodes);
            }
            if rescued_text.is_empty() {
                rescued.append_null();
                return Ok(());
            }
            rescued_text.push(b'}');
            match &mut rescued.values {
                Values::Utf8(strings) => strings.push(rescued_text),
                _ => false,
            }
            .then(|| rescued.append_valid())
            .ok_or_else(|| format!("`{RESCUED_COLUMN}` has 2 GiB in this batch"))
        })
    }

    /// Forgets all rows from `rows` on.
    fn truncate(&mut self, rows: usize) {
        self.root.truncate(rows);
        self.rescued.truncate(rows);
    }
}
