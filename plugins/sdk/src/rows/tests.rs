use std::collections::BTreeMap;

use proptest::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Date, Fate, RowTransform, Rowwise, Set, Timestamp};
use crate::test_kit::{Opened, batch, json_lines, open_transform, struct_field};
use crate::{Description, Error, Field, Kind, TimeUnit, TimestampType, Transform, field, timestamp_micros};

const DESCRIPTION: Description = Description { name: "test", version: "0.0.0", summary: "For tests." };

#[derive(Deserialize, JsonSchema)]
struct NoConfig {}

/// A plugin that is a function from a row type to a fate.
macro_rules! plugin {
    ($plugin:ident, $in:ty => $out:ty, |$row:ident| $body:expr) => {
        struct $plugin;
        impl RowTransform for $plugin {
            const DESCRIPTION: Description = DESCRIPTION;
            const RULES: &[&str] = &["first", "second"];
            type Config = NoConfig;
            type In<'row> = $in;
            type Out = $out;
            fn open(_: NoConfig) -> Result<$plugin, Error> {
                Ok($plugin)
            }
            fn apply(&mut self, $row: Self::In<'_>) -> Fate<$out> {
                $body
            }
        }
    };
}

fn open<P: RowTransform>(fields: &[Field]) -> Opened<Rowwise<P>> {
    open_transform::<Rowwise<P>>(json!({}), fields).unwrap()
}

fn refusal<P: RowTransform>(fields: &[Field]) -> String {
    match open_transform::<Rowwise<P>>(json!({}), fields).err() {
        Some(Error::Schema(what) | Error::Config(what)) => what,
        other => panic!("{other:?}"),
    }
}

#[derive(Deserialize)]
struct Numbered {
    n: i8,
}

plugin!(ByNumber, Numbered => (), |row| match row.n {
    0 => Fate::Keep(()),
    1 => Fate::Drop,
    2 => Fate::reject("second", "it is two"),
    _ => Fate::reject("third", "there is no such rule"),
});

#[test]
fn a_row_is_kept_dropped_or_rejected_and_nothing_else_is_read() {
    let fields = [field("other", Kind::Utf8), field("n", Kind::Int64)];
    let mut plugin = open::<ByNumber>(&fields);
    assert_eq!((plugin.reads.len(), plugin.output.len()), (1, 0));
    let fates = plugin
        .apply(&json_lines(
            r#"{"n": 1}
        {"n": 0, "other": "x"}
        {"n": 2}
        {"n": null}
        {"n": 128}
        {"n": 0}"#,
        ))
        .unwrap();
    assert_eq!((fates.kept_rows(), fates.dropped), (vec![1, 5], vec![0]));
    let rejected: Vec<(usize, &str, &str)> =
        fates.rejected.iter().map(|(row, rule, reason)| (*row, rule.as_str(), reason.as_str())).collect();
    assert_eq!(
        rejected,
        [
            (2, "second", "it is two"),
            (3, "unreadable_row", "`n`: it is null"),
            (4, "unreadable_row", "`n`: invalid value: integer `128`, expected i8"),
        ]
    );
    assert!(matches!(plugin.apply(&[json!({"n": 3})]), Err(Error::Data(what)) if what.contains("`third`")));
}

#[derive(Serialize, Deserialize)]
struct Made {
    #[serde(skip_serializing_if = "Option::is_none")]
    half: Option<f32>,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenth: Option<f32>,
}

plugin!(Sets, Numbered => Set<Made>, |row| if row.n % 2 == 0 {
    Fate::Keep(Set(Made { half: (row.n > 0).then_some(f32::from(row.n) / 2.0), name: row.n.to_string(), tenth: None }))
} else {
    Fate::Drop
});

#[test]
fn columns_are_set_in_the_rows_that_are_kept() {
    let fields = [field("n", Kind::Int8)];
    let mut plugin = open::<Sets>(&fields);
    let name = Field { nullable: false, ..field("name", Kind::Utf8) };
    assert_eq!(plugin.output, [field("half", Kind::Float32), name, field("tenth", Kind::Float32)]);
    let fates = plugin.apply(&json_lines("{\"n\": 0}\n{\"n\": 1}\n{\"n\": 6}")).unwrap();
    assert_eq!(
        fates.kept,
        [
            (0, json!({"half": null, "name": "0", "tenth": null})),
            (2, json!({"half": 3.0, "name": "6", "tenth": null}))
        ]
    );
    assert_eq!(fates.dropped, [1]);
}

plugin!(Repeats, Numbered => Vec<Made>, |row| if row.n < 0 {
    Fate::reject("first", "negative")
} else {
    Fate::Keep((0..row.n).map(|i| Made { half: None, name: i.to_string(), tenth: None }).collect())
});

