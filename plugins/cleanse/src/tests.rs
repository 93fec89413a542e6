use sluicebox_plugin::serde_json::{Value, json};
use sluicebox_plugin::test_kit::{open_transform, struct_field};
use sluicebox_plugin::{Error, Field, Kind, field};

use crate::Cleanse;

fn schema() -> Vec<Field> {
    let mut fields = vec![
        field("name", Kind::Utf8),
        field("n", Kind::Int64),
        field("x", Kind::Float64),
        field("ok", Kind::Boolean),
    ];
    fields.extend(struct_field(
        "reading",
        vec![vec![field("temp", Kind::Float64)], vec![field("unit", Kind::Utf8)]],
    ));
    fields
}

/// What the steps set of rows, and the rows rejected with rule and reason.
fn run(steps: Value, rows: &[Value]) -> (Vec<Value>, Vec<(usize, String, String)>) {
    let fates = open_transform::<Cleanse>(json!({ "steps": steps }), &schema()).unwrap().apply(rows).unwrap();
    (fates.kept.into_iter().map(|(_, row)| row).collect(), fates.rejected)
}

fn error(steps: Value) -> Error {
    open_transform::<Cleanse>(json!({ "steps": steps }), &schema()).err().expect("it must not open")
}

#[test]
fn steps_see_what_the_steps_before_them_left() {
    let steps = json!([{"trim": ["name"]}, {"upper": ["name"]}, {"cast": {"column": "name", "to": "int64"}}, {"add": {"column": "twice", "expression": "name * 2"}}]);
    let (rows, rejected) =
        run(steps, &[json!({"name": " 12 "}), json!({"name": null}), json!({"name": "x"})]);
    assert_eq!(rows, [json!({"name": 12, "twice": 24}), json!({"name": null, "twice": null})]);
    assert_eq!(rejected, [(2, "cast".to_owned(), "`X` is not an integer of 64 bits".to_owned())]);
}

#[test]
fn what_cannot_be_cast_is_rejected_or_null() {
    let cast =
        |column: &str, to: &str| json!([{"cast": {"column": column, "to": to, "on_failure": "set_null"}}]);
    let rows = |column: &str, values: Value| -> Vec<Value> {
        values.as_array().unwrap().iter().map(|value| json!({ column: value })).collect()
    };
    let check = |column: &str, to: &str, from: Value, expected: Value| {
        let (out, rejected) = run(cast(column, to), &rows(column, from));
        assert_eq!((out, rejected), (rows(column, expected), vec![]), "{column} to {to}");
    };
    check("name", "float64", json!(["1.5", "1e3", "inf", "a", null]), json!([1.5, 1000.0, null, null, null]));
    check("name", "boolean", json!(["True", "0", "yes"]), json!([true, false, null]));
    check("name", "timestamp", json!(["1970-01-01T00:00:01Z", "soon"]), json!([1_000_000, null]));
    check("x", "int64", json!([2.0, 2.5, 1e19]), json!([2, null, null]));
    check("x", "utf8", json!([2.5]), json!(["2.5"]));
    check("n", "boolean", json!([1, 0, 2]), json!([true, false, null]));
    check("n", "timestamp", json!([5]), json!([5]));
    check("ok", "int64", json!([true, false]), json!([1, 0]));
}

#[test]
fn parses_timestamps() {
    let step =
        |format: &str, column: &str| json!([{"parse_timestamp": {"column": column, "format": format}}]);
    let (rows, rejected) =
        run(step("%d.%m.%Y", "name"), &[json!({"name": "02.01.1970"}), json!({"name": "1.1."})]);
    assert_eq!(rows, [json!({"name": 86_400_000_000i64})]);
    assert_eq!(rejected[0].1, "parse_timestamp");
    let (rows, rejected) = run(step("unix_ms", "n"), &[json!({"n": 7}), json!({"n": i64::MAX})]);
    assert_eq!((rows, rejected.len()), (vec![json!({"n": 7_000})], 1));
}

