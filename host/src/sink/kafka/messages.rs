//! Rows to messages: the body a JSON object, the key and the headers the texts of columns.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, BooleanArray, Int32Array, MapArray, RecordBatch,
    StringBuilder, StructArray,
};
use arrow::buffer::{BooleanBuffer, OffsetBuffer};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};

use super::hash::hash;
use crate::json::rows::{Nulls, json_lines};
use crate::sink::rows::{RowsError, as_written, refused, texts, written_schema};

/// Bytes of a message beside its key, its body and its headers, at the most.
pub(super) const FRAMING: usize = 64;
/// The same of a header.
const HEADER_FRAMING: usize = 10;

/// How rows become messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageSettings {
    /// The columns of the key. Of one the text is the key; of several, a JSON object of them.
    pub key: Vec<String>,
    /// The columns that choose the partition, in the same way; those of the key, if there are none.
    pub partition_by: Vec<String>,
    /// The name of each header with the column of its value.
    pub headers: Vec<(String, String)>,
    /// Bytes of the largest message.
    pub max_bytes: usize,
}

/// Messages as they wait in files.
///
/// | column | what it is |
/// |---|---|
/// | `hash` | what chooses the partition, not negative; null where any may be chosen |
/// | `key` | null where the message has none |
/// | `value` | the body |
/// | `headers` | in the order of the settings; those without a value are left out |
pub static MESSAGE_SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("hash", DataType::Int32, true),
        Field::new("key", DataType::Binary, true),
        Field::new("value", DataType::Binary, true),
        Field::new("headers", DataType::Map(HEADER.clone(), false), true),
    ]))
});

static HEADER_FIELDS: LazyLock<Fields> = LazyLock::new(|| {
    vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Binary, true)].into()
});

static HEADER: LazyLock<FieldRef> =
    LazyLock::new(|| Arc::new(Field::new("key_value", DataType::Struct(HEADER_FIELDS.clone()), false)));

/// Turns rows of one schema into messages.
#[derive(Debug, Clone)]
pub struct MessageEncoder {
    settings: MessageSettings,
    /// The rows' columns as they are written.
    written: SchemaRef,
    body: Vec<usize>,
    key: Vec<usize>,
    partition_by: Vec<usize>,
    headers: Vec<(String, usize)>,
}

/// The messages of rows.
pub struct Encoded {
    /// One for each row that fits, in their order.
    pub messages: RecordBatch,
    /// Bytes of the message of each row whose message is too large; `None` where it is not.
    pub too_large: Option<Vec<Option<usize>>>,
}

impl MessageEncoder {
    /// `is_in_body` says of a column whether the body tells it. Errors name the column.
    pub fn new(
        rows: &Schema,
        is_in_body: impl Fn(&str) -> bool,
        settings: MessageSettings,
    ) -> Result<Self, RowsError> {
        let written = Arc::new(written_schema(rows)?);
        let fields = written.fields();
        let body = (0..fields.len()).filter(|&index| is_in_body(fields[index].name())).collect();
        let column = |name: &String| match fields.find(name) {
            None => refused(name, "is named for the messages, but the rows have no such column"),
            Some((_, field)) if field.data_type().is_nested() => {
                refused(name, &format!("`{}` has no text for a key or a header", field.data_type()))
            }
            Some((index, _)) => Ok(index),
        };
        let columns = |names: &[String]| names.iter().map(column).collect::<Result<Vec<_>, _>>();
        Ok(Self {
            body,
            key: columns(&settings.key)?,
            partition_by: columns(&settings.partition_by)?,
            headers: settings
                .headers
                .iter()
                .map(|(name, of)| Ok((name.clone(), column(of)?)))
                .collect::<Result<_, RowsError>>()?,
            written,
            settings,
        })
    }

    /// The columns that bodies tell.
    pub fn body(&self) -> SchemaRef {
        let fields = self.body.iter().map(|&index| self.written.fields()[index].clone());
        Arc::new(Schema::new(fields.collect::<Fields>()))
    }

    pub fn max_bytes(&self) -> usize {
        self.settings.max_bytes
    }

