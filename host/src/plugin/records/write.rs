//! Arrow rows as the JSON that `records` says: row by row, from arrays that are columns.

use std::fmt::{Debug, Display, Write};

use arrow::array::*;
use arrow::datatypes::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::json::time::{Moment, write_date};

use super::per_second;

/// The largest whole number up to which all are floats too: 2⁵³ - 1.
const LARGEST_EXACT: u64 = (1 << 53) - 1;

/// Appends the value of one row.
type Writer<'a> = Box<dyn Fn(usize, &mut String) + 'a>;

/// Writes rows of columns as objects.
pub(super) struct RowWriter<'a> {
    /// What comes before the value (`{"name":`, `,"name":`), and the value.
    members: Vec<(String, Writer<'a>)>,
}

impl<'a> RowWriter<'a> {
    /// `columns` have types that plugins may get ([`is_supported`](super::super::schema::is_supported)).
    pub fn new(columns: impl Iterator<Item = (&'a str, &'a dyn Array)>) -> Self {
        let member = |(index, (name, column)): (usize, (&str, &'a dyn Array))| {
            let mut before = if index == 0 { "{".to_owned() } else { ",".to_owned() };
            write_text(name, &mut before);
            before.push(':');
            (before, writer(column))
        };
        Self { members: columns.enumerate().map(member).collect() }
    }

    pub fn write(&self, row: usize, out: &mut String) {
        if self.members.is_empty() {
            out.push('{');
        }
        for (before, value) in &self.members {
            out.push_str(before);
            value(row, out);
        }
        out.push('}');
    }
}

fn writer<'a>(array: &'a dyn Array) -> Writer<'a> {
    let value = value_writer(array);
    match array.nulls().filter(|nulls| nulls.null_count() > 0) {
        None => value,
        Some(nulls) => Box::new(move |row, out| match nulls.is_valid(row) {
            true => value(row, out),
            false => out.push_str("null"),
        }),
    }
}

fn value_writer<'a>(array: &'a dyn Array) -> Writer<'a> {
    match array.data_type() {
        DataType::Boolean => {
            let array = array.as_boolean();
            Box::new(|row, out| out.push_str(if array.value(row) { "true" } else { "false" }))
        }
        DataType::Int8 => primitive::<Int8Type>(array, write_plain),
        DataType::Int16 => primitive::<Int16Type>(array, write_plain),
        DataType::Int32 => primitive::<Int32Type>(array, write_plain),
        DataType::Int64 => {
            primitive::<Int64Type>(array, |value, out| write_integer(value, value.unsigned_abs(), out))
        }
        DataType::UInt8 => primitive::<UInt8Type>(array, write_plain),
        DataType::UInt16 => primitive::<UInt16Type>(array, write_plain),
        DataType::UInt32 => primitive::<UInt32Type>(array, write_plain),
        DataType::UInt64 => primitive::<UInt64Type>(array, |value, out| write_integer(value, value, out)),
        DataType::Float32 => {
            primitive::<Float32Type>(array, |value, out| write_float(value, value.into(), out))
        }
        DataType::Float64 => primitive::<Float64Type>(array, |value, out| write_float(value, value, out)),
        DataType::Decimal128(_, scale) => {
            let scale = *scale;
            primitive::<Decimal128Type>(array, move |value, out| write_decimal(value, scale, out))
        }
        DataType::Utf8 => {
            let array = array.as_string::<i32>();
            Box::new(|row, out| write_text(array.value(row), out))
        }
        DataType::Binary => {
            let array = array.as_binary::<i32>();
            Box::new(|row, out| write_binary(array.value(row), out))
        }
        DataType::FixedSizeBinary(_) => {
            let array = array.as_fixed_size_binary();
            Box::new(|row, out| write_binary(array.value(row), out))
        }
        DataType::Date32 => primitive::<Date32Type>(array, write_day),
        DataType::Timestamp(unit, zone) => {
            let (per_second, end) = (per_second(*unit), if zone.is_some() { "Z\"" } else { "\"" });
            let write = move |value, out: &mut String| write_time(value, per_second, end, out);
            match unit {
                TimeUnit::Second => primitive::<TimestampSecondType>(array, write),
                TimeUnit::Millisecond => primitive::<TimestampMillisecondType>(array, write),
                TimeUnit::Microsecond => primitive::<TimestampMicrosecondType>(array, write),
                TimeUnit::Nanosecond => primitive::<TimestampNanosecondType>(array, write),
            }
        }
        DataType::List(_) => {
            let array = array.as_list::<i32>();
            let (offsets, item) = (array.offsets(), writer(array.values()));
            Box::new(move |row, out| {
                write_items(['[', ']'], offsets[row] as usize..offsets[row + 1] as usize, &item, out)
            })
        }
        DataType::Map(_, _) => map_writer(array.as_map()),
        DataType::Struct(_) => {
            let array = array.as_struct();
            let names = array.column_names();
            let columns = array.columns().iter().map(AsRef::as_ref);
            let members = RowWriter::new(names.into_iter().zip(columns));
            Box::new(move |row, out| members.write(row, out))
        }
        // Plans that read other types are refused.
        _ => Box::new(|_, out| out.push_str("null")),
    }
}

