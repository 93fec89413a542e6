//! What is generated. Plain data.

use indexmap::IndexMap;

/// A part of all, between 0 and 1.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Share(f64);

impl Share {
    /// What lies outside is taken for the nearer end.
    pub fn new(share: f64) -> Self {
        Self(if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) })
    }

    pub fn get(self) -> f64 {
        self.0
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct GeneratorSettings {
    pub seed: u64,
    /// Above zero.
    pub partitions: u32,
    /// Of all partitions together; `None` is without end.
    pub records: Option<u64>,
    /// Event time of the first record, microseconds since the Unix epoch, and between one record and the next.
    pub start_us: i64,
    pub step_us: i64,
    /// Records that are cut off somewhere.
    pub malformed: Share,
    /// Records that repeat one of the hundred before them in their partition.
    pub duplicates: Share,
    /// The field whose text is the record's key.
    pub key: Option<String>,
    /// By name; a dot in it leads into an object.
    pub fields: IndexMap<String, Field>,
    /// Ascending by `after`.
    pub changes: Vec<Change>,
}

/// From a record on, other fields: they are added, replaced, or taken away.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub after: u64,
    pub fields: IndexMap<String, Option<Field>>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub value: Value,
    /// Records that do not have the field.
    pub missing: Share,
    /// Records in which it is null.
    pub null: Share,
    /// So many fields: `{}` in the name is the number of each, from 1.
    pub count: Option<u32>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// 32 hexadecimal digits, another for each record.
    Id,
    /// The record's number.
    Sequence,
    /// The record's event time, RFC 3339. Late ones are before it by up to so much.
    Time { late: Share, late_by_us: i64 },
    /// Evenly between the two, both included.
    Integer { min: i64, max: i64 },
    /// Evenly between the two, with so many decimals.
    Number { min: f64, max: f64, decimals: u32 },
    /// True in so many records.
    Boolean { share: Share },
    /// One of these JSON values. With a skew above 0 the first ones come more often.
    OneOf { values: Vec<serde_json::Value>, skew: f64 },
    /// The text with a number from 1 to `of` in the place of `{}`. With a skew above 0 small numbers come more often.
    Name { pattern: String, of: u64, skew: f64 },
    /// Lower-case letters, so many.
    Text { min: u32, max: u32 },
}
