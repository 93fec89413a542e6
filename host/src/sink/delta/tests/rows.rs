//! Rows to files: what comes back, what the statistics say, when files are split.

use arrow::array::{
    AsArray, BinaryArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float64Array, Int32Array,
    ListArray, StructArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::datatypes::Int64Type;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::ParquetMetaData;

use super::*;
use crate::sink::delta::{DeltaError, EncodedFile};

fn writer(schema: &SchemaRef, file_size: usize, by: &[&str]) -> DeltaWriter {
    let settings = WriterSettings { incarnation: Uuid::nil(), thread: 2, file_size, max_partitions: 10 };
    let by = PartitionSettings { by: by.iter().map(|&name| name.to_owned()).collect(), event_time: None };
    DeltaWriter::new(settings, schema.clone(), Partitioning::new(schema, &by).expect("a partitioning"))
}

fn footer(bytes: &Bytes) -> ParquetMetaData {
    ParquetRecordBatchReaderBuilder::try_new(bytes.clone())
        .expect("a Parquet file")
        .metadata()
        .as_ref()
        .clone()
}

fn written(columns: Vec<(&str, ArrayRef)>) -> EncodedFile {
    let batch = RecordBatch::try_from_iter(columns).expect("rows");
    let mut writer = writer(&batch.schema(), 1 << 20, &[]);
    writer.write(&batch).expect("written");
    writer.finish(1).expect("finished").remove(0)
}

fn stats(columns: Vec<(&str, ArrayRef)>) -> Value {
    let file = written(columns).file;
    serde_json::from_str(file.stats.as_deref().expect("statistics")).expect("JSON")
}

#[test]
fn statistics_bound_every_kind_of_value_the_right_way_round() {
    let micros = TimestampMicrosecondArray::from(vec![1_700_000_000_123_456, -1_500, 1_700_000_000_123_001]);
    let nested: ArrayRef = Arc::new(Int32Array::from(vec![Some(5), None, Some(-7)]));
    let nested = StructArray::from(vec![(Arc::new(Field::new("x", DataType::Int32, true)), nested)]);
    let list =
        ListArray::from_iter_primitive::<Int64Type, _, _>(vec![Some(vec![Some(1)]), None, Some(vec![])]);
    let long = "é".repeat(100);
    let stats = stats(vec![
        ("list", Arc::new(list) as ArrayRef),
        ("t", Arc::new(micros)),
        ("s", Arc::new(nested)),
        ("text", Arc::new(StringArray::from(vec![long.as_str(), "zz", "éé"]))),
        ("f", Arc::new(Float64Array::from(vec![f64::NAN, 1.5, -2.0]))),
        ("inf", Arc::new(Float64Array::from(vec![f64::INFINITY, 1.0, 2.0]))),
        ("day", Arc::new(Date32Array::from(vec![Some(0), Some(-1), None]))),
        (
            "dec",
            Arc::new(
                Decimal128Array::from(vec![-5, 123, 1005]).with_precision_and_scale(9, 2).expect("a decimal"),
            ),
        ),
        (
            "big",
            Arc::new(
                Decimal128Array::from(vec![10i128.pow(30), 1, 2])
                    .with_precision_and_scale(38, 2)
                    .expect("a decimal"),
            ),
        ),
        ("u", Arc::new(UInt64Array::from(vec![u64::MAX, 0, 1]))),
        ("bytes", Arc::new(BinaryArray::from(vec![&b"a"[..], b"b", b"c"]))),
        ("none", arrow::array::new_null_array(&DataType::Utf8, 3)),
    ]);
    assert_eq!(stats["numRecords"], 3);
    let (min, max, nulls) = (&stats["minValues"], &stats["maxValues"], &stats["nullCount"]);
    assert_eq!(
        (&min["t"], &max["t"]),
        (&json!("1969-12-31T23:59:59.998Z"), &json!("2023-11-14T22:13:20.124Z"))
    );
    assert_eq!((&min["s"], &max["s"], &nulls["s"]), (&json!({"x": -7}), &json!({"x": 5}), &json!({"x": 1})));
    let greatest = max["text"].as_str().expect("a maximum");
    assert!(
        min["text"].as_str().expect("a minimum") <= "zz" && greatest >= long.as_str() && greatest >= "éé"
    );
    assert!(greatest.len() < long.len());
    assert_eq!((&min["f"], &max["f"]), (&json!(-2.0), &json!(1.5)));
    assert_eq!((&min["inf"], max.get("inf")), (&json!(1.0), None));
    assert_eq!(
        (&min["day"], &max["day"], &nulls["day"]),
        (&json!("1969-12-31"), &json!("1970-01-01"), &json!(1))
    );
    assert_eq!((&min["dec"], &max["dec"]), (&json!(-0.05), &json!(10.05)));
    assert_eq!(max.get("big"), None);
    assert_eq!((&min["u"], &max["u"]), (&json!(0), &json!(u64::MAX)));
    assert_eq!((min.get("bytes"), &nulls["bytes"], min.get("list")), (None, &json!(0), None));
    assert_eq!((min.get("none"), &nulls["none"]), (None, &json!(3)));
}

#[test]
fn only_the_first_columns_have_statistics() {
    let names: Vec<String> = (0..40).map(|index| format!("c{index}")).collect();
    let columns =
        names.iter().map(|name| (name.as_str(), Arc::new(Int32Array::from(vec![1])) as ArrayRef)).collect();
    let stats = stats(columns);
    assert_eq!(stats["nullCount"].as_object().expect("counts").len(), 32);
    assert_eq!((&stats["minValues"]["c31"], stats["minValues"].get("c32")), (&json!(1), None));
}

#[test]
fn rows_come_back_in_delta_types() {
    let bytes = FixedSizeBinaryArray::try_from_iter([[1u8, 2], [3, 4]].into_iter()).expect("bytes");
    let file = written(vec![
        ("u", Arc::new(UInt64Array::from(vec![u64::MAX, 1])) as ArrayRef),
        ("b", Arc::new(bytes)),
        ("t", Arc::new(arrow::array::TimestampNanosecondArray::from(vec![-1, 1_999]))),
    ]);
    let reader = ParquetRecordBatchReaderBuilder::try_new(file.bytes).expect("a Parquet file");
    assert_eq!(reader.schema().field(0).data_type(), &DataType::Decimal128(20, 0));
    assert_eq!(reader.schema().field(1).data_type(), &DataType::Binary);
    let batch = reader.build().expect("a reader").next().expect("a batch").expect("rows");
    assert_eq!(
        batch.column(0).as_primitive::<arrow::datatypes::Decimal128Type>().value(0),
        i128::from(u64::MAX)
    );
    assert_eq!(batch.column(1).as_binary::<i32>().value(1), [3, 4]);
}

#[test]
fn rows_that_cannot_be_null_are_as_welcome_as_rows_that_can() {
    let mut writer = writer(&schema(), 1 << 20, &[]);
    let required =
        schema().fields().iter().map(|field| field.as_ref().clone().with_nullable(false)).collect::<Vec<_>>();
    let required = Arc::new(Schema::new(required));
    let batch = RecordBatch::try_new(required, rows(0, 5).columns().to_vec()).expect("rows");
    writer.write(&batch).expect("written");
    writer.write(&rows(5, 10)).expect("written");
    assert_eq!(writer.finish(1).expect("finished")[0].file.rows, 10);
}

#[test]
fn files_are_split_by_size_and_named_so_that_they_are_recognised() {
    let mut writer = writer(&schema(), 50_000, &[]);
    let mut buffered = 0;
    for part in 0..10 {
        writer.write(&rows(part * 20_000, (part + 1) * 20_000)).expect("written");
        assert!(writer.buffered_bytes() > buffered || part > 0);
        buffered = writer.buffered_bytes();
    }
    let files = writer.finish(7).expect("finished");
    assert!(files.len() > 2, "{} files", files.len());
    assert_eq!(files.iter().map(|file| file.file.rows).sum::<u64>(), 200_000);
    assert_eq!(files[1].file.path, format!("{}-7-2-1.parquet", Uuid::nil()));
    assert_eq!(files[1].file.size, files[1].bytes.len() as u64);
    assert_eq!(writer.buffered_bytes(), 0);
    assert!(writer.finish(8).expect("nothing left").is_empty());
}

#[test]
fn a_column_of_distinct_values_loses_its_dictionary() {
    let mut writer = writer(&schema(), 1 << 30, &[]);
    let mut dictionaries = Vec::new();
    for epoch in 0..2 {
        writer.write(&rows(0, 100_000)).expect("written");
        let files = writer.finish(epoch).expect("finished");
        let footer = footer(&files[0].bytes);
        let has = |column: usize| footer.row_group(0).column(column).dictionary_page_offset().is_some();
        dictionaries.push((has(0), has(1)));
    }
    assert_eq!(dictionaries, [(true, true), (false, true)]);
}

#[test]
fn partition_columns_are_not_in_the_files_and_their_number_is_limited() {
    let mut few = writer(&schema(), 1 << 20, &["name"]);
    few.write(&rows(0, 10)).expect("written");
    let files = few.finish(1).expect("finished");
    assert_eq!(files.len(), 3);
    assert_eq!(footer(&files[0].bytes).file_metadata().schema_descr().num_columns(), 1);
    assert_eq!(files[0].file.partition_values, [("name".to_owned(), Some("name 0".to_owned()))]);
    assert!(files[0].file.path.starts_with("name=name%200/"));
    let mut many = writer(&schema(), 1 << 20, &["id"]);
    assert!(matches!(many.write(&rows(0, 11)), Err(DeltaError::TooManyPartitions { limit: 10 })));
    assert!(matches!(
        many.write(&rows(0, 1).project(&[0]).expect("one column")),
        Err(DeltaError::OtherRows(_))
    ));
}
