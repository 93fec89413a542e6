//! Rows that are written are read again, whatever they are; what is not sound is refused.

use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::*;
use proptest::prelude::*;

use super::super::lift::lift_batch;
use super::super::round_trip::Dice;
use super::column::Budget;
use super::read::{Expected, read_rows};
use super::write_all;

fn read(text: &str, schema: &SchemaRef) -> Result<RecordBatch, String> {
    let expected = Expected { rows: 100, nulls: false };
    let read = read_rows(text, schema, expected, &mut Budget::new(1 << 20))?;
    lift_batch(schema, read.batch, 100)
}

/// One column `v`.
fn column(data_type: DataType) -> SchemaRef {
    Schema::new(vec![Field::new("v", data_type, true)]).into()
}

fn timestamp(unit: TimeUnit, zone: Option<&str>) -> DataType {
    DataType::Timestamp(unit, zone.map(Into::into))
}

fn map_of(key: DataType) -> DataType {
    let pair = vec![Field::new("key", key, false), Field::new("value", DataType::Int32, true)];
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(pair.into()), false)), false)
}

/// For each type a value as it may be read, and as it is written.
#[test]
fn values_are_read_and_written_as_the_contract_says() {
    use DataType::*;
    let pair = Struct(vec![Field::new("a", Int8, true), Field::new("b\"", Utf8, true)].into());
    for (data_type, from, to) in [
        (Boolean, "true", "true"),
        (Int8, "-128", "-128"),
        (Int8, "1.0", "1"),
        (UInt16, "\"65535\"", "65535"),
        (Int64, "9007199254740991", "9007199254740991"),
        (Int64, "-9007199254740992", "\"-9007199254740992\""),
        (Int64, "\"9223372036854775807\"", "\"9223372036854775807\""),
        (UInt64, "18446744073709551615", "\"18446744073709551615\""),
        (UInt64, "1e3", "1000"),
        (Float64, "1", "1.0"),
        (Float64, "0.1", "0.1"),
        (Float64, "1e300", "1e300"),
        (Float64, "-0.0", "-0.0"),
        (Float64, "123456789.12345679", "123456789.12345679"),
        (Float64, "\"NaN\"", "\"NaN\""),
        (Float32, "\"-Infinity\"", "\"-Infinity\""),
        (Float32, "0.1", "0.1"),
        (Decimal128(5, 2), "12.5", "\"12.50\""),
        (Decimal128(5, 2), "\"-0.05\"", "\"-0.05\""),
        (
            Decimal128(38, 0),
            "\"99999999999999999999999999999999999999\"",
            "\"99999999999999999999999999999999999999\"",
        ),
        (Utf8, r#""a\u00e9\"\\\n\u0001🦀""#, "\"aé\\\"\\\\\\n\\u0001🦀\""),
        (Binary, "\"AP8=\"", "\"AP8=\""),
        (Binary, "\"\"", "\"\""),
        (FixedSizeBinary(2), "\"AP8=\"", "\"AP8=\""),
        (Date32, "\"2026-01-31\"", "\"2026-01-31\""),
        (Date32, "2932897", "2932897"),
        (
            timestamp(TimeUnit::Microsecond, Some("UTC")),
            "\"2026-01-31T13:00:00.5+01:00\"",
            "\"2026-01-31T12:00:00.500000Z\"",
        ),
        (timestamp(TimeUnit::Microsecond, Some("UTC")), "\"9223372036854775807\"", "\"9223372036854775807\""),
        (timestamp(TimeUnit::Second, Some("Europe/Paris")), "0", "\"1970-01-01T00:00:00Z\""),
        (
            timestamp(TimeUnit::Nanosecond, None),
            "\"1969-12-31 23:59:59.999999999\"",
            "\"1969-12-31T23:59:59.999999999\"",
        ),
        (List(Arc::new(Field::new("item", Int32, true))), "[1, null,3]", "[1,null,3]"),
        (pair, r#"{ "b\"": "x" }"#, r#"{"a":null,"b\"":"x"}"#),
        (map_of(Utf8), r#"{"k": 1, "l": null}"#, r#"{"k":1,"l":null}"#),
        (map_of(Int64), "[[1, 2]]", "[[1,2]]"),
        (Int32, "null", "null"),
    ] {
        let schema = column(data_type.clone());
        let batch = read(&format!("[ {{ \"v\" : {from} }} ]"), &schema)
            .unwrap_or_else(|what| panic!("{from}: {what}"));
        assert_eq!(write_all(&batch), format!("[{{\"v\":{to}}}]"), "{data_type}");
    }
}

#[test]
fn values_that_do_not_fit_are_refused() {
    use DataType::*;
    let micros = timestamp(TimeUnit::Microsecond, Some("UTC"));
    for (data_type, json, says) in [
        (Boolean, "1", "column `v`: 1 is not true or false"),
        (Int8, "128", "128 is not of int8"),
        (Int8, "1.5", "not of int8"),
        (Int8, "\"+5\"", "not of int8"),
        (Int8, "true", "not of int8"),
        (UInt64, "-1", "not of uint64"),
        (Int64, "[[[[[[[[]]]]]]]]", "not of int64"),
        (Float32, "1e39", "not of float32"),
        (Float64, "1e999", "not of float64"),
        (Float64, "\"nan\"", "not of float64"),
        (Decimal128(5, 2), "1.005", "1.005 is not exact as decimal(5,2)"),
        (Decimal128(5, 2), "1000", "not exact as decimal(5,2)"),
        (Utf8, "5", "5 is not a string"),
        (Utf8, r#""\ud800""#, "not a sound string"),
        (Binary, "\"AP8\"", "not base64 with padding"),
        (FixedSizeBinary(3), "\"AP8=\"", "not 3 bytes in base64"),
        (Date32, "\"2026-02-30\"", "not a date"),
        (micros.clone(), "\"2026-01-31T12:00:00\"", "with an offset"),
        (micros, "\"2026-01-31T12:00:00.0000001Z\"", "a time in microseconds"),
        (timestamp(TimeUnit::Second, None), "\"2026-01-31T12:00:00Z\"", "without an offset"),
        (List(Arc::new(Field::new("item", Int32, false))), "[1,null]", "column `v.item` is null or missing"),
        (List(Arc::new(Field::new("item", Int32, true))), "{}", "not an object"),
        (Struct(vec![Field::new("a", Int8, false)].into()), "{}", "column `v.a` is null or missing"),
        (Struct(vec![Field::new("a", Int8, false)].into()), "[1]", "not an array"),
        (Struct(vec![Field::new("a", Int8, false)].into()), "5", "an object in column `v`"),
        (Struct(vec![Field::new("a", Int8, false)].into()), r#"{"a":1,"b":2}"#, "no column `b` in `v`"),
        (map_of(Utf8), r#"{"k":1,"k":2}"#, "the key \"k\" twice"),
        (map_of(Utf8), "[]", "not an array"),
        (map_of(Int64), "[[1]]", "a key and a value"),
        (map_of(Int64), "[[1,2,3]]", "trailing"),
        (map_of(Int64), "[[null,2]]", "column `v.entries.key` is null"),
    ] {
        let refused = read(&format!("[{{\"v\":null}},{{\"v\":{json}}}]"), &column(data_type)).unwrap_err();
        assert!(
            refused.contains(says) && refused.contains("after 1 rows"),
            "{json}: {refused} does not say {says}"
        );
    }
}

#[test]
fn rows_that_are_none_are_refused() {
    let schema = column(DataType::Int32);
    for (text, says) in [
        ("", "EOF"),
        ("{}", "an array of rows"),
        ("[{}", "EOF"),
        ("[{}] []", "trailing"),
        ("[null]", "a new row is null"),
        ("[[1]]", "an object"),
        (r#"[{"v":1,"v":1}]"#, "column `v` is there twice"),
        (r#"[{"w\n":1}]"#, "there is no column `w"),
        (r#"[{"v":1 2}]"#, "expected"),
        (r#"[{"v":nan}]"#, "expected"),
    ] {
        let refused = read(text, &schema).unwrap_err();
        assert!(refused.contains(says), "{text}: {refused} does not say {says}");
        assert!(!refused.contains('\n'), "{refused:?}");
    }
    let deep = format!("[{}", "[".repeat(1_000_000));
    assert!(read(&deep, &schema).is_err());
    assert!(read(&format!("[{{\"v\":{deep}}}]"), &schema).is_err());
    let many = format!("[{}{{}}]", "{},".repeat(100));
    assert!(
        read(&many, &schema).unwrap_err().contains("more new rows than `output_rows`"),
        "the limit holds"
    );
}

/// A text of a few kilobytes must not become gigabytes of nulls.
#[test]
fn a_small_text_does_not_become_large_columns() {
    let wide: Vec<Field> = (0..1000).map(|n| Field::new(format!("f{n}"), DataType::Int64, true)).collect();
    let item = Field::new("item", DataType::Struct(wide.into()), true);
    let schema = column(DataType::List(Arc::new(item)));
    for element in ["{}", "null"] {
        let text = format!("[{{\"v\":[{element}{}]}}]", format!(",{element}").repeat(1000));
        let refused = read(&text, &schema).unwrap_err();
        assert!(refused.contains("more than 1048576 bytes as columns"), "{refused}");
    }
}

#[test]
fn rows_that_are_not_there_leave_sound_columns() {
    let fields = vec![
        Field::new("a", DataType::Struct(vec![Field::new("b", DataType::Utf8, false)].into()), false),
        Field::new("c", DataType::FixedSizeBinary(3), false),
        Field::new("d", map_of(DataType::Utf8), false),
    ];
    let schema: SchemaRef = Schema::new(fields).into();
    let row = r#"{"a":{"b":"x"},"c":"AAAA","d":{}}"#;
    let expected = Expected { rows: 3, nulls: true };
    let mut budget = Budget::new(1000);
    let read = read_rows(&format!("[null,{row},null]"), &schema, expected, &mut budget).unwrap();
    assert_eq!(read.present, [false, true, false]);
    let batch = lift_batch(&schema, read.batch, 3).unwrap();
    assert_eq!(write_all(&batch.slice(1, 1)), format!("[{row}]"));
}

fn has_map(field: &Field) -> bool {
    match field.data_type() {
        DataType::Map(..) => true,
        DataType::List(item) => has_map(item),
        DataType::Struct(fields) => fields.iter().any(|field| has_map(field)),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn what_is_written_is_read(seed: u64, rows in 1usize..40, columns in 0usize..6) {
        let mut dice = Dice::new(seed);
        let fields: Vec<Field> = (0..columns).map(|index| dice.field(&format!("c{index}"), 3)).collect();
        // Maps that are drawn have keys twice.
        prop_assume!(!fields.iter().any(has_map));
        let schema: SchemaRef = Schema::new(fields).into();
        let arrays: Vec<ArrayRef> = schema.fields().iter().map(|field| dice.array(field, rows)).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(schema.clone(), arrays, &options).unwrap();
        let text = write_all(&batch);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
        prop_assert_eq!(read(&text, &schema).unwrap(), batch);
    }

    #[test]
    fn no_text_panics(text in "[\\[\\]{}\",:a-c0-9.eE+\\-\\\\ ntrue]{0,60}", seed: u64) {
        let mut dice = Dice::new(seed);
        let schema: SchemaRef = Schema::new(vec![dice.field("a", 3), dice.field("b", 2)]).into();
        let _ = read(&text, &schema);
        let _ = read(&format!("[{{\"a\":{text}"), &schema);
    }
}