    pub fn encode(&self, rows: &RecordBatch) -> Result<Encoded, RowsError> {
        let rows = as_written(rows, &self.written)?;
        let count = rows.num_rows();
        let values = objects(&rows.project(&self.body)?)?;
        let keys = self.texts(&rows, &self.key)?;
        let routes = match self.partition_by.is_empty() {
            true => keys.clone(),
            false => self.texts(&rows, &self.partition_by)?,
        };
        let none = || BinaryArray::new_null(count);
        let (keys, routes) = (keys.unwrap_or_else(none), routes.unwrap_or_else(none));
        let hashes: Int32Array =
            routes.iter().zip(&keys).map(|(route, key)| route.or(key).map(hash)).collect();
        let headers = self.headers(&rows)?;
        let sizes = (0..count).map(|row| {
            FRAMING + keys.value(row).len() + values.value(row).len() + size_of_headers(&headers, row)
        });
        let max_bytes = self.settings.max_bytes;
        let too_large: Vec<Option<usize>> =
            sizes.map(|size| Some(size).filter(|size| *size > max_bytes)).collect();
        let columns: Vec<ArrayRef> =
            vec![Arc::new(hashes), Arc::new(keys), Arc::new(values), Arc::new(headers)];
        let messages = RecordBatch::try_new(MESSAGE_SCHEMA.clone(), columns)?;
        if too_large.iter().all(Option::is_none) {
            return Ok(Encoded { messages, too_large: None });
        }
        let fits = BooleanBuffer::collect_bool(count, |row| too_large[row].is_none());
        let messages = filter_record_batch(&messages, &BooleanArray::new(fits, None))?;
        Ok(Encoded { messages, too_large: Some(too_large) })
    }

    /// The text of one column, or objects of several; `None` for none.
    fn texts(&self, rows: &RecordBatch, columns: &[usize]) -> Result<Option<BinaryArray>, RowsError> {
        Ok(match columns {
            [] => None,
            [column] => Some(bytes(rows.column(*column))?),
            columns => Some(objects(&rows.project(columns)?)?),
        })
    }

    fn headers(&self, rows: &RecordBatch) -> Result<MapArray, RowsError> {
        let columns = self.headers.iter().map(|(name, column)| Ok((name, bytes(rows.column(*column))?)));
        let columns = columns.collect::<Result<Vec<_>, RowsError>>()?;
        let (mut names, mut values) = (StringBuilder::new(), BinaryBuilder::new());
        let mut lengths = Vec::with_capacity(rows.num_rows());
        for row in 0..rows.num_rows() {
            let mut length = 0;
            for (name, column) in columns.iter().filter(|(_, column)| column.is_valid(row)) {
                names.append_value(name);
                values.append_value(column.value(row));
                length += 1;
            }
            lengths.push(length);
        }
        let columns: Vec<ArrayRef> = vec![Arc::new(names.finish()), Arc::new(values.finish())];
        let entries = StructArray::try_new(HEADER_FIELDS.clone(), columns, None)?;
        Ok(MapArray::try_new(HEADER.clone(), OffsetBuffer::from_lengths(lengths), entries, None, false)?)
    }
}

/// An object for each row, with every column in it.
fn objects(rows: &RecordBatch) -> Result<BinaryArray, RowsError> {
    let lines = json_lines(rows, Nulls::Written)?;
    Ok(BinaryArray::from_iter_values(lines.split(|byte| *byte == b'\n').take(rows.num_rows())))
}

/// Texts and binaries as they are, everything else as its text.
fn bytes(column: &ArrayRef) -> Result<BinaryArray, RowsError> {
    let column = match column.data_type() {
        DataType::Utf8 | DataType::Binary => column.clone(),
        _ => Arc::new(texts(column)?),
    };
    Ok(cast(&column, &DataType::Binary)?.as_binary::<i32>().clone())
}

