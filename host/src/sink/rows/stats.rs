//! The statistics of a Parquet file as Delta's `add` action has them, from its footer.
//!
//! Readers skip files by these values, so a minimum may be too low and a maximum too high, but never the
//! other way round: Parquet cuts long strings so, and timestamps are cut to milliseconds so here. A value
//! that JSON cannot say (infinite, a decimal beyond a double) is left out, and so the column is not skipped by.

use arrow::datatypes::{DataType, Fields};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::statistics::Statistics;
use serde_json::{Map, Value};

use super::partition::date;

/// As many leaf columns get statistics as Delta's own default says.
const INDEXED_COLUMNS: usize = 32;

/// The JSON document for a file whose columns are `fields`.
pub(super) fn stats(fields: &Fields, file: &ParquetMetaData) -> String {
    let mut walk = Walk { file, leaf: 0, indexed: 0 };
    let (min, max, nulls) = walk.fields(fields);
    let mut stats = Map::new();
    stats.insert("numRecords".to_owned(), file.file_metadata().num_rows().into());
    stats.insert("minValues".to_owned(), Value::Object(min));
    stats.insert("maxValues".to_owned(), Value::Object(max));
    stats.insert("nullCount".to_owned(), Value::Object(nulls));
    Value::Object(stats).to_string()
}

type Three = (Map<String, Value>, Map<String, Value>, Map<String, Value>);

struct Walk<'a> {
    file: &'a ParquetMetaData,
    /// The next leaf column of the file.
    leaf: usize,
    /// Columns that count towards the limit so far; a list or map counts as one.
    indexed: usize,
}

impl Walk<'_> {
    fn fields(&mut self, fields: &Fields) -> Three {
        let mut three = Three::default();
        for field in fields {
            match field.data_type() {
                DataType::Struct(children) => {
                    let (min, max, nulls) = self.fields(children);
                    for (target, value) in [(&mut three.0, min), (&mut three.1, max), (&mut three.2, nulls)] {
                        if !value.is_empty() {
                            target.insert(field.name().clone(), Value::Object(value));
                        }
                    }
                }
                DataType::List(_) | DataType::Map(_, _) => {
                    self.leaf += leaves(field.data_type());
                    self.indexed += 1;
                }
                data_type => {
                    if self.indexed < INDEXED_COLUMNS {
                        self.leaf_column(field.name(), data_type, &mut three);
                    }
                    self.leaf += 1;
                    self.indexed += 1;
                }
            }
        }
        three
    }

    fn leaf_column(&self, name: &str, data_type: &DataType, three: &mut Three) {
        let mut nulls = 0;
        let mut bounds: Option<(Bound, Bound)> = None;
        let mut bounded = true;
        for group in self.file.row_groups() {
            let Some(chunk) = group.columns().get(self.leaf) else { return };
            let Some(statistics) = chunk.statistics() else { return };
            let Some(null_count) = statistics.null_count_opt() else { return };
            nulls += null_count;
            if null_count == chunk.num_values() as u64 {
                continue;
            }
            match (chunk_bounds(chunk, statistics, data_type), bounds.take()) {
                (None, _) => bounded = false,
                (Some(new), None) => bounds = Some(new),
                (Some((min, max)), Some((known_min, known_max))) => {
                    bounds = Some((known_min.least(min), known_max.greatest(max)));
                }
            }
        }
        three.2.insert(name.to_owned(), nulls.into());
        if let (true, Some((min, max))) = (bounded, bounds) {
            if let Some(min) = min.json(data_type, false) {
                three.0.insert(name.to_owned(), min);
            }
            if let Some(max) = max.json(data_type, true) {
                three.1.insert(name.to_owned(), max);
            }
        }
    }
}

fn leaves(data_type: &DataType) -> usize {
    match data_type {
        DataType::Struct(fields) => fields.iter().map(|field| leaves(field.data_type())).sum(),
        DataType::List(field) | DataType::Map(field, _) => leaves(field.data_type()),
        _ => 1,
    }
}

enum Bound {
    /// Integers, dates, timestamps, and the unscaled values of decimals.
    Integer(i128),
    Float(f64),
    Text(String),
}

impl Bound {
    fn least(self, other: Self) -> Self {
        if self.is_less(&other) { self } else { other }
    }

