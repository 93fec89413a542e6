use std::fs;
use std::path::Path;

use ::parquet::arrow::ArrowWriter;
use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Date32Type, Decimal128Type, Int64Type, TimestampMicrosecondType};
use object_store::memory::InMemory;
use object_store::throttle::{ThrottleConfig, ThrottledStore};
use object_store::{ObjectStoreExt, PutPayload};
use serde_json::json;

use super::*;
use crate::schema::parse_type;

const ROOMY: usize = 1 << 20;

fn source(form: ReferenceForm, path: &Path, max_bytes: usize) -> ReferenceSource {
    let url = Url::from_file_path(path).unwrap();
    ReferenceSource::new(form, url, &StoreOptions::default(), max_bytes).unwrap()
}

fn parquet_file(path: &Path, codes: &[&str], numbers: &[i64]) {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("code", Arc::new(StringArray::from(codes.to_vec()))),
        ("number", Arc::new(Int64Array::from(numbers.to_vec()))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn numbers(table: &ReferenceTable) -> Vec<i64> {
    let columns = table.batches.iter().map(|batch| batch.column_by_name("number").unwrap());
    columns.flat_map(|column| column.as_primitive::<Int64Type>().values().to_vec()).collect()
}

fn columns(columns: &[(&str, &str)]) -> Option<Vec<(String, DataType)>> {
    Some(columns.iter().map(|(name, of)| ((*name).to_owned(), parse_type(of).unwrap())).collect())
}

fn csv(columns: Option<Vec<(String, DataType)>>) -> ReferenceForm {
    ReferenceForm::Csv(CsvForm { columns, delimiter: b';', header: true })
}

#[tokio::test]
async fn a_folder_of_parquet_files_is_one_table_whose_version_is_its_contents() {
    let folder = tempfile::tempdir().unwrap();
    let source = source(ReferenceForm::Parquet, folder.path(), ROOMY);
    assert!(source.read().await.unwrap_err().to_string().contains("no Parquet file"));
    parquet_file(&folder.path().join("b.parquet"), &["FR"], &[2]);
    parquet_file(&folder.path().join("a.parquet"), &["DE"], &[1]);
    fs::create_dir(folder.path().join("_temporary")).unwrap();
    parquet_file(&folder.path().join("_temporary/c.parquet"), &["XX"], &[3]);
    let (stamp, table) = source.read().await.unwrap();
    assert_eq!(numbers(&table), [1, 2], "by the files' names, without what is hidden");
    assert_eq!(source.stamp().await.unwrap(), stamp);
    // The same bytes written once more are another file, and the same table.
    fs::rename(folder.path().join("a.parquet"), folder.path().join("a")).unwrap();
    parquet_file(&folder.path().join("a.parquet"), &["DE"], &[1]);
    assert_eq!(source.read().await.unwrap().1.version, table.version);
    parquet_file(&folder.path().join("a.parquet"), &["DE"], &[7]);
    let (changed, other) = source.read().await.unwrap();
    assert_ne!(changed, stamp);
    assert_ne!(other.version, table.version);
    assert_eq!(numbers(&other), [7, 2]);
}

#[tokio::test]
async fn files_that_are_no_table_together_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    parquet_file(&folder.path().join("a.parquet"), &["DE"], &[1]);
    let texts: Vec<(&str, ArrayRef)> = vec![
        ("code", Arc::new(StringArray::from(vec!["FR"]))),
        ("number", Arc::new(StringArray::from(vec!["two"]))),
    ];
    let batch = RecordBatch::try_from_iter(texts).unwrap();
    let file = fs::File::create(folder.path().join("b.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let source = source(ReferenceForm::Parquet, folder.path(), ROOMY);
    let refused = source.read().await.unwrap_err().to_string();
    assert!(refused.contains("`number` is Int64 here and Utf8 there"), "{refused}");
    fs::write(folder.path().join("b.parquet"), "PAR1 and then nothing PAR1").unwrap();
    assert!(matches!(source.read().await, Err(ReferenceError::Unreadable { .. })));
}

#[tokio::test]
async fn a_table_that_takes_too_much_memory_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.parquet");
    let codes = vec!["the same, which a file holds once"; 10_000];
    parquet_file(&file, &codes, &vec![1; 10_000]);
    assert!(fs::metadata(&file).unwrap().len() < 20_000);
    let refused = source(ReferenceForm::Parquet, &file, 20_000).read().await.unwrap_err();
    assert!(matches!(refused, ReferenceError::TooLarge { .. }), "{refused}");
    assert_eq!(source(ReferenceForm::Parquet, &file, ROOMY).read().await.unwrap().1.rows(), 10_000);
}

#[tokio::test]
async fn csv_is_read_by_its_header_and_the_declared_types() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.csv");
    fs::write(
        &file,
        "note;number;since;day;price;code\n\"a; b\";1;2026-01-01T00:00:00Z;2026-01-02;1.50;DE\n;;;;;\n",
    )
    .unwrap();
    let wanted = columns(&[
        ("code", "utf8"),
        ("number", "int64"),
        ("since", "timestamp"),
        ("day", "date"),
        ("price", "decimal(10,2)"),
    ]);
    let (_, table) = source(csv(wanted), &file, ROOMY).read().await.unwrap();
    let names: Vec<&str> = table.schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["number", "since", "day", "price", "code"]);
    let column = |name| table.batches[0].column_by_name(name).unwrap().clone();
    assert_eq!(column("number").as_primitive::<Int64Type>().value(0), 1);
    let micros = column("since").as_primitive::<TimestampMicrosecondType>().value(0);
    assert_eq!(micros, 1_767_225_600_000_000);
    assert_eq!(*column("since").data_type(), crate::schema::timestamp_type());
    assert_eq!(column("day").as_primitive::<Date32Type>().value(0), 20_455);
    assert_eq!(column("price").as_primitive::<Decimal128Type>().value(0), 150);
    assert!(names.iter().all(|name| column(name).is_null(1)), "empty fields are null");
    let (_, texts) = source(csv(None), &file, ROOMY).read().await.unwrap();
    assert_eq!(texts.batches[0].column(0).as_string::<i32>().value(0), "a; b");
    assert_eq!(*texts.schema.field(1).data_type(), DataType::Utf8);
}