fn size_of_headers(headers: &MapArray, row: usize) -> usize {
    let entries = headers.value(row);
    let (names, values) = (entries.column(0).as_string::<i32>(), entries.column(1).as_binary::<i32>());
    (0..entries.len())
        .map(|header| HEADER_FRAMING + names.value(header).len() + values.value(header).len())
        .sum()
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringArray, TimestampMillisecondArray};
    use arrow::datatypes::Int32Type;

    use super::*;

    fn rows() -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable([
            (
                "site",
                Arc::new(StringArray::from(vec![Some("a"), None, Some("a site with quite a long name")]))
                    as ArrayRef,
                true,
            ),
            ("number", Arc::new(Int64Array::from(vec![1, 2, 3])), true),
            ("at", Arc::new(TimestampMillisecondArray::from(vec![Some(0), Some(1), None])), true),
            ("_offset", Arc::new(Int64Array::from(vec![7, 8, 9])), true),
        ])
        .expect("rows")
    }

    fn settings(key: &[&str]) -> MessageSettings {
        let key = key.iter().map(|&name| name.to_owned()).collect();
        MessageSettings { key, partition_by: Vec::new(), headers: Vec::new(), max_bytes: 1000 }
    }

    fn encoder(settings: MessageSettings) -> MessageEncoder {
        MessageEncoder::new(rows().schema_ref(), |column| column != "_offset", settings).expect("an encoder")
    }

    fn texts_of(messages: &RecordBatch, column: &str) -> Vec<Option<String>> {
        let values = messages[column].as_binary::<i32>();
        values.iter().map(|text| Some(String::from_utf8_lossy(text?).into_owned())).collect()
    }

    #[test]
    fn bodies_are_objects_and_keys_are_texts() {
        let headers = vec![("when".to_owned(), "at".to_owned()), ("offset".to_owned(), "_offset".to_owned())];
        let encoded = encoder(MessageSettings { headers, ..settings(&["site"]) }).encode(&rows());
        let messages = encoded.expect("messages").messages;
        assert_eq!(messages.schema(), *MESSAGE_SCHEMA);
        assert_eq!(
            texts_of(&messages, "value")[1].as_deref(),
            Some(r#"{"site":null,"number":2,"at":"1970-01-01T00:00:00.001Z"}"#)
        );
        assert_eq!(
            texts_of(&messages, "key"),
            [Some("a".to_owned()), None, Some("a site with quite a long name".to_owned())]
        );
        let hashes = messages["hash"].as_primitive::<Int32Type>();
        assert_eq!((hashes.value(0), hashes.is_null(1)), (hash(b"a"), true));
        let headers = messages["headers"].as_map();
        assert_eq!((headers.value_length(0), headers.value_length(2)), (2, 1), "a null is no header");
        assert_eq!(headers.value(0).column(1).as_binary::<i32>().value(0), b"1970-01-01T00:00:00Z");
    }

    #[test]
    fn several_columns_make_an_object_and_others_may_choose_the_partition() {
        let partition_by = vec!["number".to_owned()];
        let encoded =
            encoder(MessageSettings { partition_by, ..settings(&["number", "site"]) }).encode(&rows());
        let messages = encoded.expect("messages").messages;
        assert_eq!(texts_of(&messages, "key")[0].as_deref(), Some(r#"{"number":1,"site":"a"}"#));
        assert_eq!(
            messages["hash"].as_primitive::<Int32Type>().values(),
            &[hash(b"1"), hash(b"2"), hash(b"3")]
        );
        let none = encoder(settings(&[])).encode(&rows()).expect("messages").messages;
        assert_eq!((none["hash"].null_count(), none["key"].null_count()), (3, 3));
    }

    #[test]
    fn what_is_too_large_is_told_and_the_rest_goes_on() {
        let largest = encoder(settings(&["site"])).encode(&rows()).expect("messages");
        assert!(largest.too_large.is_none());
        let body = largest.messages["value"].as_binary::<i32>().value(2).len();
        let max_bytes = FRAMING + body + "a site with quite a long name".len() - 1;
        let encoded = encoder(MessageSettings { max_bytes, ..settings(&["site"]) }).encode(&rows());
        let encoded = encoded.expect("messages");
        assert_eq!(encoded.too_large, Some(vec![None, None, Some(max_bytes + 1)]));
        assert_eq!(encoded.messages, largest.messages.slice(0, 2));
    }

    #[test]
    fn columns_that_are_missing_or_nested_are_named() {
        let fault = |rows: &RecordBatch, key: &str| {
            MessageEncoder::new(rows.schema_ref(), |_| true, settings(&[key]))
                .err()
                .map(|error| error.to_string())
        };
        assert!(fault(&rows(), "sight").expect("refused").contains("`sight`"));
        let nested = StructArray::from(rows());
        let nested = RecordBatch::try_from_iter([("all", Arc::new(nested) as ArrayRef)]).expect("rows");
        assert!(fault(&nested, "all").expect("refused").contains("no text for a key"));
    }
}