fn map_writer(array: &MapArray) -> Writer<'_> {
    let (offsets, value) = (array.offsets(), writer(array.values()));
    let range = |row: usize| offsets[row] as usize..offsets[row + 1] as usize;
    if let Some(keys) = array.keys().as_string_opt::<i32>() {
        let entry = move |at, out: &mut String| {
            write_text(keys.value(at), out);
            out.push(':');
            value(at, out);
        };
        return Box::new(move |row, out| write_items(['{', '}'], range(row), &entry, out));
    }
    let key = writer(array.keys());
    let entry = move |at, out: &mut String| {
        out.push('[');
        key(at, out);
        out.push(',');
        value(at, out);
        out.push(']');
    };
    Box::new(move |row, out| write_items(['[', ']'], range(row), &entry, out))
}

fn write_items(
    [open, close]: [char; 2],
    range: std::ops::Range<usize>,
    item: &dyn Fn(usize, &mut String),
    out: &mut String,
) {
    out.push(open);
    for at in range.clone() {
        if at > range.start {
            out.push(',');
        }
        item(at, out);
    }
    out.push(close);
}

fn primitive<'a, T: ArrowPrimitiveType>(
    array: &'a dyn Array,
    write: impl Fn(T::Native, &mut String) + 'a,
) -> Writer<'a> {
    let values = array.as_primitive::<T>().values();
    Box::new(move |row, out| write(values[row], out))
}

// Writing to a string does not fail.

fn write_plain(value: impl Display, out: &mut String) {
    let _ = write!(out, "{value}");
}

fn write_integer(value: impl Display, magnitude: u64, out: &mut String) {
    let _ = match magnitude <= LARGEST_EXACT {
        true => write!(out, "{value}"),
        false => write!(out, "\"{value}\""),
    };
}

/// `Debug` writes the fewest digits that give the same number, always with a point or an exponent.
fn write_float(value: impl Debug, wide: f64, out: &mut String) {
    let _ = match wide {
        wide if wide.is_finite() => write!(out, "{value:?}"),
        wide if wide.is_nan() => write!(out, "\"NaN\""),
        wide if wide > 0.0 => write!(out, "\"Infinity\""),
        _ => write!(out, "\"-Infinity\""),
    };
}

fn write_decimal(value: i128, scale: i8, out: &mut String) {
    let sign = if value < 0 { "-" } else { "" };
    let digits = value.unsigned_abs();
    let _ = match usize::try_from(scale) {
        Ok(0) => write!(out, "\"{sign}{digits}\""),
        Ok(scale) => {
            let text = format!("{digits:0width$}", width = scale + 1);
            let (whole, fraction) = text.split_at(text.len() - scale);
            write!(out, "\"{sign}{whole}.{fraction}\"")
        }
        Err(_) if digits == 0 => write!(out, "\"0\""),
        Err(_) => write!(out, "\"{sign}{digits}{:0<zeros$}\"", "", zeros = usize::from(scale.unsigned_abs())),
    };
}

fn write_day(days: i32, out: &mut String) {
    let start = out.len();
    out.push('"');
    if write_date(days, out) {
        return out.push('"');
    }
    out.truncate(start);
    write_plain(days, out);
}

fn write_time(value: i64, per_second: i64, end: &str, out: &mut String) {
    let Some(moment) = Moment::from_units(value, per_second) else {
        return write_integer(value, value.unsigned_abs(), out);
    };
    out.push('"');
    moment.write(per_second, out);
    out.push_str(end);
}

fn write_binary(bytes: &[u8], out: &mut String) {
    out.push('"');
    STANDARD.encode_string(bytes, out);
    out.push('"');
}

/// A JSON string: quotes, backslashes and control characters escaped.
fn write_text(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        let (plain, special) = rest.split_at(at);
        out.push_str(plain);
        let _ = match special.as_bytes()[0] {
            byte @ (b'"' | b'\\') => write!(out, "\\{}", char::from(byte)),
            b'\n' => write!(out, "\\n"),
            b'\r' => write!(out, "\\r"),
            b'\t' => write!(out, "\\t"),
            byte => write!(out, "\\u{byte:04x}"),
        };
        rest = &special[1..];
    }
    out.push_str(rest);
    out.push('"');
}