#[test]
fn new_rows_take_the_place_of_one() {
    let fields = [field("n", Kind::Int8)];
    let mut plugin = open::<Repeats>(&fields);
    let fates = plugin.apply(&json_lines("{\"n\": 2}\n{\"n\": -1}\n{\"n\": 0}\n{\"n\": 1}")).unwrap();
    let names: Vec<&Value> = fates.made.iter().map(|row| &row["name"]).collect();
    assert_eq!(names, ["0", "1", "0"]);
    assert_eq!(fates.rejected.len(), 1);
    assert_eq!(plugin.apply(&[json!({"n": 0})]).unwrap().made, Vec::<Value>::new());
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    Failed,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Inner {
    deep: i64,
    texts: Vec<Option<String>>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Everything {
    bool: bool,
    small: u16,
    wide: u64,
    float: f64,
    text: String,
    status: Option<Status>,
    at: Timestamp,
    day: Date,
    inner: Option<Inner>,
    several: Vec<Inner>,
}

fn everything() -> Vec<Field> {
    let inner = |name: &str| {
        let mut fields = struct_field(
            name,
            vec![
                vec![field("ignored", Kind::Boolean)],
                vec![Field { children: 1, ..field("texts", Kind::ListOf) }, field("item", Kind::Utf8)],
                vec![field("deep", Kind::Int32)],
            ],
        );
        fields[0].nullable = true;
        fields
    };
    let mut fields = vec![
        field("bool", Kind::Boolean),
        field("small", Kind::Int64),
        field("wide", Kind::Int64),
        field("float", Kind::Int16),
        field("text", Kind::Utf8),
        field("status", Kind::Utf8),
        field("at", timestamp_micros()),
        field("day", Kind::Date32),
    ];
    fields.extend(inner("inner"));
    fields.push(Field { children: 1, ..field("several", Kind::ListOf) });
    fields.extend(inner("item"));
    fields
}

plugin!(Copies, Everything => Vec<Everything>, |row| Fate::Keep(vec![row]));

#[test]
fn every_type_comes_out_as_it_went_in() {
    let mut plugin = open::<Copies>(&everything());
    let row = json!({
        "bool": true, "small": 65_535, "wide": i64::MAX, "float": 2, "text": "№", "status": "failed",
        "at": "1970-01-01T00:00:01Z", "day": -1,
        "inner": {"texts": ["a", null], "deep": -5, "ignored": true},
        "several": [{"texts": [], "deep": 1}, {"texts": ["b"], "deep": 2}],
    });
    let sparse = json!({
        "bool": false, "small": 0, "wide": 0, "float": 0, "text": "", "at": 0, "day": 0, "several": [],
    });
    let fates = plugin.apply(&[row.clone(), sparse]).unwrap();
    assert_eq!(fates.rejected, []);
    let mut expected = row;
    expected["at"] = json!(1_000_000);
    expected["float"] = json!(2.0);
    expected["inner"].as_object_mut().unwrap().remove("ignored");
    assert_eq!(fates.made[0], expected);
    assert_eq!((&fates.made[1]["inner"], &fates.made[1]["status"]), (&Value::Null, &Value::Null));
    let kinds: Vec<&Kind> = plugin.output.iter().take(8).map(|field| &field.kind).collect();
    let at = timestamp_micros();
    use Kind::*;
    assert_eq!(kinds, [&Boolean, &Uint16, &Int64, &Float64, &Utf8, &Utf8, &at, &Date32]);
    let unknown = plugin.apply(&[json!({"status": "broken"})]).unwrap().rejected;
    assert_eq!(unknown[0].1, "unreadable_row");
}

#[derive(Deserialize)]
struct Borrowed<'a> {
    #[serde(rename = "reading.name")]
    name: &'a str,
    #[serde(rename = "_key", borrow)]
    key: Option<&'a [u8]>,
    blob: Option<Vec<u8>>,
    labels: BTreeMap<String, i64>,
    reading: Value,
}

fn labelled() -> Vec<Field> {
    let mut fields =
        struct_field("reading", vec![vec![field("n", Kind::Int8)], vec![field("name", Kind::Utf8)]]);
    fields.push(Field { children: 1, ..field("labels", Kind::MapOf) });
    let key = Field { nullable: false, ..field("key", Kind::Utf8) };
    fields.extend(struct_field("entries", vec![vec![key], vec![field("value", Kind::Int32)]]));
    fields.push(field("blob", Kind::Binary));
    fields
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Told {
    said: String,
}

plugin!(Tells, Borrowed<'row> => Set<Told>, |row| Fate::Keep(Set(Told {
    said: format!("{} {:?} {:?} {:?} {}", row.name, row.key, row.blob, row.labels, row.reading),
})));

