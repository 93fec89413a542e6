//! Partition columns: which value each row has, and where its file goes.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, RecordBatch, UInt32Array};
use arrow::compute::{cast, take_record_batch};
use arrow::datatypes::{DataType, Date32Type, Field, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType};
use arrow::row::{RowConverter, SortField};

use super::{RowsError, refused, written_schema};

/// Where files lie that no table refers to until they are merged into it. A name that begins with `_` is hidden
/// from VACUUM and from whoever lists a table's folder.
const STAGING: &str = "_staged/";
const NULL_FOLDER: &str = "__HIVE_DEFAULT_PARTITION__";
/// A folder's name only helps people; the value itself is in the log. File systems end names at 255 bytes.
const LONGEST_FOLDER: usize = 120;
const MICROS_PER_HOUR: i64 = 3_600_000_000;
const MICROS_PER_DAY: i64 = 24 * MICROS_PER_HOUR;

/// How a table is partitioned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartitionSettings {
    /// Columns of the rows, or `date` and `hour`, which are derived where the rows have no such column.
    pub by: Vec<String>,
    /// The column that `date` and `hour` are derived from, in UTC.
    pub event_time: Option<String>,
}

/// The values of the partition columns, in their order; `None` is null.
pub(in crate::sink) type Values = Vec<Option<String>>;

/// [`PartitionSettings`] bound to the schema of rows.
#[derive(Debug, Clone)]
pub struct Partitioning {
    /// What every path begins with.
    root: &'static str,
    /// The rows' own columns that go into the files, by position, as they are written.
    in_file: Vec<usize>,
    file_schema: SchemaRef,
    table_schema: SchemaRef,
    columns: Vec<PartitionColumn>,
}

#[derive(Debug, Clone)]
struct PartitionColumn {
    name: String,
    source: Source,
}

#[derive(Debug, Clone, Copy)]
enum Source {
    Column(usize),
    Date(usize),
    Hour(usize),
}

impl Partitioning {
    /// Fails on a column that is missing or whose type cannot name a folder.
    pub fn new(rows: &Schema, settings: &PartitionSettings) -> Result<Self, RowsError> {
        let written = written_schema(rows)?;
        let mut columns = Vec::with_capacity(settings.by.len());
        let mut table_fields = written.fields().to_vec();
        for name in &settings.by {
            if columns.iter().any(|known: &PartitionColumn| &known.name == name) {
                return refused(name, "is named twice in `partition_by`");
            }
            let source = source(&written, name, settings.event_time.as_deref())?;
            match source {
                Source::Column(_) => {}
                Source::Date(_) => table_fields.push(Arc::new(Field::new(name, DataType::Date32, true))),
                Source::Hour(_) => table_fields.push(Arc::new(Field::new(name, DataType::Int32, true))),
            }
            columns.push(PartitionColumn { name: name.clone(), source });
        }
        let in_file: Vec<usize> = (0..written.fields().len())
            .filter(|&index| !columns.iter().any(|column| column.is(index)))
            .collect();
        if in_file.is_empty() {
            return Err(RowsError::Schema(
                "every column is a partition column: no column is left for the files".to_owned(),
            ));
        }
        let file_schema = Arc::new(written.project(&in_file)?);
        let table_schema = Arc::new(Schema::new(table_fields));
        Ok(Self { root: "", in_file, file_schema, table_schema, columns })
    }

    /// Files of rows that wait to be merged: in a folder of their own, with all columns, not partitioned.
    pub fn staging(rows: &Schema) -> Result<Self, RowsError> {
        Ok(Self { root: STAGING, ..Self::new(rows, &PartitionSettings::default())? })
    }

    /// The same folders for rows that are laid out as the table is, however the table came by its columns.
    /// `table` is its whole schema; the rows have all of it but what is derived.
    pub(in crate::sink) fn of_table(&self, table: &Schema) -> Result<Self, RowsError> {
        let rows = self.rows_of(table);
        let place = |source: usize| -> Result<usize, RowsError> {
            Ok(rows.index_of(self.table_schema.field(source).name())?)
        };
        let columns = self.columns.iter().map(|column| {
            let source = match column.source {
                Source::Column(index) => Source::Column(place(index)?),
                Source::Date(index) => Source::Date(place(index)?),
                Source::Hour(index) => Source::Hour(place(index)?),
            };
            Ok(PartitionColumn { name: column.name.clone(), source })
        });
        let columns = columns.collect::<Result<Vec<_>, RowsError>>()?;
        let in_file: Vec<usize> = (0..rows.fields().len())
            .filter(|&index| !columns.iter().any(|column| column.is(index)))
            .collect();
        let file_schema = Arc::new(rows.project(&in_file)?);
        Ok(Self { root: self.root, in_file, file_schema, table_schema: Arc::new(table.clone()), columns })
    }

