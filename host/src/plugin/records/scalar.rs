//! Single JSON values, by their own text, as values of a column. Nothing is rounded but a fraction's last binary digit.

use std::borrow::Cow;
use std::str::FromStr;

use arrow::datatypes::DataType;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::json::decimal::scaled_integer;
use crate::json::time::{Moment, TimeFault, date_from_text};

use super::super::text::sanitised;
use super::column::{Budget, Column, Scalar, fixed_size};
use super::per_second;

/// Values are shown in messages up to so many bytes.
const SHOWN: usize = 64;

enum Token<'a> {
    Null,
    Boolean(bool),
    Number(&'a str),
    Text(Cow<'a, str>),
    Nested,
}

/// Appends the value that `json`, one valid JSON value, says to a column without children.
pub(super) fn append_scalar(column: &mut Column, json: &str, budget: &mut Budget) -> Result<(), String> {
    let token = Token::of(json).ok_or_else(|| unlike(column, json, "a sound string"))?;
    if matches!(token, Token::Null) {
        return column.append_null(budget);
    }
    let mut bytes: Vec<u8> = Vec::new();
    let value = match (&column.data_type, &token) {
        (DataType::Boolean, Token::Boolean(value)) => Some(Scalar::Boolean(*value)),
        (DataType::Int8, token) => integer(token).map(Scalar::Int8),
        (DataType::Int16, token) => integer(token).map(Scalar::Int16),
        (DataType::Int32, token) => integer(token).map(Scalar::Int32),
        (DataType::Int64, token) => integer(token).map(Scalar::Int64),
        (DataType::UInt8, token) => integer(token).map(Scalar::Uint8),
        (DataType::UInt16, token) => integer(token).map(Scalar::Uint16),
        (DataType::UInt32, token) => integer(token).map(Scalar::Uint32),
        (DataType::UInt64, token) => integer(token).map(Scalar::Uint64),
        (DataType::Float32, token) => float(token, f32::is_finite).map(Scalar::Float32),
        (DataType::Float64, token) => float(token, f64::is_finite).map(Scalar::Float64),
        (DataType::Decimal128(precision, scale), token) => decimal(token, *precision, *scale).map(|value| {
            bytes.extend_from_slice(&value.to_le_bytes());
            Scalar::Fixed(&bytes)
        }),
        (DataType::Utf8, Token::Text(text)) => Some(Scalar::Bytes(text.as_bytes())),
        (DataType::Binary, Token::Text(text)) => {
            STANDARD.decode_vec(text.as_bytes(), &mut bytes).ok().map(|()| Scalar::Bytes(&bytes))
        }
        (DataType::FixedSizeBinary(_), Token::Text(text)) => {
            let decoded = STANDARD.decode_vec(text.as_bytes(), &mut bytes).is_ok();
            (decoded && bytes.len() == fixed_size(&column.data_type)).then_some(Scalar::Fixed(&bytes))
        }
        (DataType::Date32, Token::Text(text)) => date_from_text(text).ok().map(Scalar::Int32),
        (DataType::Date32, token) => integer(token).map(Scalar::Int32),
        (DataType::Timestamp(unit, zone), token) => {
            timestamp(token, per_second(*unit), zone.is_some()).map(Scalar::Int64)
        }
        _ => None,
    };
    match value {
        Some(value) => column.append(value, budget),
        None => Err(unlike(column, json, &wanted(&column.data_type))),
    }
}

impl<'a> Token<'a> {
    /// None for a string that is not sound: with half of a surrogate pair.
    fn of(json: &'a str) -> Option<Self> {
        Some(match json.as_bytes().first()? {
            b'n' => Self::Null,
            b't' => Self::Boolean(true),
            b'f' => Self::Boolean(false),
            b'"' => {
                let inside = json.get(1..json.len().checked_sub(1)?)?;
                match inside.contains('\\') {
                    false => Self::Text(inside.into()),
                    true => Self::Text(serde_json::from_str::<String>(json).ok()?.into()),
                }
            }
            b'[' | b'{' => Self::Nested,
            _ => Self::Number(json),
        })
    }
}

fn integer<T: FromStr + TryFrom<i128>>(token: &Token<'_>) -> Option<T> {
    match token {
        Token::Number(text) => {
            text.parse().ok().or_else(|| scaled_integer(text, 0).and_then(|value| value.try_into().ok()))
        }
        Token::Text(text) => scaled_integer(text, 0)?.try_into().ok(),
        _ => None,
    }
}

fn float<T: FromStr + Copy>(token: &Token<'_>, is_finite: impl Fn(T) -> bool) -> Option<T> {
    match token {
        Token::Number(text) => text.parse().ok().filter(|value| is_finite(*value)),
        Token::Text(text) if matches!(&**text, "NaN" | "Infinity" | "-Infinity") => text.parse().ok(),
        _ => None,
    }
}

fn decimal(token: &Token<'_>, precision: u8, scale: i8) -> Option<i128> {
    let value = match token {
        Token::Number(text) => scaled_integer(text, scale)?,
        Token::Text(text) => scaled_integer(text, scale)?,
        _ => return None,
    };
    (value.unsigned_abs() < 10u128.pow(precision.into())).then_some(value)
}

fn timestamp(token: &Token<'_>, per_second: i64, has_zone: bool) -> Option<i64> {
    let Token::Text(text) = token else { return integer(token) };
    let moment = if has_zone { Moment::from_instant(text) } else { Moment::from_local(text) };
    match moment {
        Ok(moment) => moment.in_units(per_second).ok(),
        // Counts beyond 2⁵³ are strings.
        Err(TimeFault::Format) => integer(token),
        Err(_) => None,
    }
}

fn unlike(column: &Column, json: &str, wanted: &str) -> String {
    format!("column `{}`: {} is not {wanted}", column.path, sanitised(json, SHOWN))
}

fn wanted(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "true or false".to_owned(),
        DataType::Utf8 => "a string".to_owned(),
        DataType::Binary => "base64 with padding".to_owned(),
        DataType::FixedSizeBinary(size) => format!("{size} bytes in base64 with padding"),
        DataType::Date32 => "a date such as \"2026-01-31\"".to_owned(),
        DataType::Timestamp(unit, zone) => {
            let offset = if zone.is_some() { "with an offset" } else { "without an offset" };
            format!("a time in {unit:?}s such as \"2026-01-31T12:00:00\", {offset}").to_lowercase()
        }
        DataType::Decimal128(precision, scale) => format!("exact as decimal({precision},{scale})"),
        other => format!("of {}", other.to_string().to_lowercase()),
    }
}
