use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, BooleanArray, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{BatchOutcome, BatchOutput, BatchPlan, BatchTransform, Batchwise, from_arrow, schema, to_arrow};
use crate::test_kit::{batch, open_transform, struct_field};
use crate::{
    ByteStrings, Column, DecimalType, Description, Error, Kind, Rejections, TimeUnit, TimestampType, Values,
    field,
};

/// Columns of every type, of three rows, the second of which is null; with the items of lists and maps.
fn every_type() -> (Vec<crate::Field>, crate::Batch) {
    let timestamp = |unit| Kind::Timestamp(TimestampType { unit, zone: Some("+01:00".into()) });
    let strings =
        || Values::Bytes(ByteStrings { offsets: vec![0, 2, 2, 5], data: "ab№".as_bytes().to_vec() });
    let leaves = [
        (Kind::Boolean, Values::Bits(vec![0b101])),
        (Kind::Int8, Values::Int8(vec![1, 0, -3])),
        (Kind::Int16, Values::Int16(vec![1, 0, -3])),
        (Kind::Int32, Values::Int32(vec![1, 0, -3])),
        (Kind::Int64, Values::Int64(vec![1, 0, -3])),
        (Kind::Uint8, Values::Uint8(vec![1, 0, 3])),
        (Kind::Uint16, Values::Uint16(vec![1, 0, 3])),
        (Kind::Uint32, Values::Uint32(vec![1, 0, 3])),
        (Kind::Uint64, Values::Uint64(vec![1, 0, u64::MAX])),
        (Kind::Float32, Values::Float32(vec![1.5, 0.0, -3.0])),
        (Kind::Float64, Values::Float64(vec![1.5, 0.0, -3.0])),
        (
            Kind::Decimal128(DecimalType { precision: 10, scale: 2 }),
            Values::Fixed((0..48).map(|i| i % 16 / 15).collect()),
        ),
        (Kind::Utf8, strings()),
        (Kind::Binary, strings()),
        (Kind::FixedSizeBinary(2), Values::Fixed(vec![1, 2, 0, 0, 5, 6])),
        (Kind::Date32, Values::Int32(vec![1, 0, -3])),
        (timestamp(TimeUnit::Seconds), Values::Int64(vec![1, 0, -3])),
        (timestamp(TimeUnit::Milliseconds), Values::Int64(vec![1, 0, -3])),
        (timestamp(TimeUnit::Microseconds), Values::Int64(vec![1, 0, -3])),
        (timestamp(TimeUnit::Nanoseconds), Values::Int64(vec![1, 0, -3])),
    ];
    let mut fields = Vec::new();
    let mut columns = Vec::new();
    let mut add = |of: crate::Field, validity: Option<u8>, length, values| {
        fields.push(of);
        columns.push(Column { length, validity: validity.map(|bits| vec![bits]), values });
    };
    for (i, (kind, values)) in leaves.into_iter().enumerate() {
        add(field(format!("c{i}"), kind), Some(0b101), 3, values);
    }
    let nested = |name: &str, kind, children| crate::Field { children, ..field(name, kind) };
    add(nested("list", Kind::ListOf, 1), Some(0b101), 3, Values::Offsets(vec![0, 2, 2, 3]));
    add(nested("item", Kind::StructOf, 2), None, 3, Values::None);
    add(field("a", Kind::Int64), Some(0b101), 3, Values::Int64(vec![7, 0, 9]));
    add(field("b", Kind::Utf8), None, 3, strings());
    add(nested("map", Kind::MapOf, 1), Some(0b101), 3, Values::Offsets(vec![0, 1, 1, 3]));
    add(crate::Field { nullable: false, ..nested("entries", Kind::StructOf, 2) }, None, 3, Values::None);
    add(crate::Field { nullable: false, ..field("key", Kind::Utf8) }, None, 3, strings());
    add(field("value", Kind::Int64), Some(0b101), 3, Values::Int64(vec![7, 0, 9]));
    (fields, crate::Batch { rows: 3, columns })
}

#[test]
fn every_type_becomes_arrow_and_comes_back() {
    let (fields, columns) = every_type();
    let arrow = schema::to_arrow(&fields).unwrap();
    assert_eq!(schema::from_arrow(&arrow).unwrap(), fields);
    let record_batch = to_arrow::record_batch(&Schema::new(arrow.clone()).into(), columns.clone()).unwrap();
    assert_eq!(record_batch.column(20).as_list::<i32>().value(0).len(), 2);
    assert_eq!(from_arrow::batch(&arrow, &record_batch).unwrap(), columns);
}

/// Buffers of a slice start before its first row, and its bits in the middle of a byte.
#[test]
fn a_slice_comes_back_as_rows_of_its_own() {
    let (fields, columns) = every_type();
    let arrow = schema::to_arrow(&fields).unwrap();
    let whole = to_arrow::record_batch(&Schema::new(arrow.clone()).into(), columns).unwrap();
    let last = from_arrow::batch(&arrow, &whole.slice(2, 1)).unwrap();
    let again = to_arrow::record_batch(&whole.schema(), last.clone()).unwrap();
    assert_eq!(again, whole.slice(2, 1));
    assert_eq!(last.columns[12].values, Values::Bytes(ByteStrings { offsets: vec![0, 3], data: "№".into() }));
    let (list, item) = (&last.columns[20], &last.columns[22]);
    assert_eq!((&list.values, &item.values), (&Values::Offsets(vec![0, 1]), &Values::Int64(vec![9])));
    assert_eq!((list.length, item.length, &list.validity), (1, 1, &None));
}