#[test]
fn paths_maps_borrowed_texts_and_any_value_are_read() {
    let mut plugin = open::<Tells>(&labelled());
    let fates = plugin
        .apply(&[
            json!({"reading": {"name": "a", "n": 3}, "_key": "k", "blob": "\u{1}", "labels": {"x": 1, "y": 2}}),
            json!({"reading": null, "labels": {}}),
        ])
        .unwrap();
    assert_eq!(
        fates.kept[0].1["said"],
        json!(r#"a Some([107]) Some([1]) {"x": 1, "y": 2} {"n":3,"name":"a"}"#)
    );
    assert_eq!(fates.rejected, [(1, "unreadable_row".into(), "`reading.name`: it is null".into())]);
}

/// What lies under a null struct has any value.
#[test]
fn a_field_of_a_null_struct_is_null() {
    let fields = labelled();
    let mut plugin = open::<Tells>(&fields);
    let mut input = batch(&plugin.reads, &[json!({"reading": null, "labels": {}})]);
    let name = plugin.reads.iter().position(|field| field.name == "name").unwrap();
    input.columns[name].validity = None;
    let outcome = plugin.plugin.apply(&input).unwrap();
    let (_, _, reason) = outcome.rejected.iter().next().unwrap();
    assert_eq!(reason, "`reading.name`: it is null");
}

#[derive(Deserialize)]
struct Endless {
    #[expect(dead_code, reason = "only its type matters")]
    inner: Vec<Endless>,
}

#[derive(Deserialize)]
struct Pair {
    #[expect(dead_code, reason = "only its type matters")]
    pair: (i64, i64),
}

plugin!(ReadsEndless, Endless => (), |_row| Fate::Drop);
plugin!(ReadsPair, Pair => (), |_row| Fate::Drop);
plugin!(ReadsNumber, i64 => (), |_row| Fate::Drop);
plugin!(MakesAnything, Numbered => Vec<BTreeMap<String, i64>>, |_row| Fate::Drop);

#[derive(Serialize, Deserialize)]
struct Anything {
    value: Value,
}
plugin!(MakesValue, Numbered => Vec<Anything>, |_row| Fate::Drop);

#[test]
fn what_does_not_fit_is_refused_before_the_first_row() {
    let n = [field("n", Kind::Int8)];
    for (said, expects) in [
        (refusal::<ByNumber>(&[field("m", Kind::Int8)]), "no column `n`"),
        (refusal::<ByNumber>(&[field("n", Kind::Utf8)]), "`n`: it is utf8, and cannot be read as int8"),
        (refusal::<Tells>(&[field("reading", Kind::Int8)]), "no column `reading.name`"),
        (refusal::<ReadsEndless>(&n), "contains itself"),
        (refusal::<ReadsPair>(&n), "`pair`: a tuple"),
        (refusal::<ReadsNumber>(&n), "must be a struct"),
        (refusal::<MakesAnything>(&n), "must be a struct"),
        (refusal::<MakesValue>(&n), "`value`: its type can be read, but not be made"),
    ] {
        assert!(said.contains(expects), "{said} does not say {expects}");
    }
    let mut nested = everything();
    nested.retain(|field| field.name != "deep");
    nested.iter_mut().filter(|field| field.kind == Kind::StructOf).for_each(|field| field.children = 2);
    assert!(refusal::<Copies>(&nested).contains("`inner`: `deep`: the column has no such field"));
    let millis = Kind::Timestamp(TimestampType { unit: TimeUnit::Milliseconds, zone: None });
    let mut fields = everything();
    fields[6].kind = millis;
    assert!(refusal::<Copies>(&fields).contains("`at`: it is timestamp"));
}

/// Only the type is asked what it is; what it does not say of itself is found out when a row is written.
#[derive(Deserialize)]
struct Liar {
    #[expect(dead_code, reason = "only its type matters")]
    n: i64,
}

impl Serialize for Liar {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        BTreeMap::from([("n", "text")]).serialize(serializer)
    }
}
plugin!(Lies, Numbered => Vec<Liar>, |row| Fate::Keep(vec![Liar { n: row.n.into() }]));

#[test]
fn a_row_that_is_not_written_as_its_type_says_breaks_the_batch() {
    let lied = open::<Lies>(&[field("n", Kind::Int8)]).apply(&[json!({"n": 1})]);
    assert!(matches!(lied, Err(Error::Data(what)) if what.contains("a map cannot be written")));
}

proptest! {
    /// What is read from columns and written to columns is the same, whatever the nulls and offsets.
    #[test]
    fn rows_survive_reading_and_writing(
        stream in prop::collection::vec((any::<bool>(), any::<i64>(), ".{0,4}", prop::option::of(prop::collection::vec(prop::option::of(".{0,3}"), 0..4))), 0..40)
    ) {
        let input: Vec<Value> = stream.iter().map(|(bool, n, text, texts)| json!({
            "bool": bool, "small": n.rem_euclid(65_536), "wide": n.unsigned_abs() >> 1, "float": n.rem_euclid(100), "text": text,
            "at": n, "day": 5, "inner": texts.as_ref().map(|texts| json!({"texts": texts, "deep": 7})), "several": [],
        })).collect();
        let mut plugin = open::<Copies>(&everything());
        let fates = plugin.apply(&input).unwrap();
        prop_assert_eq!(fates.made.len(), input.len());
        for (row, made) in input.iter().zip(&fates.made) {
            for name in ["bool", "small", "wide", "text", "at", "inner"] {
                prop_assert_eq!(&row[name], &made[name]);
            }
        }
    }
}
