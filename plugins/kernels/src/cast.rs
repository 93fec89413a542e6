//! Conversions between types, value by value. What cannot be converted is null, and reported with its text.

use std::borrow::Cow;

use sluicebox_plugin::schemars::{self, JsonSchema};
use sluicebox_plugin::serde::Deserialize;
use sluicebox_plugin::{
    Bitmap, ByteStrings, Column, ColumnBuilder, Error, Kind, Scalar, Strings, Values, kind_name, map_values,
    parse_rfc3339, timestamp_micros,
};

use crate::time_format::TimeFormat;

/// What a value can be converted to.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CastTo {
    Int64,
    Float64,
    Utf8,
    Boolean,
    /// Of texts (RFC 3339); of integers, which are microseconds.
    Timestamp,
}

impl CastTo {
    pub fn kind(self) -> Kind {
        match self {
            CastTo::Int64 => Kind::Int64,
            CastTo::Float64 => Kind::Float64,
            CastTo::Utf8 => Kind::Utf8,
            CastTo::Boolean => Kind::Boolean,
            CastTo::Timestamp => timestamp_micros(),
        }
    }

    /// For messages: what a value that was not converted is not.
    pub fn describe(self) -> &'static str {
        match self {
            CastTo::Int64 => "an integer of 64 bits",
            CastTo::Float64 => "a float",
            CastTo::Utf8 => "text",
            CastTo::Boolean => "a boolean",
            CastTo::Timestamp => "a timestamp",
        }
    }
}

fn is_number(kind: &Kind) -> bool {
    is_int(kind) || matches!(kind, Kind::Float32 | Kind::Float64)
}

/// Integers of any width.
pub fn is_int(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Int8
            | Kind::Int16
            | Kind::Int32
            | Kind::Int64
            | Kind::Uint8
            | Kind::Uint16
            | Kind::Uint32
            | Kind::Uint64
    )
}

/// Texts, numbers and booleans can be cast to each other; texts, integers and timestamps in microseconds to timestamps;
/// such timestamps to integers.
pub fn can_cast(kind: &Kind, to: CastTo) -> bool {
    let is_timestamp = *kind == timestamp_micros();
    match to {
        CastTo::Timestamp => is_timestamp || is_int(kind) || *kind == Kind::Utf8,
        CastTo::Int64 if is_timestamp => true,
        _ => is_number(kind) || matches!(kind, Kind::Utf8 | Kind::Boolean),
    }
}

/// The numbers of a column as floats; integers past 2^53 lose their last digits.
pub fn floats(column: &Column) -> Result<Cow<'_, [f64]>, Error> {
    fn widen<T: Copy>(values: &[T], convert: impl Fn(T) -> f64) -> Cow<'static, [f64]> {
        Cow::Owned(map_values(values, convert))
    }
    Ok(match &column.values {
        Values::Float64(values) => Cow::Borrowed(values),
        Values::Float32(values) => widen(values, f64::from),
        Values::Int8(values) => widen(values, f64::from),
        Values::Int16(values) => widen(values, f64::from),
        Values::Int32(values) => widen(values, f64::from),
        Values::Int64(values) => widen(values, |value| value as f64),
        Values::Uint8(values) => widen(values, f64::from),
        Values::Uint16(values) => widen(values, f64::from),
        Values::Uint32(values) => widen(values, f64::from),
        Values::Uint64(values) => widen(values, |value| value as f64),
        _ => return Err(Error::Data("the host sent no numbers for a numeric column".into())),
    })
}

/// The values of integers of any width except `uint64`, of timestamps (in their unit) and of dates (days).
pub fn ints(column: &Column) -> Result<Cow<'_, [i64]>, Error> {
    fn widen<T: Copy + Into<i64>>(values: &[T]) -> Cow<'static, [i64]> {
        Cow::Owned(map_values(values, T::into))
    }
    Ok(match &column.values {
        Values::Int64(values) => Cow::Borrowed(values),
        Values::Int8(values) => widen(values),
        Values::Int16(values) => widen(values),
        Values::Int32(values) => widen(values),
        Values::Uint8(values) => widen(values),
        Values::Uint16(values) => widen(values),
        Values::Uint32(values) => widen(values),
        _ => return Err(Error::Data("the host sent no integers for a column of integers".into())),
    })
}

/// The rows that could not be converted, ascending, each with its value as text.
pub type Failed = Vec<(usize, String)>;

/// The column converted, if [`can_cast`] says so, and what could not be.
pub fn cast(column: &Column, kind: &Kind, to: CastTo) -> Result<(Column, Failed), Error> {
    if *kind == to.kind() {
        return Ok((column.clone(), Vec::new()));
    }
    if to == CastTo::Float64 && is_number(kind) {
        let values = Values::Float64(floats(column)?.into_owned());
        return Ok((Column { length: column.length, validity: column.validity.clone(), values }, Vec::new()));
    }
    let unfit = || Error::Data(format!("a value of {} cannot be read", kind_name(kind)));
    let mut builder = ColumnBuilder::new(&to.kind()).ok_or_else(unfit)?;
    let mut failed = Vec::new();
    for row in 0..column.length as usize {
        let value = match &column.values {
            Values::Uint64(values) => wide(column, values[row], row),
            _ => Scalar::read(column, kind, row).ok_or_else(unfit)?,
        };
        let result = convert(&value, to);
        if result.is_none() {
            failed.push((row, text_of(&value)));
        }
        builder.push(&result.unwrap_or(Scalar::Null));
    }
    Ok((builder.finish(), failed))
}