#[derive(Deserialize, JsonSchema)]
struct Behaves {
    behaviour: String,
}

impl BatchTransform for Behaves {
    const DESCRIPTION: Description = Description { name: "test", version: "0.0.0", summary: "For tests." };
    type Config = Behaves;

    fn open(config: Behaves, input: &Schema) -> Result<(Behaves, BatchPlan), Error> {
        assert!(input.field_with_name("n").is_ok());
        let of = |data_type| Field::new("n", data_type, true);
        let output = match config.behaviour.as_str() {
            "selects" => BatchOutput::Select,
            "gives-large" => BatchOutput::Rows(Schema::new(vec![of(DataType::LargeUtf8)])),
            "gives-text" => BatchOutput::Rows(Schema::new(vec![of(DataType::Utf8)])),
            "sets" => BatchOutput::Columns { set: vec![of(DataType::Int64)], drop: Vec::new() },
            _ => BatchOutput::Rows(Schema::new(vec![of(DataType::Int64)])),
        };
        let nested = config.behaviour == "reads-nested";
        let reads = vec!["_offset".into(), if nested { "s.n".into() } else { "n".into() }];
        Ok((config, BatchPlan { reads, output, rules: vec!["odd".into()] }))
    }

    fn apply(&mut self, batch: &RecordBatch) -> Result<BatchOutcome, Error> {
        let numbers = batch.column_by_name("n").unwrap().as_primitive::<Int64Type>();
        let mut rejected = Rejections::default();
        for row in (0..batch.num_rows()).filter(|row| numbers.value(*row) % 2 == 1) {
            rejected.push(row, 0, "it is odd");
        }
        let made = |values: Vec<i64>| {
            let array: ArrayRef = Arc::new(Int64Array::from(values));
            RecordBatch::try_from_iter([("n", array)]).unwrap()
        };
        // True lies under the null.
        let values = BooleanArray::from(vec![true, true, true, false]).values().clone();
        let keep = || BooleanArray::new(values.clone(), Some(vec![true, false, true, true].into()));
        Ok(match self.behaviour.as_str() {
            "selects" => BatchOutcome { keep: Some(keep()), rejected, batch: None },
            "selects-few" => BatchOutcome { keep: Some(keep().slice(0, 1)), rejected, batch: None },
            "sets" => {
                let doubled = numbers.values().iter().map(|n| n * 2).collect();
                BatchOutcome { keep: Some(keep()), rejected, batch: Some(made(doubled)) }
            }
            "gives-none" => BatchOutcome {
                batch: Some(RecordBatch::new_empty(Schema::empty().into())),
                ..Default::default()
            },
            _ => BatchOutcome { keep: None, rejected, batch: Some(made(vec![5, 6])) },
        })
    }
}

fn run(behaviour: &str) -> Result<crate::test_kit::Fates, Error> {
    let mut fields = vec![field("n", Kind::Int64)];
    fields.extend(struct_field("s", vec![vec![field("n", Kind::Int64)]]));
    let rows: Vec<Value> = [0, 2, 3, 4].iter().map(|n| json!({ "n": n, "_offset": n })).collect();
    open_transform::<Batchwise<Behaves>>(json!({ "behaviour": behaviour }), &fields)?.apply(&rows)
}

#[test]
fn rows_have_the_fates_that_the_plugin_says() {
    let fates = run("selects").unwrap();
    assert_eq!((fates.kept_rows(), &fates.dropped), (vec![0], &vec![1, 3]));
    assert_eq!(fates.rejected, [(2, "odd".into(), "it is odd".into())]);
    assert_eq!(run("sets").unwrap().kept, [(0, json!({"n": 0}))]);
    let fates = run("gives").unwrap();
    assert_eq!((fates.made, fates.rejected.len()), (vec![json!({"n": 5}), json!({"n": 6})], 1));
}

#[test]
fn what_does_not_fit_is_refused() {
    let says = |behaviour| match run(behaviour).err() {
        Some(Error::Data(what)) => format!("data: {what}"),
        Some(Error::Config(what)) => format!("config: {what}"),
        Some(Error::Schema(what)) => format!("schema: {what}"),
        None => String::new(),
    };
    assert!(says("gives-large").starts_with("config: the plugin's plan has a type for `n`"));
    assert!(says("gives-text").starts_with("data: the plugin gives `n` another type"));
    assert!(says("gives-none").starts_with("data: the plugin gives 0 columns"));
    assert!(says("selects-few").starts_with("data: the plugin says of 1 rows"));
    assert!(says("reads-nested").starts_with("schema: `s.n` is a field in a column"));
    let other = schema::to_arrow(&[field("n", Kind::Utf8)]).unwrap();
    let batch = batch(&[field("n", Kind::Int64)], &[json!({"n": 1})]);
    assert!(matches!(to_arrow::record_batch(&Schema::new(other).into(), batch), Err(Error::Data(_))));
}