    /// The columns of `table` that rows have themselves.
    pub(in crate::sink) fn rows_of(&self, table: &Schema) -> Schema {
        let is_derived = |name: &str| {
            self.columns
                .iter()
                .any(|column| column.name == name && !matches!(column.source, Source::Column(_)))
        };
        let fields = table.fields().iter().filter(|field| !is_derived(field.name()));
        Schema::new(fields.cloned().collect::<Vec<_>>())
    }

    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    /// What the table holds: the rows' columns as they are written, then the derived ones.
    pub fn table_schema(&self) -> &SchemaRef {
        &self.table_schema
    }

    /// The columns of the files: the table's without the partition columns.
    pub fn file_schema(&self) -> &SchemaRef {
        &self.file_schema
    }

    /// The rows by partition, in the order in which each partition first comes; the batches are still
    /// typed as the rows were.
    pub(in crate::sink) fn split(&self, rows: &RecordBatch) -> Result<Vec<(Values, RecordBatch)>, RowsError> {
        let in_file = rows.project(&self.in_file)?;
        if rows.num_rows() == 0 {
            return Ok(Vec::new());
        }
        if self.columns.is_empty() {
            return Ok(vec![(Vec::new(), in_file)]);
        }
        let keys = self.columns.iter().map(|column| column.keys(rows)).collect::<Result<Vec<_>, _>>()?;
        let fields = keys.iter().map(|key| SortField::new(key.data_type().clone())).collect();
        let encoded = RowConverter::new(fields)?.convert_columns(&keys)?;
        let mut groups: Vec<Vec<u32>> = Vec::new();
        let mut known: HashMap<&[u8], usize> = HashMap::new();
        let all: Vec<_> = encoded.iter().collect();
        for (row, key) in (0u32..).zip(&all) {
            let group = *known.entry(key.data()).or_insert_with(|| {
                groups.push(Vec::new());
                groups.len() - 1
            });
            if let Some(rows) = groups.get_mut(group) {
                rows.push(row);
            }
        }
        let only_one = groups.len() == 1;
        groups
            .into_iter()
            .map(|group| {
                let first = group.first().map_or(0, |&row| row as usize);
                let values =
                    self.columns.iter().zip(&keys).map(|(column, key)| column.text(key, first)).collect();
                let batch = if only_one {
                    in_file.clone()
                } else {
                    take_record_batch(&in_file, &UInt32Array::from(group))?
                };
                Ok((values, batch))
            })
            .collect()
    }

    /// The folder of a partition, with a closing slash; empty for the table's own.
    pub(in crate::sink) fn folder(&self, values: &Values) -> String {
        let mut folder = self.root.to_owned();
        for (column, value) in self.columns.iter().zip(values) {
            escape(&mut folder, &column.name);
            folder.push('=');
            match (value, column.source) {
                (None, _) => folder.push_str(NULL_FOLDER),
                (Some(hour), Source::Hour(_)) => {
                    let _ = write!(folder, "{hour:0>2}");
                }
                (Some(value), _) => escape(&mut folder, value),
            }
            folder.push('/');
        }
        folder
    }
}

/// Whether a file's path says that it waits to be merged.
pub fn is_staged(path: &str) -> bool {
    path.starts_with(STAGING)
}

fn source(written: &Schema, name: &str, event_time: Option<&str>) -> Result<Source, RowsError> {
    if let Ok(index) = written.index_of(name) {
        return match written.field(index).data_type() {
            DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Utf8View
            | DataType::Boolean
            | DataType::Date32 => Ok(Source::Column(index)),
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => Ok(Source::Column(index)),
            other => refused(
                name,
                &format!("cannot partition by `{other}`: use a string, an integer, a boolean or a date"),
            ),
        };
    }
    if name != "date" && name != "hour" {
        return refused(
            name,
            "is named in `partition_by`, but the rows have no such column (only `date` and `hour` are derived)",
        );
    }
    let time = event_time.unwrap_or("_timestamp");
    let Ok(index) = written.index_of(time) else {
        return refused(
            name,
            &format!("cannot be derived: the rows have no column `{time}`; name the event time column"),
        );
    };
    match written.field(index).data_type() {
        DataType::Timestamp(_, _) if name == "date" => Ok(Source::Date(index)),
        DataType::Timestamp(_, _) => Ok(Source::Hour(index)),
        other => refused(name, &format!("cannot be derived: column `{time}` is `{other}`, not a timestamp")),
    }
}

impl PartitionColumn {
    fn is(&self, index: usize) -> bool {
        matches!(self.source, Source::Column(column) if column == index)
    }

    fn keys(&self, rows: &RecordBatch) -> Result<ArrayRef, RowsError> {
        match self.source {
            Source::Column(index) => match rows.column(index).data_type() {
                DataType::Dictionary(_, values) => Ok(cast(rows.column(index), values)?),
                _ => Ok(Arc::clone(rows.column(index))),
            },
            Source::Date(index) => Ok(Arc::new(days(rows.column(index))?)),
            Source::Hour(index) => {
                let time = micros(rows.column(index))?;
                let time = time.as_primitive::<TimestampMicrosecondType>();
                Ok(Arc::new(Int32Array::from_unary(time, |at| {
                    (at.rem_euclid(MICROS_PER_DAY) / MICROS_PER_HOUR) as i32
                })))
            }
        }
    }

