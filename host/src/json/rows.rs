//! Rows as JSON objects, one a line.
//!
//! Arrow's own encoder writes null for numbers that JSON has no form for, and something that is no JSON for times that it
//! cannot tell; so those are written here, and binary too.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrowPrimitiveType, AsArray, PrimitiveArray, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, FieldRef, Float16Type, Float32Type, Float64Type, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow::error::ArrowError;
use arrow::json::writer::{LineDelimited, NullableEncoder};
use arrow::json::{Encoder, EncoderFactory, EncoderOptions, WriterBuilder};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::time::{Moment, write_date};

/// What becomes of members that are null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nulls {
    Written,
    LeftOut,
}

/// A line for each row, in the order of the columns. Times are RFC 3339 with the offset `Z` where they have a zone; outside of
/// the years 1 to 9999 the number of their units; dates likewise, of days. Binary is base64. What JSON has no number for is `"NaN"`,
/// `"Infinity"` or `"-Infinity"`.
pub(crate) fn json_lines(rows: &RecordBatch, nulls: Nulls) -> Result<Vec<u8>, ArrowError> {
    let writer = WriterBuilder::new().with_explicit_nulls(nulls == Nulls::Written);
    let mut writer = writer.with_encoder_factory(Arc::new(Exact)).build::<_, LineDelimited>(Vec::new());
    writer.write(rows)?;
    writer.finish()?;
    Ok(writer.into_inner())
}

/// Appends a timestamp of so many units, of which a second has `per_second` (a power of a thousand), with no more thousandths
/// than it needs. `false`, and nothing, outside of the years 1 to 9999.
pub(crate) fn write_timestamp(units: i64, per_second: i64, has_zone: bool, out: &mut String) -> bool {
    let (mut coarse, mut in_second) = (units, per_second);
    while in_second > 1 && coarse % 1_000 == 0 {
        (coarse, in_second) = (coarse / 1_000, in_second / 1_000);
    }
    let Some(moment) = Moment::from_units(coarse, in_second) else { return false };
    moment.write(in_second, out);
    if has_zone {
        out.push('Z');
    }
    true
}

#[derive(Debug)]
struct Exact;

/// Writes the value of a row.
struct Written<F>(F);

impl<F: FnMut(usize, &mut Vec<u8>)> Encoder for Written<F> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        (self.0)(row, out);
    }
}

impl EncoderFactory for Exact {
    fn make_default_encoder<'a>(
        &self,
        _: &'a FieldRef,
        array: &'a dyn Array,
        _: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let encoder = match array.data_type() {
            DataType::Binary => binary(|row| array.as_binary::<i32>().value(row)),
            DataType::LargeBinary => binary(|row| array.as_binary::<i64>().value(row)),
            DataType::BinaryView => binary(|row| array.as_binary_view().value(row)),
            DataType::FixedSizeBinary(_) => binary(|row| array.as_fixed_size_binary().value(row)),
            DataType::Float16 => {
                let array = array.as_primitive::<Float16Type>();
                float(
                    move |row| f64::from(array.value(row)),
                    move |row, out| write!(out, "{}", array.value(row)),
                )
            }
            DataType::Float32 => {
                let array = array.as_primitive::<Float32Type>();
                float(move |row| f64::from(array.value(row)), move |row, out| number(array.value(row), out))
            }
            DataType::Float64 => {
                let array = array.as_primitive::<Float64Type>();
                float(move |row| array.value(row), move |row, out| number(array.value(row), out))
            }
            DataType::Date32 => {
                let array = array.as_primitive::<Date32Type>();
                time(array, write_date)
            }
            DataType::Timestamp(unit, zone) => {
                let has_zone = zone.is_some();
                match unit {
                    TimeUnit::Second => timestamp::<TimestampSecondType>(array.as_primitive(), 1, has_zone),
                    TimeUnit::Millisecond => {
                        timestamp::<TimestampMillisecondType>(array.as_primitive(), 1_000, has_zone)
                    }
                    TimeUnit::Microsecond => {
                        timestamp::<TimestampMicrosecondType>(array.as_primitive(), 1_000_000, has_zone)
                    }
                    TimeUnit::Nanosecond => {
                        timestamp::<TimestampNanosecondType>(array.as_primitive(), 1_000_000_000, has_zone)
                    }
                }
            }
            _ => return Ok(None),
        };
        Ok(Some(NullableEncoder::new(encoder, array.nulls().cloned())))
    }
}