    fn greatest(self, other: Self) -> Self {
        if self.is_less(&other) { other } else { self }
    }

    fn is_less(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a < b,
            (Self::Float(a), Self::Float(b)) => a < b,
            (Self::Text(a), Self::Text(b)) => a < b,
            _ => false,
        }
    }

    fn json(&self, data_type: &DataType, upper: bool) -> Option<Value> {
        match (self, data_type) {
            (Self::Text(text), _) => Some(Value::from(text.as_str())),
            (Self::Float(number), _) => serde_json::Number::from_f64(*number).map(Value::Number),
            (Self::Integer(days), DataType::Date32) => Some(Value::from(date(i32::try_from(*days).ok()?)?)),
            (Self::Integer(micros), DataType::Timestamp(_, _)) => {
                timestamp(i64::try_from(*micros).ok()?, upper)
            }
            (Self::Integer(unscaled), DataType::Decimal128(_, scale)) => decimal(*unscaled, *scale),
            (Self::Integer(number), _) => i64::try_from(*number).ok().map(Value::from),
        }
    }
}

/// Milliseconds are what Delta says; a maximum is rounded up so that it stays one.
fn timestamp(micros: i64, upper: bool) -> Option<Value> {
    let millis = micros.div_euclid(1000) + i64::from(upper && micros.rem_euclid(1000) != 0);
    let time = chrono::DateTime::from_timestamp_millis(millis)?;
    // Years beyond four digits have no common spelling.
    (0..=9999)
        .contains(&chrono::Datelike::year(&time))
        .then(|| time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string().into())
}

fn decimal(unscaled: i128, scale: i8) -> Option<Value> {
    let Ok(scale) = usize::try_from(scale) else { return None };
    if scale == 0 {
        return i64::try_from(unscaled)
            .map(Value::from)
            .or_else(|_| u64::try_from(unscaled).map(Value::from))
            .ok();
    }
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    // A double keeps 15 decimal digits.
    if digits.len() > 15 {
        return None;
    }
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if unscaled < 0 { "-" } else { "" };
    let number: f64 = format!("{sign}{whole}.{fraction}").parse().ok()?;
    serde_json::Number::from_f64(number).map(Value::Number)
}

fn chunk_bounds(
    chunk: &ColumnChunkMetaData,
    statistics: &Statistics,
    data_type: &DataType,
) -> Option<(Bound, Bound)> {
    let integers = |min: Option<i128>, max: Option<i128>| Some((Bound::Integer(min?), Bound::Integer(max?)));
    match (statistics, data_type) {
        (_, DataType::Boolean | DataType::Binary | DataType::LargeBinary | DataType::BinaryView) => None,
        (Statistics::Int32(s), _) => integers(s.min_opt().map(|&v| v.into()), s.max_opt().map(|&v| v.into())),
        (Statistics::Int64(s), _) => integers(s.min_opt().map(|&v| v.into()), s.max_opt().map(|&v| v.into())),
        (Statistics::Float(s), _) => {
            Some((Bound::Float(f64::from(*s.min_opt()?)), Bound::Float(f64::from(*s.max_opt()?))))
        }
        (Statistics::Double(s), _) => Some((Bound::Float(*s.min_opt()?), Bound::Float(*s.max_opt()?))),
        (Statistics::ByteArray(_) | Statistics::FixedLenByteArray(_), DataType::Decimal128(_, _)) => {
            integers(big_endian(statistics.min_bytes_opt()?), big_endian(statistics.max_bytes_opt()?))
        }
        (Statistics::ByteArray(_), _) if chunk.column_descr().logical_type_ref().is_some() => {
            let text =
                |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(|text| Bound::Text(text.to_owned()));
            Some((text(statistics.min_bytes_opt()?)?, text(statistics.max_bytes_opt()?)?))
        }
        _ => None,
    }
}

fn big_endian(bytes: &[u8]) -> Option<i128> {
    let negative = bytes.first()? & 0x80 != 0;
    let mut all = if negative { [0xff; 16] } else { [0; 16] };
    all.get_mut(16usize.checked_sub(bytes.len())?..)?.copy_from_slice(bytes);
    Some(i128::from_be_bytes(all))
}