    /// As an entry has it. An empty string is null: to Delta, and to folders.
    fn text(&self, keys: &ArrayRef, row: usize) -> Option<String> {
        if keys.is_null(row) {
            return None;
        }
        let text = match (self.source, keys.data_type()) {
            (Source::Date(_), _) => date(keys.as_primitive_opt::<arrow::datatypes::Int32Type>()?.value(row))?,
            (_, DataType::Date32) => date(keys.as_primitive::<Date32Type>().value(row))?,
            (_, _) => {
                let text = cast(&keys.slice(row, 1), &DataType::Utf8).ok()?;
                text.as_string_opt::<i32>()?.value(0).to_owned()
            }
        };
        (!text.is_empty()).then_some(text)
    }
}

fn micros(times: &ArrayRef) -> Result<ArrayRef, RowsError> {
    Ok(cast(times, &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))?)
}

fn days(times: &ArrayRef) -> Result<Int32Array, RowsError> {
    let time = micros(times)?;
    let time = time.as_primitive::<TimestampMicrosecondType>();
    Ok(Int32Array::from_unary(time, |at| at.div_euclid(MICROS_PER_DAY) as i32))
}

pub(super) fn date(days: i32) -> Option<String> {
    let day = chrono::DateTime::from_timestamp(i64::from(days) * 86_400, 0)?;
    Some(day.format("%Y-%m-%d").to_string())
}

/// Percent-encodes all but letters, digits and `-_.`, as Hive-style folders have it; long values are cut.
fn escape(into: &mut String, text: &str) {
    let end = into.len() + LONGEST_FOLDER;
    for byte in text.bytes() {
        if into.len() >= end {
            return;
        }
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => into.push(char::from(byte)),
            _ => {
                let _ = write!(into, "%{byte:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringArray, TimestampMillisecondArray};

    use super::*;

    fn rows() -> RecordBatch {
        let fields = vec![
            Field::new("site", DataType::Utf8, true),
            Field::new("_timestamp", DataType::Timestamp(TimeUnit::Millisecond, None), true),
            Field::new("n", DataType::Int64, true),
        ];
        let times = [Some(1_795_244_400_000), Some(-1), None, Some(1_795_244_401_000)];
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec![Some("a/b c"), None, Some(""), Some("a/b c")])),
            Arc::new(TimestampMillisecondArray::from(times.to_vec())),
            Arc::new(Int64Array::from(vec![1, 2, 3, 4])),
        ];
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("rows")
    }

    fn by(names: &[&str]) -> PartitionSettings {
        PartitionSettings { by: names.iter().map(|&name| name.to_owned()).collect(), event_time: None }
    }

    #[test]
    fn rows_are_split_by_derived_and_escaped_values() {
        let rows = rows();
        let partitioning =
            Partitioning::new(&rows.schema(), &by(&["site", "date", "hour"])).expect("a partitioning");
        let names: Vec<_> =
            partitioning.table_schema().fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(names, ["site", "_timestamp", "n", "date", "hour"]);
        assert_eq!(partitioning.file_schema().fields().len(), 2);
        let split = partitioning.split(&rows).expect("a split");
        let folders: Vec<_> =
            split.iter().map(|(values, batch)| (partitioning.folder(values), batch.num_rows())).collect();
        let expected = [
            ("site=a%2Fb%20c/date=2026-11-21/hour=07/", 2),
            ("site=__HIVE_DEFAULT_PARTITION__/date=1969-12-31/hour=23/", 1),
            (
                "site=__HIVE_DEFAULT_PARTITION__/date=__HIVE_DEFAULT_PARTITION__/hour=__HIVE_DEFAULT_PARTITION__/",
                1,
            ),
        ];
        assert_eq!(folders, expected.map(|(folder, rows)| (folder.to_owned(), rows)));
        assert_eq!(
            split[0].0,
            [Some("a/b c"), Some("2026-11-21"), Some("7")].map(|value| value.map(str::to_owned))
        );
    }

    #[test]
    fn what_cannot_name_a_folder_is_refused() {
        let schema = rows().schema();
        for (names, expected) in [
            (&["nothing"][..], "no such column"),
            (&["_timestamp"], "cannot partition by"),
            (&["site", "site"], "named twice"),
            (&["site", "_timestamp", "n"], "cannot partition by"),
        ] {
            let error = Partitioning::new(&schema, &by(names)).expect_err("refused").to_string();
            assert!(error.contains(expected), "{error}");
        }
        let settings = PartitionSettings { by: vec!["date".to_owned()], event_time: Some("n".to_owned()) };
        assert!(
            Partitioning::new(&schema, &settings)
                .expect_err("refused")
                .to_string()
                .contains("not a timestamp")
        );
    }
}