#[test]
fn renames_drops_and_extracts() {
    let steps = json!([
        {"extract": {"from": "reading.temp", "to": "temp"}},
        {"drop": ["reading"]},
        {"rename": {"from": "n", "to": "count"}},
        {"default": {"column": "temp", "value": -1}},
    ]);
    let mut cleanse = open_transform::<Cleanse>(json!({ "steps": steps }), &schema()).unwrap();
    assert_eq!(cleanse.drop, ["n", "reading"]);
    let rows = [
        json!({"n": 1, "reading": {"temp": 2.0}}),
        json!({"n": 2, "reading": null}),
        json!({"n": 3, "reading": {}}),
    ];
    let kept: Vec<Value> = cleanse.apply(&rows).unwrap().kept.into_iter().map(|(_, row)| row).collect();
    let expected = |n: i64, temp: f64| json!({"count": n, "temp": temp});
    assert_eq!(kept, [expected(1, 2.0), expected(2, -1.0), expected(3, -1.0)]);
}

#[test]
fn a_whole_struct_can_be_renamed() {
    let steps = json!([{"rename": {"from": "reading", "to": "measured"}}]);
    let cleanse = open_transform::<Cleanse>(json!({ "steps": steps }), &schema()).unwrap();
    let names: Vec<&str> = cleanse.output.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names, ["measured", "temp", "unit"]);
}

#[test]
fn adds_constants_and_reads_nothing_that_it_does_not_need() {
    let steps =
        json!([{"add": {"column": "source", "constant": "iot"}}, {"add": {"column": "one", "constant": 1}}]);
    let mut cleanse = open_transform::<Cleanse>(json!({ "steps": steps }), &schema()).unwrap();
    assert!(cleanse.reads.is_empty());
    assert_eq!(cleanse.apply(&[json!({})]).unwrap().kept, [(0, json!({"source": "iot", "one": 1}))]);
}

#[test]
fn expressions_see_columns_as_they_are_and_reject_what_fails() {
    let steps = |on_failure: &str| {
        json!([
            {"upper": ["name"]},
            {"add": {"column": "label", "expression": "name || '/' || cast(n as utf8)"}},
            {"add": {"column": "x", "expression": "x / n", "on_failure": on_failure}},
        ])
    };
    let rows = [json!({"name": "a", "n": 2, "x": 1.0}), json!({"name": "b", "n": 0, "x": 1.0})];
    let half = json!({"name": "A", "label": "A/2", "x": 0.5});
    let (kept, rejected) = run(steps("reject"), &rows);
    let reason = "column `x`: `x / n` divides by zero".to_owned();
    assert_eq!((kept, rejected), (vec![half.clone()], vec![(1, "division_by_zero".to_owned(), reason)]));
    let (kept, rejected) = run(steps("set_null"), &rows);
    assert_eq!((kept, rejected), (vec![half, json!({"name": "B", "label": "B/0", "x": null})], vec![]));
}

#[test]
fn refuses_what_makes_no_sense() {
    assert!(matches!(error(json!([{"trim": ["missing"]}])), Error::Schema(_)));
    assert!(matches!(error(json!([{"trim": ["n"]}])), Error::Schema(_)));
    assert!(matches!(error(json!([{"drop": ["n"]}, {"trim": ["n"]}])), Error::Schema(_)));
    assert!(matches!(error(json!([{"rename": {"from": "n", "to": "x"}}])), Error::Config(_)));
    assert!(matches!(error(json!([{"default": {"column": "n", "value": "a"}}])), Error::Config(_)));
    assert!(matches!(error(json!([{"cast": {"column": "reading", "to": "utf8"}}])), Error::Schema(_)));
    assert!(matches!(
        error(json!([{"parse_timestamp": {"column": "n", "format": "rfc3339"}}])),
        Error::Schema(_)
    ));
    assert!(matches!(
        error(json!([{"parse_timestamp": {"column": "name", "format": "%H"}}])),
        Error::Config(_)
    ));
    assert!(matches!(error(json!([{"add": {"column": "y", "expression": "name + 1"}}])), Error::Schema(_)));
    assert!(matches!(error(json!([{"add": {"column": "y"}}])), Error::Config(_)));
    assert!(matches!(error(json!([{"shout": ["name"]}])), Error::Config(_)));
}
