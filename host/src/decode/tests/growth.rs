//! How schemas grow under `Merge`.

use super::*;
use crate::schema::{Column, parse_type};

fn inferred(payloads: &[&str]) -> (RecordSchema, Vec<Value>) {
    let (schema, rows) = settle(SETTINGS, RecordSchema::default(), payloads);
    assert_eq!(rows.dead, []);
    let values = to_json(&rows.batch);
    (schema, values)
}

#[test]
fn types_are_inferred_from_the_whole_batch() {
    let (found, _) = inferred(&[
        r#"{"b":true,"i":1,"f":2,"t":"2026-01-31T12:00:00Z","s":{"x":null},"l":[],"n":null}"#,
        r#"{"f":2.5,"s":{"y":1},"l":[null,{"z":[1]}],"e":{},"new":""}"#,
        r#"{"l":[{"z":[1.5]}],"s":{"x":"t"}}"#,
    ]);
    let expected = [
        ("b", "boolean"),
        ("i", "int64"),
        ("f", "float64"),
        ("t", "utf8"),
        ("s", "struct<x: utf8, y: int64>"),
        ("l", "list<struct<z: list<float64>>>"),
        ("new", "utf8"),
    ];
    assert_eq!(found, schema(&expected));
}

#[test]
fn what_makes_no_column_is_rescued() {
    let payload = r#"{"big":18446744073709551615,"a b":1,"ok":1,"OK":2,"":3,"e":[]}"#;
    let (found, rows) = inferred(&[payload]);
    assert_eq!(found, schema(&[("ok", "int64")]));
    let rescued = json!({"big": 18446744073709551615u64, "`a b`": 1, "OK": 2, "``": 3, "e": []});
    assert_eq!(rows, [json!({"ok": 1, "_rescued": rescued})]);
}

#[test]
fn of_several_types_the_first_makes_the_column() {
    let payloads = [r#"{"v":21.0,"l":[1,"a"]}"#, r#"{"v":"n/a"}"#, r#"{"v":{"x":1},"l":[]}"#];
    let (found, rows) = inferred(&payloads);
    assert_eq!(found, schema(&[("v", "float64"), ("l", "list<int64>")]));
    let expected = [
        json!({"v": 21.0, "l": [1, null], "_rescued": {"l[1]": "a"}}),
        json!({"_rescued": {"v": "n/a"}}),
        json!({"l": [], "_rescued": {"v": {"x": 1}}}),
    ];
    assert_eq!(rows, expected);
}

#[test]
fn columns_widen_where_nothing_is_lost() {
    let before = [("i", "int8"), ("u", "uint8"), ("f", "float32"), ("n", "int32"), ("s", "struct<x: int8>")];
    let payloads = [
        r#"{"i":128,"u":-1,"f":1e300,"n":0.5,"s":{"x":40000,"y":1}}"#,
        r#"{"i":2147483648,"u":256,"f":16777217,"n":3e0,"s":{"x":1.0}}"#,
    ];
    let (found, rows) = settle(SETTINGS, schema(&before), &payloads);
    let after = [
        ("i", "int64"),
        ("u", "int16"),
        ("f", "float64"),
        ("n", "float64"),
        ("s", "struct<x: int32, y: int64>"),
    ];
    assert_eq!(found, schema(&after));
    assert_eq!((rows.dead.len(), rows.records.len()), (0, 2));
}

#[test]
fn records_that_are_dead_anyway_do_not_grow_the_schema() {
    let payloads = [r#"{"new":1,"new":2}"#, r#"{"new":1"#];
    let found = decode(Policy::Merge, &[("v", "int64")], &payloads);
    assert_eq!(found.dead.len(), 2);
}

#[test]
fn beyond_max_columns_fields_are_rescued() {
    let settings = DecodeSettings { max_columns: 2, ..SETTINGS };
    let payloads = [r#"{"a":1,"s":{"x":1,"y":2},"b":true,"c":1}"#, r#"{"d":1,"a":2}"#];
    let (found, rows) = settle(settings, RecordSchema::default(), &payloads);
    assert_eq!(found, schema(&[("a", "int64"), ("b", "boolean")]));
    let expected = [
        json!({"a": 1, "b": true, "_rescued": {"s": {"x": 1, "y": 2}, "c": 1}}),
        json!({"a": 2, "_rescued": {"d": 1}}),
    ];
    assert_eq!(to_json(&rows.batch), expected);
}

#[test]
fn of_conflicting_widenings_the_first_is_made() {
    let (found, rows) =
        settle(SETTINGS, schema(&[("u", "uint8")]), &[r#"{"u":-1}"#, r#"{"u":18446744073709551615}"#]);
    assert_eq!(found, schema(&[("u", "int16")]));
    let rows = to_json(&rows.batch);
    assert_eq!((rows.len(), &rows[1]), (2, &json!({"_rescued": {"u": 18446744073709551615u64}})));
}

#[test]
fn inferred_types_can_be_written_down() {
    let settings = DecodeSettings { max_depth: MAX_TYPE_DEPTH, ..SETTINGS };
    let pairs = MAX_TYPE_DEPTH / 2;
    let payload = format!("{}1{}", r#"{"a":["#.repeat(pairs), "]}".repeat(pairs));
    let (found, rows) = settle(settings, RecordSchema::default(), &[payload]);
    assert_eq!(rows.dead, []);
    let Column { name, data_type } = &found.columns()[0];
    assert_eq!(name, "a");
    assert_eq!(parse_type(&crate::schema::format_type(data_type).unwrap()).as_ref(), Ok(data_type));
}
