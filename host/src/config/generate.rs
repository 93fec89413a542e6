//! Generated records, as the pipeline file says them.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::DocumentPath;
use super::units::{Period, Timestamp};
use super::validate::Findings;

/// Records that a seed decides, in place of a topic: each is a function of its partition and offset, so that they can be
/// read again. Run one worker: each reads all of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Generate {
    #[serde(default)]
    pub seed: u64,
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 10000))]
    pub partitions: u32,
    /// How many, in all partitions together; without end, unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<u64>,
    /// Records a second, of all partitions together; as fast as they are read, unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub rate: Option<u64>,
    /// The event time of the first record; `2026-01-01T00:00:00Z`, unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Timestamp>,
    /// Event time between one record and the next.
    #[serde(default = "one_second")]
    pub step: Period,
    /// The share of records that are cut off somewhere.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub malformed: f64,
    /// The share of records that repeat one of the hundred before them in their partition.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub duplicates: f64,
    /// The field whose text is the record's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The fields of a record, a JSON object. A dot in a name leads into an object.
    pub fields: IndexMap<String, GeneratedField>,
    /// What becomes of the fields later on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<FieldChange>,
}

/// From a record on, other fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldChange {
    /// The number of the first record with them, counted over all partitions.
    pub after: u64,
    /// Fields that are added or replaced; null takes one away.
    pub fields: IndexMap<String, Option<GeneratedField>>,
}

/// One field: one of `id`, `sequence`, `time`, `integer`, `number`, `boolean`, `one_of`, `name` and `text`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GeneratedField {
    /// `true`: 32 hexadecimal digits, others in each record.
    #[serde(default, skip_serializing_if = "is_false")]
    pub id: bool,
    /// `true`: the record's number, counted over all partitions.
    #[serde(default, skip_serializing_if = "is_false")]
    pub sequence: bool,
    /// The event time, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<GeneratedTime>,
    /// Evenly between the two, both included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integer: Option<[i64; 2]>,
    /// Evenly between the two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<[f64; 2]>,
    /// Of `number`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 15))]
    pub decimals: Option<u32>,
    /// The share of records in which it is true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub boolean: Option<f64>,
    /// One of these values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_of: Option<Vec<Value>>,
    /// A text with `{}` in the place of a number from 1 to `of`: `machine-{}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Of `name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub of: Option<u64>,
    /// Of `one_of` and `name`: above 0 the first ones come more often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skew: Option<f64>,
    /// Lower-case letters, between so many and so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<[u32; 2]>,
    /// The share of records without the field.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub missing: f64,
    /// The share of records in which it is null.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub nulls: f64,
    /// So many fields, named by `{}` in the field's name: `sensor_{}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub count: Option<u32>,
}

/// How many times are late, and by how much.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GeneratedTime {
    /// The share of records whose time lies before their turn.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub late: f64,
    /// By as much at the most.
    #[serde(default = "ten_minutes")]
    pub by: Period,
}

fn one() -> u32 {
    1
}

fn one_second() -> Period {
    Period::seconds(1)
}

fn ten_minutes() -> Period {
    Period::seconds(600)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

impl GeneratedField {
    /// How many of the kinds of values it names.
    fn kinds(&self) -> usize {
        let given = [
            self.id,
            self.sequence,
            self.time.is_some(),
            self.integer.is_some(),
            self.number.is_some(),
            self.boolean.is_some(),
            self.one_of.is_some(),
            self.name.is_some(),
            self.text.is_some(),
        ];
        given.into_iter().filter(|given| *given).count()
    }
}

pub(super) fn check(generate: &Generate, path: &DocumentPath, found: &mut Findings) {
    let partitions = (1..=10_000).contains(&generate.partitions);
    found.expect(partitions, path.key("partitions"), "must be at least 1 and at most 10000");
    if let Some(rate) = generate.rate {
        found.above_zero(rate, path.key("rate"));
    }
    check_share(generate.malformed, path.key("malformed"), found);
    check_share(generate.duplicates, path.key("duplicates"), found);
    found.expect(!generate.fields.is_empty(), path.key("fields"), "give at least one field");
    for (name, field) in &generate.fields {
        check_field(field, &path.key("fields").key(name), found);
    }
    let mut before = 0;
    for (index, change) in generate.changes.iter().enumerate() {
        let path = path.key("changes").index(index);
        found.expect(change.after > before, path.key("after"), "must be above the one before, and above 0");
        before = change.after;
        for (name, field) in &change.fields {
            if let Some(field) = field {
                check_field(field, &path.key("fields").key(name), found);
            }
        }
    }
}

fn check_field(field: &GeneratedField, path: &DocumentPath, found: &mut Findings) {
    found.expect(
        field.kinds() == 1,
        path.clone(),
        "give one of `id: true`, `sequence: true`, `time`, `integer`, `number`, `boolean`, `one_of`, `name` and `text`",
    );
    for (key, is_given, goes_with, of) in [
        ("decimals", field.decimals.is_some(), "goes with `number`", field.number.is_some()),
        ("of", field.of.is_some(), "goes with `name`", field.name.is_some()),
        (
            "skew",
            field.skew.is_some(),
            "goes with `one_of` and `name`",
            field.one_of.is_some() || field.name.is_some(),
        ),
    ] {
        found.expect(!is_given || of, path.key(key), goes_with);
    }
    found.expect(
        field.name.is_none() || field.of.is_some(),
        path.clone(),
        "`name` needs `of`: how many there are",
    );
    check_share(field.missing, path.key("missing"), found);
    check_share(field.nulls, path.key("nulls"), found);
    if let Some(share) = field.boolean {
        check_share(share, path.key("boolean"), found);
    }
    if let Some(time) = field.time {
        check_share(time.late, path.key("time").key("late"), found);
    }
    if let Some(count) = field.count {
        let fits = (1..=10_000).contains(&count);
        found.expect(fits, path.key("count"), "must be at least 1 and at most 10000");
    }
}

fn check_share(share: f64, path: DocumentPath, found: &mut Findings) {
    found.expect((0.0..=1.0).contains(&share), path, "must be at least 0 and at most 1");
}
