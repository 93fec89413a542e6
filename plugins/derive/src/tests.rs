use sluicebox_plugin::serde_json::{Value, json};
use sluicebox_plugin::test_kit::{open_transform, struct_field};
use sluicebox_plugin::{Error, Field, Kind, field, kind_name, timestamp_micros};

use crate::Derive;

fn schema() -> Vec<Field> {
    let mut fields = vec![
        field("price", Kind::Float64),
        field("count", Kind::Int32),
        field("name", Kind::Utf8),
        field("at", timestamp_micros()),
        field("key", Kind::Binary),
    ];
    fields.extend(struct_field("reading", vec![vec![field("temp", Kind::Float32)]]));
    fields
}

fn columns(columns: &[(&str, &str)]) -> Value {
    let each = |(name, expression): &(&str, &str)| json!({"name": name, "expression": expression});
    json!({"columns": columns.iter().map(each).collect::<Vec<Value>>()})
}

fn error(config: Value) -> Error {
    open_transform::<Derive>(config, &schema()).err().expect("it must not open")
}

#[test]
fn columns_see_those_before_them_and_have_the_types_of_their_expressions() {
    let config = columns(&[
        ("total", "price * count"),
        ("size", "case when total >= 100 then 'large' else 'small' end"),
        ("name", "upper(name)"),
        ("label", "name || ' ' || size"),
        ("hour", "truncate(at, 'hour')"),
        ("hot", "reading.temp > 30"),
        ("twice", "count * 2"),
    ]);
    let mut derive = open_transform::<Derive>(config, &schema()).unwrap();
    let types: Vec<_> =
        derive.output.iter().map(|field| (field.name.as_str(), kind_name(&field.kind))).collect();
    assert_eq!(
        types,
        [
            ("total", "float64"),
            ("size", "utf8"),
            ("name", "utf8"),
            ("label", "utf8"),
            ("hour", "timestamp"),
            ("hot", "boolean"),
            ("twice", "int64")
        ]
    );
    let rows = [
        json!({"price": 2.5, "count": 40, "name": "nut", "at": 3_700_000_000i64, "reading": {"temp": 31.0}}),
        json!({"price": 2.5, "count": null, "name": "bolt", "at": null, "reading": null}),
    ];
    let fates = derive.apply(&rows).unwrap();
    let expected = [
        json!({"total": 100.0, "size": "large", "name": "NUT", "label": "NUT large", "hour": 3_600_000_000i64, "hot": true, "twice": 80}),
        json!({"total": null, "size": "small", "name": "BOLT", "label": "BOLT small", "hour": null, "hot": null, "twice": null}),
    ];
    assert_eq!(fates.kept, expected.into_iter().enumerate().collect::<Vec<_>>());
}

#[test]
fn what_cannot_be_computed_rejects_the_row_or_is_null() {
    let failing = |on_failure: &str| {
        json!({"columns": [
            {"name": "number", "expression": "cast(name as int64)", "on_failure": on_failure},
            {"name": "each", "expression": "coalesce(price / count, 0.0)", "on_failure": on_failure},
        ]})
    };
    let rows = [
        json!({"name": "7", "price": 1.0, "count": 2}),
        json!({"name": "x", "price": 1.0, "count": 0}),
        json!({"name": "8", "price": 1.0, "count": 0}),
    ];
    let fates = open_transform::<Derive>(failing("reject"), &schema()).unwrap().apply(&rows).unwrap();
    assert_eq!(fates.kept, [(0, json!({"number": 7, "each": 0.5}))]);
    let rejected = |row, rule: &str, reason: &str| (row, rule.to_owned(), reason.to_owned());
    assert_eq!(
        fates.rejected,
        [
            rejected(1, "cast", "column `number`: `x` is not an integer of 64 bits"),
            rejected(2, "division_by_zero", "column `each`: `price / count` divides by zero"),
        ]
    );
    let fates = open_transform::<Derive>(failing("set_null"), &schema()).unwrap().apply(&rows).unwrap();
    assert_eq!(fates.kept[1], (1, json!({"number": null, "each": 0.0})));
    assert_eq!((fates.kept.len(), fates.rejected), (3, vec![]));
}

#[test]
fn a_replaced_column_is_set_once_and_reads_only_what_it_needs() {
    let config = columns(&[("name", "trim(name)"), ("name", "lower(name)"), ("one", "1"), ("same", "name")]);
    let mut derive = open_transform::<Derive>(config, &schema()).unwrap();
    assert_eq!((derive.reads.len(), derive.output.len()), (1, 3));
    let fates = derive.apply(&[json!({"name": " Nut "}), json!({"name": null})]).unwrap();
    assert_eq!(
        fates.kept,
        [
            (0, json!({"name": "nut", "one": 1, "same": "nut"})),
            (1, json!({"name": null, "one": 1, "same": null}))
        ]
    );
}

#[test]
fn refuses_what_makes_no_sense() {
    let of = |expression: &str| error(columns(&[("y", expression)]));
    let Error::Schema(why) = of("missing + 1") else { panic!("the schema lacks the column") };
    assert!(
        why.starts_with("column `y`: expression `missing + 1`, at character 1: there is no column"),
        "{why}"
    );
    let Error::Schema(why) = of("length(key)") else { panic!("the column has no type here") };
    assert!(why.contains("column `key` is binary, which expressions cannot use"), "{why}");
    assert!(matches!(of("reading"), Error::Schema(_)));
    assert!(matches!(of("count +"), Error::Config(_)));
    assert!(matches!(error(json!({"columns": []})), Error::Config(_)));
    assert!(matches!(error(json!({"columns": [{"name": "y"}]})), Error::Config(_)));
}