/// An unsigned value, as text where it does not fit: it then fails to be an integer, with its digits as the reason.
fn wide(column: &Column, value: u64, row: usize) -> Scalar {
    let is_present = column.validity.as_ref().is_none_or(|bits| bits[row / 8] >> (row % 8) & 1 == 1);
    match i64::try_from(value) {
        _ if !is_present => Scalar::Null,
        Ok(value) => Scalar::Int(value),
        Err(_) => Scalar::Text(value.to_string()),
    }
}

fn convert(value: &Scalar, to: CastTo) -> Option<Scalar> {
    const ABOVE_I64: f64 = 9_223_372_036_854_775_808.0;
    Some(match (value, to) {
        (Scalar::Null, _) => Scalar::Null,
        (Scalar::Text(text), CastTo::Int64) => Scalar::Int(text.trim().parse().ok()?),
        (Scalar::Text(text), CastTo::Float64) => {
            Scalar::Float(text.trim().parse().ok().filter(|value: &f64| value.is_finite())?)
        }
        (Scalar::Text(text), CastTo::Boolean) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" => Scalar::Bool(true),
            "false" | "0" => Scalar::Bool(false),
            _ => return None,
        },
        (Scalar::Text(text), CastTo::Timestamp) => Scalar::Int(parse_rfc3339(text.trim().as_bytes())?),
        (Scalar::Int(value), CastTo::Int64 | CastTo::Timestamp) => Scalar::Int(*value),
        (Scalar::Float(value), CastTo::Int64) => {
            let is_whole = value.fract() == 0.0 && (-ABOVE_I64..ABOVE_I64).contains(value);
            is_whole.then_some(Scalar::Int(*value as i64))?
        }
        (Scalar::Bool(value), CastTo::Int64) => Scalar::Int((*value).into()),
        (Scalar::Bool(value), CastTo::Float64) => Scalar::Float(f64::from(u8::from(*value))),
        (Scalar::Int(0 | 1), CastTo::Boolean) => Scalar::Bool(*value == Scalar::Int(1)),
        (Scalar::Float(number), CastTo::Boolean) if *number == 0.0 || *number == 1.0 => {
            Scalar::Bool(*number == 1.0)
        }
        (value, CastTo::Utf8) => Scalar::Text(text_of(value)),
        _ => return None,
    })
}

fn text_of(value: &Scalar) -> String {
    match value {
        Scalar::Null => String::new(),
        Scalar::Bool(value) => value.to_string(),
        Scalar::Int(value) => value.to_string(),
        Scalar::Float(value) => value.to_string(),
        Scalar::Text(text) => text.clone(),
        Scalar::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// The texts or integers of a column as microseconds since the epoch, and what could not be read.
pub fn parse_timestamps(column: &Column, format: &TimeFormat) -> Result<(Column, Failed), Error> {
    let rows = column.length as usize;
    let present = match &column.validity {
        Some(validity) => Bitmap::from_bytes(validity, rows),
        None => Bitmap::filled(rows, true),
    };
    let mut failed = Vec::new();
    let mut micros = vec![0; rows];
    for row in (0..rows).filter(|row| present.get(*row)) {
        let (value, text) = match &column.values {
            Values::Int64(values) => (format.of_number(values[row]), Cow::Owned(values[row].to_string())),
            Values::Bytes(bytes) => {
                let text = text(bytes, row);
                (format.of_text(text.trim().as_bytes()), Cow::Borrowed(text))
            }
            _ => return Err(Error::Data("the host sent neither texts nor integers for a time".into())),
        };
        match value {
            Some(value) => micros[row] = value,
            None => failed.push((row, text.into_owned())),
        }
    }
    let validity = without(column.validity.as_deref(), &failed, rows);
    Ok((Column { length: column.length, validity, values: Values::Int64(micros) }, failed))
}

fn text(bytes: &ByteStrings, row: usize) -> &str {
    Strings::new(bytes).text(row)
}

/// The validity of a result that has a value where its operand has one and the conversion did not fail.
fn without(validity: Option<&[u8]>, failed: &[(usize, String)], rows: usize) -> Option<Vec<u8>> {
    if failed.is_empty() {
        return validity.map(<[u8]>::to_vec);
    }
    let mut present = match validity {
        Some(validity) => Bitmap::from_bytes(validity, rows),
        None => Bitmap::filled(rows, true),
    };
    for (row, _) in failed {
        present.set(*row, false);
    }
    Some(present.into_bytes())
}
