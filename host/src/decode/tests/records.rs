//! Single records: what goes in, what is rescued, what is dead and why.

use super::*;

/// The reason for which the only record is dead.
fn reason(policy: Policy, columns: &[(&str, &str)], payload: &str) -> String {
    let mut found = decode(policy, columns, &[payload]);
    assert_eq!(found.batch.num_rows(), 0, "{payload}");
    found.dead.pop().unwrap().reason
}

fn row(policy: Policy, columns: &[(&str, &str)], payload: &str) -> Value {
    let found = decode(policy, columns, &[payload]);
    assert_eq!(found.dead, [], "{payload}");
    to_json(&found.batch).pop().unwrap()
}

#[test]
fn every_type_takes_its_values() {
    for (data_type, value, expected) in [
        ("boolean", "true", json!(true)),
        ("int8", "-128", json!("-128")),
        ("int16", "1.0", json!("1")),
        ("int32", "1e3", json!("1000")),
        ("int64", "-9223372036854775808", json!(i64::MIN)),
        ("uint8", "255", json!("255")),
        ("uint16", "0", json!("0")),
        ("uint32", "4294967295", json!("4294967295")),
        ("uint64", "18446744073709551615", json!("18446744073709551615")),
        ("float32", "0.1", json!("0.1")),
        ("float32", "16777216", json!("16777216.0")),
        ("float64", "9007199254740992", json!(9007199254740992f64)),
        ("float64", "1e-400", json!(0.0)),
        ("decimal(5,2)", "123.450", json!("123.45")),
        ("decimal(5,2)", "\"-1.5\"", json!("-1.50")),
        ("decimal(20,0)", "18446744073709551615", json!("18446744073709551615")),
        ("utf8", r#""a\u00e9\ud83d\ude00""#, json!("aé😀")),
        ("binary", "\"AP8=\"", json!("00ff")),
        ("date", "\"2026-01-31\"", json!("2026-01-31")),
        ("timestamp", "\"2026-01-31T12:00:00.25+01:00\"", json!("2026-01-31T11:00:00.250Z")),
        ("timestamp", "1763000000001", json!("2025-11-13T02:13:20.001Z")),
        ("list<int64>", "[1, null, 2]", json!([1, null, 2])),
        ("list<int64>", "[]", json!([])),
        ("struct<a: int64, b: utf8>", r#"{"b": "x"}"#, json!({"b": "x"})),
        ("map<utf8, int64>", r#"{"k": 1, "l": null}"#, json!("{k: 1, l: }")),
    ] {
        let payload = format!("{{\"v\": {value}}}");
        for policy in [Policy::Merge, Policy::Rescue, Policy::Strict] {
            assert_eq!(row(policy, &[("v", data_type)], &payload), json!({"v": expected}), "{payload}");
            assert_eq!(row(policy, &[("v", data_type)], r#"{"v": null}"#), json!({}));
            assert_eq!(row(policy, &[("v", data_type)], "{}"), json!({}));
        }
    }
}

#[test]
fn every_mismatch_says_why_and_is_rescued_as_written() {
    for (data_type, value, why) in [
        ("boolean", "1", "v is a number, the column is boolean"),
        ("int64", "\"1\"", "v is a string, the column is int64"),
        ("int64", "1.5", "v has a fraction, the column is int64"),
        ("int64", "9223372036854775807.0000001", "v has a fraction"),
        ("int64", "9223372036854775808", "v is out of the range of int64"),
        ("int64", "1e30", "v is out of the range of int64"),
        ("uint64", "-1", "v is out of the range of uint64"),
        ("float64", "9007199254740993", "v is not exact as float64"),
        ("float64", "\"NaN\"", "v is a string"),
        ("decimal(5,2)", "1.234", "v is not exact as decimal(5,2)"),
        ("decimal(5,2)", "1000", "v is out of the range of decimal(5,2)"),
        ("decimal(5,2)", "\"1,5\"", "v is not an exact decimal number"),
        ("utf8", "1", "v is a number, the column is utf8"),
        ("binary", "\"AP8\"", "v is not base64"),
        ("date", "\"2026-02-30\"", "v is not a date"),
        ("date", "20000", "v is a number"),
        ("timestamp", "\"2026-01-31T12:00:00\"", "v is not an RFC 3339 time with an offset"),
        ("timestamp", "1763000000000000", "v is out of the range of timestamp"),
        ("timestamp", "1763000000000.5", "v has a fraction"),
        ("timestamp", "\"2026-01-31T12:00:00.0000001Z\"", "v is finer than a microsecond"),
        ("list<int64>", "{}", "v is an object, the column is list<int64>"),
        ("struct<a: int64>", "[1]", "v is a list, the column is struct<a: int64>"),
        ("map<utf8, int64>", "\"x\"", "v is a string"),
    ] {
        let payload = format!("{{\"v\": {value}}}");
        let found = reason(Policy::Strict, &[("v", data_type)], &payload);
        assert!(found.starts_with(why), "{payload}: {found}");
        for policy in [Policy::Merge, Policy::Rescue] {
            let found = decode(policy, &[("v", data_type)], &[&payload]);
            let text = found.batch.column(1).as_string::<i32>().value(0);
            assert_eq!(text, format!("{{\"v\":{value}}}"));
            assert!(found.batch.column(0).is_null(0));
        }
    }
}

#[test]
fn paths_lead_to_what_was_rescued() {
    let columns = [("a", "struct<l: list<struct<n: int64>>>"), ("m", "map<utf8, int64>")];
    let payload =
        r#"{"x":{"y":[1.50,"\n"]},"a":{"l":[{"n":1},{"n":"2","o o":true}],"z":null},"m":{"k.k":[]}}"#;
    let expected = json!({
        "a": {"l": [{"n": 1}, {}]},
        "m": "{k.k: }",
        "_rescued": {"x": {"y": [1.5, "\n"]}, "a.l[1].n": "2", "a.l[1].`o o`": true, "m.`k.k`": []},
    });
    assert_eq!(row(Policy::Rescue, &columns, payload), expected);
    assert_eq!(reason(Policy::Strict, &columns, payload), "unknown field x");
}

#[test]
fn duplicate_keys_are_dead_at_any_depth() {
    let columns = [("a", "struct<b: int64>"), ("m", "map<utf8, int64>"), ("n", "int64")];
    for (payload, why) in [
        (r#"{"n":1,"n":2}"#, "duplicate key n"),
        (r#"{"n":1,"\u006e":null}"#, "duplicate key n"),
        (r#"{"a":{"b":1,"b":1}}"#, "duplicate key a.b"),
        (r#"{"m":{"k":1,"k":1}}"#, "duplicate key m.k"),
        (r#"{"u":1,"n":1,"u":2}"#, "duplicate key u"),
        (r#"{"u":[{"k":1,"k":1}]}"#, "duplicate key k within u"),
        (r#"{"n":{"k":1,"k":1}}"#, "duplicate key k within n"),
    ] {
        assert_eq!(reason(Policy::Rescue, &columns, payload), why, "{payload}");
        assert!(!decode(Policy::Strict, &columns, &[payload]).dead.is_empty());
        assert!(!decode(Policy::Merge, &columns, &[payload]).dead.is_empty());
    }
}

#[test]
fn a_bad_record_costs_its_neighbours_nothing() {
    let columns = [("a", "int64"), ("l", "list<struct<x: int64>>"), ("s", "utf8")];
    let good = r#"{"a":1,"l":[{"x":1},{"x":2}],"s":"t"}"#;
    let bad = [
        r#"{"a":2,"l":[{"x":3},{"x":"4"}],"s":"u"}"#,
        r#"{"a":2,"l":[{"x":3}],"s":5}"#,
        r#"{"a":2,"l":[{"x":3}],"s":"u","s":"v"}"#,
        r#"{"a":2,"l":[{"x":3}],"s":"u"#,
        "",
    ];
    let mut payloads = vec![good];
    bad.iter().for_each(|bad| payloads.extend([bad, good]));
    let found = decode(Policy::Strict, &columns, &payloads);
    assert_eq!(found.records, [0, 2, 4, 6, 8, 10]);
    assert!(found.dead.iter().map(|letter| letter.record).eq([1, 3, 5, 7, 9]));
    assert_eq!(found.batch, decode(Policy::Strict, &columns, &[good; 6]).batch);
}

#[test]
fn host_names_and_nulls_are_no_columns() {
    let payload = r#"{"_id": 1, "n": null}"#;
    assert_eq!(row(Policy::Merge, &[], payload), json!({"_rescued": {"_id": 1}}));
    assert_eq!(
        reason(Policy::Strict, &[], payload),
        "unknown field _id: names that start with `_` are reserved for the host"
    );
    assert!(matches!(
        Decoder::new(SETTINGS, schema(&[("_id", "int64")])),
        Err(DecodeError::Schema(SchemaError::Reserved(_)))
    ));
}

#[test]
fn settings_are_checked() {
    let deep = DecodeSettings { max_depth: MAX_TYPE_DEPTH + 1, ..SETTINGS };
    assert!(matches!(Decoder::new(deep, RecordSchema::default()), Err(DecodeError::MaxDepth(_))));
    let narrow = DecodeSettings { max_columns: 1, ..SETTINGS };
    let two = schema(&[("s", "struct<a: int8, b: int8>")]);
    let refused = Decoder::new(narrow, two);
    assert!(matches!(refused, Err(DecodeError::Schema(SchemaError::TooManyColumns { columns: 2, .. }))));
}