#[tokio::test]
async fn csv_that_does_not_fit_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.csv");
    let refusal = async |text: &str, form: ReferenceForm| {
        fs::write(&file, text).unwrap();
        source(form, &file, ROOMY).read().await.unwrap_err().to_string()
    };
    let number = || csv(columns(&[("number", "int64")]));
    assert!(refusal("n\n1\n", number()).await.contains("lacks the column `number`"));
    assert!(refusal("number;number\n1;2\n", number()).await.contains("`number` twice"));
    let wrong = refusal("number\n1\ntwo\n", number()).await;
    assert!(wrong.contains("a.csv") && wrong.contains("'two'") && wrong.contains("line 2"), "{wrong}");
    let short = refusal("number;code\n1;2\n3\n", number()).await;
    assert!(short.contains("line"), "{short}");
}

#[tokio::test]
async fn what_is_read_is_bounded_whatever_was_listed() {
    let (memory, path) = (InMemory::new(), object_store::path::Path::from("a.parquet"));
    memory.put(&path, PutPayload::from_static(b"grown")).await.unwrap();
    let store: Arc<dyn ObjectStore> = Arc::new(memory);
    assert_eq!(read(&store, &path, 4).await.unwrap(), None);
    assert_eq!(read(&store, &path, 5).await.unwrap().unwrap(), "grown");
    for number in 0..=MOST_FILES {
        let path = object_store::path::Path::from(format!("many/{number}.parquet"));
        store.put(&path, PutPayload::default()).await.unwrap();
    }
    let location = Url::parse("memory:///many").unwrap();
    let many = ReferenceSource {
        form: ReferenceForm::Parquet,
        location,
        store,
        max_bytes: ROOMY,
        patience: PATIENCE,
    };
    assert!(matches!(many.stamp().await, Err(ReferenceError::TooMany(_))));
    assert!(matches!(many.read().await, Err(ReferenceError::TooMany(_))));
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_not_waited_for() {
    let hangs = ThrottleConfig { wait_get_per_call: Duration::from_secs(3600), ..ThrottleConfig::default() };
    let store = Arc::new(ThrottledStore::new(InMemory::new(), hangs));
    let (location, patience) = (Url::parse("memory:///a.csv").unwrap(), Duration::from_millis(50));
    let hanging = ReferenceSource { form: csv(None), location, store, max_bytes: ROOMY, patience };
    assert!(matches!(hanging.stamp().await, Err(ReferenceError::TooSlow { .. })));
    assert!(matches!(hanging.read().await, Err(ReferenceError::TooSlow { .. })));
}

/// ZeroMQ's base 85, in which Delta writes deletion vectors.
fn base85(bytes: &[u8]) -> String {
    let digits = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
    let groups = bytes.chunks(4).map(|four| u32::from_be_bytes(four.try_into().unwrap()));
    let digit = |group: u32, power: u32| char::from(digits[(group / 85_u32.pow(power) % 85) as usize]);
    groups.flat_map(|group| (0..5).rev().map(move |power| digit(group, power))).collect()
}

#[tokio::test]
async fn delta_tables_are_read_with_deletion_vectors_and_column_mapping() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("part.parquet");
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("col-1", Arc::new(StringArray::from(vec!["DE", "FR", "IT", "ES", "AT"]))),
        ("col-2", Arc::new(Int64Array::from(vec![1, 2, 3, 4, 5]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(fs::File::create(&file).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();

    // A 64-bit Roaring bitmap of one 32-bit bitmap of one array: the rows 1 and 3.
    let mut vector: Vec<u8> = 1_681_511_377_u32.to_le_bytes().to_vec();
    vector.extend(1_u64.to_le_bytes());
    vector.extend([0, 12_346, 1].into_iter().flat_map(u32::to_le_bytes));
    vector.extend([0, 1].into_iter().flat_map(u16::to_le_bytes));
    vector.extend(16_u32.to_le_bytes());
    vector.extend([1, 3].into_iter().flat_map(u16::to_le_bytes));
    let column = |id: u32, name: &str, of: &str| {
        let mapping = json!({
            "delta.columnMapping.id": id, "delta.columnMapping.physicalName": format!("col-{id}"),
        });
        json!({"name": name, "type": of, "nullable": true, "metadata": mapping})
    };
    let schema =
        json!({"type": "struct", "fields": [column(1, "code", "string"), column(2, "number", "long")]});
    let features = ["columnMapping", "deletionVectors"];
    let actions = [
        json!({"protocol": {
            "minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features, "writerFeatures": features,
        }}),
        json!({"metaData": {
            "id": "table", "format": {"provider": "parquet", "options": {}}, "schemaString": schema.to_string(),
            "partitionColumns": [], "configuration": {
                "delta.columnMapping.mode": "name", "delta.columnMapping.maxColumnId": "2",
                "delta.enableDeletionVectors": "true",
            },
        }}),
        json!({"add": {
            "path": "part.parquet", "partitionValues": {}, "size": fs::metadata(&file).unwrap().len(),
            "modificationTime": 0, "dataChange": true, "deletionVector": {
                "storageType": "i", "pathOrInlineDv": base85(&vector), "sizeInBytes": vector.len(),
                "cardinality": 2,
            },
        }}),
    ];
    let lines: String = actions.iter().map(|action| format!("{action}\n")).collect();
    fs::create_dir(folder.path().join("_delta_log")).unwrap();
    fs::write(folder.path().join("_delta_log/00000000000000000000.json"), lines).unwrap();

    let source = source(ReferenceForm::Delta { version: None }, folder.path(), ROOMY);
    let (_, table) = source.read().await.unwrap();
    assert_eq!(table.version, "delta:table@0");
    assert_eq!(numbers(&table), [1, 3, 5]);
    assert_eq!(table.batches[0].column_by_name("code").unwrap().as_string::<i32>().value(1), "IT");
}
