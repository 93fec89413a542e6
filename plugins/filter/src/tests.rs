use sluicebox_plugin::serde_json::{Value, json};
use sluicebox_plugin::test_kit::{open_transform, struct_field};
use sluicebox_plugin::{Error, Field, Kind, field, timestamp_micros};

use crate::Filter;

fn schema() -> Vec<Field> {
    let mut fields = vec![
        field("id", Kind::Int64),
        field("level", Kind::Utf8),
        field("ok", Kind::Boolean),
        field("at", timestamp_micros()),
    ];
    fields.extend(struct_field(
        "reading",
        vec![vec![field("unit", Kind::Utf8)], vec![field("temp", Kind::Float64)]],
    ));
    fields
}

fn rows() -> Vec<Value> {
    let at = 1_700_000_000_000_000i64;
    let mut rows = vec![
        json!({"id": 0, "level": "info", "ok": true, "at": at, "reading": {"unit": "C", "temp": 20.5}}),
        json!({"id": 1, "level": "warning", "ok": false, "at": at + 1, "reading": {"temp": -3.0}}),
        json!({"id": 2, "level": null, "ok": null, "at": null, "reading": null}),
        json!({"id": null, "level": "warn", "ok": true, "at": at - 1, "reading": {"temp": null}}),
    ];
    // Past one block of every loop.
    for id in 4..40 {
        rows.push(json!({"id": id, "level": "debug", "ok": false, "at": at, "reading": {"temp": 99.0}}));
    }
    rows
}

fn kept(condition: Value) -> Vec<usize> {
    let mut filter = open_transform::<Filter>(json!({ "keep": condition }), &schema()).unwrap();
    filter.apply(&rows()).unwrap().kept_rows().into_iter().filter(|row| *row < 4).collect()
}

fn error(config: Value) -> Error {
    open_transform::<Filter>(config, &schema()).err().expect("it must not open")
}

#[test]
fn compares_every_type() {
    assert_eq!(kept(json!({"column": "id", "ge": 1})), [1, 2]);
    assert_eq!(kept(json!({"column": "id", "gt": 0, "lt": 2})), [1]);
    assert_eq!(kept(json!({"column": "id", "in": [0, 2, 77]})), [0, 2]);
    assert_eq!(kept(json!({"column": "level", "eq": "warn"})), [3]);
    assert_eq!(kept(json!({"column": "level", "ne": "warn"})), [0, 1]);
    assert_eq!(kept(json!({"column": "level", "le": "warn"})), [0, 3]);
    assert_eq!(kept(json!({"column": "level", "in": ["info", "warning"]})), [0, 1]);
    assert_eq!(kept(json!({"column": "level", "prefix": "warn"})), [1, 3]);
    assert_eq!(kept(json!({"column": "level", "matches": "^w.*n$"})), [3]);
    assert_eq!(kept(json!({"column": "level", "min_length": 5})), [1]);
    assert_eq!(kept(json!({"column": "level", "min_length": 4, "max_length": 4})), [0, 3]);
    assert_eq!(kept(json!({"column": "ok", "eq": true})), [0, 3]);
    assert_eq!(kept(json!({"column": "ok", "ne": true})), [1]);
    assert_eq!(kept(json!({"column": "at", "gt": "2023-11-14T22:13:20Z"})), [1]);
    assert_eq!(kept(json!({"column": "reading.temp", "le": 20.5})), [0, 1]);
    assert_eq!(kept(json!({"column": "reading.temp", "in": [-3, 20.5]})), [0, 1]);
}

#[test]
fn nulls_are_neither_true_nor_false() {
    assert_eq!(kept(json!({"column": "id", "is_null": true})), [3]);
    assert_eq!(kept(json!({"column": "reading.temp", "is_null": true})), [2, 3]);
    assert_eq!(kept(json!({"column": "reading.temp", "is_null": false})), [0, 1]);
    assert_eq!(kept(json!({"not": {"column": "id", "eq": 0}})), [1, 2]);
    let null_or_true = json!({"or": [{"column": "id", "eq": 0}, {"column": "level", "eq": "warn"}]});
    assert_eq!(kept(null_or_true), [0, 3]);
    let not_null_and_false =
        json!({"not": {"and": [{"column": "ok", "eq": true}, {"column": "id", "lt": 0}]}});
    assert_eq!(kept(not_null_and_false), [0, 1, 2], "false and null is false");
}

#[test]
fn rejects_with_the_named_rule_instead_of_dropping() {
    let config =
        json!({"keep": {"column": "id", "ge": 1}, "reject": {"rule": "low_id", "reason": "id below 1"}});
    let fates = open_transform::<Filter>(config, &schema()).unwrap().apply(&rows()[..4]).unwrap();
    let expected = |row| (row, "low_id".to_owned(), "id below 1".to_owned());
    assert_eq!((fates.kept_rows(), fates.dropped), (vec![1, 2], vec![]));
    assert_eq!(fates.rejected, [expected(0), expected(3)]);
}

#[test]
fn reads_only_the_columns_that_it_tests() {
    let config = json!({"keep": {"and": [{"column": "reading.temp", "gt": 0}, {"column": "reading.unit", "eq": "C"}]}});
    let filter = open_transform::<Filter>(config, &schema()).unwrap();
    assert_eq!(filter.reads.len(), 3, "the struct and its two fields");
}

#[test]
fn refuses_what_makes_no_sense() {
    let of = |condition: Value| error(json!({ "keep": condition }));
    assert!(matches!(of(json!({"column": "missing", "eq": 1})), Error::Schema(_)));
    assert!(matches!(of(json!({"column": "id", "eq": "one"})), Error::Schema(_)));
    assert!(matches!(of(json!({"column": "reading", "eq": 1})), Error::Schema(_)));
    assert!(matches!(of(json!({"column": "level", "matches": "("})), Error::Config(_)));
    assert!(matches!(of(json!({"column": "id", "max_length": 3})), Error::Schema(_)));
    assert!(matches!(of(json!({"column": "level"})), Error::Config(_)));
    assert!(matches!(of(json!({"eq": 1})), Error::Config(_)));
    assert!(matches!(of(json!({})), Error::Config(_)));
    assert!(matches!(of(json!({"column": "id", "equals": 1})), Error::Config(_)));
}