fn binary<'a>(value: impl Fn(usize) -> &'a [u8] + 'a) -> Box<dyn Encoder + 'a> {
    Box::new(Written(move |row, out: &mut Vec<u8>| {
        out.push(b'"');
        out.extend_from_slice(BASE64_STANDARD.encode(value(row)).as_bytes());
        out.push(b'"');
    }))
}

/// `write` is for the values that JSON has a number for.
fn float<'a>(
    value: impl Fn(usize) -> f64 + 'a,
    write: impl Fn(usize, &mut Vec<u8>) -> std::io::Result<()> + 'a,
) -> Box<dyn Encoder + 'a> {
    Box::new(Written(move |row, out: &mut Vec<u8>| match value(row) {
        f64::INFINITY => out.extend_from_slice(b"\"Infinity\""),
        f64::NEG_INFINITY => out.extend_from_slice(b"\"-Infinity\""),
        value if value.is_nan() => out.extend_from_slice(b"\"NaN\""),
        // Writing to a vector does not fail.
        _ => write(row, out).unwrap_or_default(),
    }))
}

/// As short as it can be read back from; integers with a `.0`.
fn number(value: impl serde::Serialize, out: &mut Vec<u8>) -> std::io::Result<()> {
    Ok(serde_json::to_writer(out, &value)?)
}

fn timestamp<'a, T: ArrowPrimitiveType<Native = i64>>(
    array: &'a PrimitiveArray<T>,
    per_second: i64,
    has_zone: bool,
) -> Box<dyn Encoder + 'a> {
    time(array, move |units, text| write_timestamp(units, per_second, has_zone, text))
}

/// `write` says whether the value has a text; if not, its number stands for it.
fn time<'a, T: ArrowPrimitiveType>(
    array: &'a PrimitiveArray<T>,
    write: impl Fn(T::Native, &mut String) -> bool + 'a,
) -> Box<dyn Encoder + 'a>
where
    T::Native: std::fmt::Display,
{
    let mut text = String::new();
    Box::new(Written(move |row, out: &mut Vec<u8>| {
        text.clear();
        text.push('"');
        match write(array.value(row), &mut text) {
            true => text.push('"'),
            false => text = array.value(row).to_string(),
        }
        out.extend_from_slice(text.as_bytes());
    }))
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, BinaryArray, Date32Array, Float32Array, Float64Array, StructArray};
    use arrow::array::{TimestampMicrosecondArray, TimestampNanosecondArray};
    use arrow::datatypes::Field;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_arrow_cannot_tell_is_told_exactly() {
        let times = TimestampMicrosecondArray::from(vec![Some(1_500_000), Some(i64::MAX), None]);
        let floats = Float64Array::from(vec![Some(f64::NAN), Some(f64::NEG_INFINITY), Some(0.1)]);
        let nested: ArrayRef = Arc::new(times.clone().with_timezone("UTC"));
        let nested =
            StructArray::from(vec![(Arc::new(Field::new("at", nested.data_type().clone(), true)), nested)]);
        let rows = RecordBatch::try_from_iter_with_nullable([
            ("s", Arc::new(nested) as ArrayRef, true),
            ("local", Arc::new(times), true),
            ("fine", Arc::new(TimestampNanosecondArray::from(vec![Some(-1), None, Some(i64::MIN)])), true),
            ("f", Arc::new(floats), true),
            ("small", Arc::new(Float32Array::from(vec![0.1, f32::INFINITY, 3.0])), true),
            ("bytes", Arc::new(BinaryArray::from(vec![&b"\x01\xff"[..], b"", b"a"])), true),
            ("day", Arc::new(Date32Array::from(vec![Some(0), None, Some(2_932_897)])), true),
        ])
        .unwrap();
        let lines = |nulls| -> Vec<Value> {
            let text = String::from_utf8(json_lines(&rows, nulls).unwrap()).unwrap();
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        };
        assert_eq!(
            lines(Nulls::Written),
            [
                json!({
                    "s": {"at": "1970-01-01T00:00:01.500Z"}, "local": "1970-01-01T00:00:01.500",
                    "fine": "1969-12-31T23:59:59.999999999", "f": "NaN", "small": 0.1, "bytes": "Af8=",
                    "day": "1970-01-01"
                }),
                json!({
                    "s": {"at": i64::MAX}, "local": i64::MAX, "fine": null, "f": "-Infinity",
                    "small": "Infinity", "bytes": "", "day": null
                }),
                json!({
                    "s": {"at": null}, "local": null, "fine": "1677-09-21T00:12:43.145224192", "f": 0.1,
                    "small": 3.0, "bytes": "YQ==", "day": 2_932_897
                }),
            ]
        );
        assert_eq!(lines(Nulls::LeftOut)[2].get("local"), None);
    }
}
