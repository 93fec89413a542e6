//! Rows to files: what comes back, what the statistics say, when files are split.

use std::io::Read;
use std::sync::Arc;

use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use ::parquet::file::metadata::ParquetMetaData;
use arrow::array::{
    ArrayRef, AsArray, BinaryArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float64Array,
    Int32Array, Int64Array, ListArray, RecordBatch, StringArray, StructArray, TimestampMicrosecondArray,
    UInt64Array,
};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use bytes::Bytes;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;

pub(in crate::sink) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("name", DataType::Utf8, true),
    ]))
}

pub(in crate::sink) fn rows(from: i64, to: i64) -> RecordBatch {
    let names = StringArray::from_iter_values((from..to).map(|id| format!("name {}", id % 3)));
    let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from_iter_values(from..to)), Arc::new(names)];
    RecordBatch::try_new(schema(), columns).expect("rows")
}

fn writer(schema: &SchemaRef, file_size: usize, by: &[&str]) -> RowWriter {
    let format = FileFormat::TABLE;
    let settings =
        WriterSettings { incarnation: Uuid::nil(), thread: 2, file_size, max_partitions: 10, format };
    let by = PartitionSettings { by: by.iter().map(|&name| name.to_owned()).collect(), event_time: None };
    RowWriter::new(settings, schema.clone(), Partitioning::new(schema, &by).expect("a partitioning"))
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
    assert!(matches!(many.write(&rows(0, 11)), Err(RowsError::TooManyPartitions { limit: 10 })));
    assert!(matches!(
        many.write(&rows(0, 1).project(&[0]).expect("one column")),
        Err(RowsError::OtherRows(_))
    ));
}

/// The bytes of one file with these rows, as they were before they were compressed.
fn text(encoding: Encoding, compression: Compression, rows: &RecordBatch) -> (String, String) {
    let settings = WriterSettings {
        incarnation: Uuid::nil(),
        thread: 0,
        file_size: 1 << 20,
        max_partitions: 1,
        format: FileFormat { encoding, compression },
    };
    let by = PartitionSettings::default();
    let partitioning = Partitioning::new(rows.schema_ref(), &by).expect("a partitioning");
    let mut writer = RowWriter::new(settings, rows.schema(), partitioning);
    // In two parts, as batches come.
    writer.write(&rows.slice(0, 1)).expect("written");
    writer.write(&rows.slice(1, rows.num_rows() - 1)).expect("written");
    let file = writer.finish(1).expect("finished").remove(0);
    assert_eq!((file.file.rows, file.file.size), (rows.num_rows() as u64, file.bytes.len() as u64));
    let mut text = String::new();
    let read = match compression {
        Compression::None => (&*file.bytes).read_to_string(&mut text),
        Compression::Gzip => flate2::read::GzDecoder::new(&*file.bytes).read_to_string(&mut text),
        Compression::Zstd => zstd::Decoder::new(&*file.bytes).expect("zstd").read_to_string(&mut text),
        Compression::Snappy => snap::read::FrameDecoder::new(&*file.bytes).read_to_string(&mut text),
    };
    read.expect("text");
    let ending = file.file.path.split_once('.').expect("an ending").1.to_owned();
    (ending, text)
}

const COMPRESSIONS: [Compression; 4] =
    [Compression::None, Compression::Gzip, Compression::Zstd, Compression::Snappy];

#[test]
fn csv_tells_nulls_from_empty_texts_and_quotes_what_must_be() {
    let times = TimestampMicrosecondArray::from(vec![Some(1_700_000_000_123_456), None, Some(i64::MAX)]);
    let rows = RecordBatch::try_from_iter_with_nullable([
        ("a,b", Arc::new(StringArray::from(vec![Some("x,\"y\"\nz"), Some(""), None])) as ArrayRef, true),
        ("t", Arc::new(times.with_timezone("UTC")), true),
        ("f", Arc::new(Float64Array::from(vec![1.5, f64::NAN, -1e300])), true),
        ("bytes", Arc::new(BinaryArray::from(vec![&b"\x00\xff"[..], b"", b"c"])), true),
    ])
    .expect("rows");
    let expected = "\"a,b\",t,f,bytes\n\
                    \"x,\"\"y\"\"\nz\",2023-11-14T22:13:20.123456Z,1.5,AP8=\n\
                    \"\",,NaN,\"\"\n\
                    ,9223372036854775807,-1e300,Yw==\n";
    for (compression, ending) in COMPRESSIONS.into_iter().zip(["csv", "csv.gz", "csv.zst", "csv.sz"]) {
        let (named, text) = text(Encoding::Csv, compression, &rows);
        assert_eq!((named.as_str(), text.as_str()), (ending, expected));
    }
    let one = rows.project(&[0]).expect("one column");
    let (_, text) = text(Encoding::Csv, Compression::None, &one);
    assert!(text.ends_with("\"\"\n\"\"\n"), "an empty line is no row: {text:?}");
}

#[test]
fn json_lines_have_every_column_and_nested_ones_too() {
    let x: ArrayRef = Arc::new(Int64Array::from(vec![Some(i64::MAX), None]));
    let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![Some(&b"\x00\xff"[..]), None]));
    let nested = StructArray::from(vec![
        (Arc::new(Field::new("x", DataType::Int64, true)), x),
        (Arc::new(Field::new("bytes", DataType::Binary, true)), bytes),
    ]);
    let list = ListArray::from_iter_primitive::<Int64Type, _, _>(vec![Some(vec![Some(1), None]), None]);
    let rows = RecordBatch::try_from_iter_with_nullable([
        ("s", Arc::new(nested) as ArrayRef, true),
        ("l", Arc::new(list), true),
        ("u", Arc::new(UInt64Array::from(vec![u64::MAX, 0])), true),
        ("t", Arc::new(StringArray::from(vec![Some("Ch\u{e1} \"\u{1}"), None])), true),
        ("f", Arc::new(Float64Array::from(vec![f64::INFINITY, 0.1])), true),
    ])
    .expect("rows");
    for compression in COMPRESSIONS {
        let (ending, text) = text(Encoding::JsonLines, compression, &rows);
        assert!(ending.starts_with("jsonl"), "{ending}");
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let first = json!({
            "s": {"x": i64::MAX, "bytes": "AP8="}, "l": [1, null], "u": u64::MAX, "t": "Ch\u{e1} \"\u{1}", "f": "Infinity",
        });
        let second = json!({"s": {"x": null, "bytes": null}, "l": null, "u": 0, "t": null, "f": 0.1});
        assert_eq!(lines, [first, second]);
    }
}

#[test]
fn csv_takes_no_nested_column() {
    let list = DataType::List(Arc::new(Field::new("item", DataType::Int64, true)));
    let nested = Schema::new(vec![Field::new("id", DataType::Int64, true), Field::new("l", list, true)]);
    let format = |encoding| FileFormat { encoding, compression: Compression::None };
    let error = format(Encoding::Csv).check(&nested).expect_err("refused").to_string();
    assert!(error.contains("`l`") && error.contains("explode"), "{error}");
    assert!(format(Encoding::JsonLines).check(&nested).is_ok());
    assert!(format(Encoding::Csv).check(&schema()).is_ok());
}
