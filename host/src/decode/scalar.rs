//! Single JSON values as the columns' values. Nothing is lost on the way but a fraction's last binary digit.
//!
//! - Integers: any JSON number whose exact value is whole and in range; `1.0` and `1e3` are.
//! - Floats: a number with a fraction or an exponent becomes the nearest value; a plain integer must be exact.
//! - Decimals: a number, or a string that spells one; its text must be exact at the column's scale.
//! - Timestamps: RFC 3339 with an offset, or a whole number of **milliseconds** since the epoch.
//! - Dates: `2026-01-31`. Binary: standard base64 with padding.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use simd_json::{Node, StaticNode};

use super::payload::NumberTexts;
use super::record::Mismatch;
use crate::json::decimal::scaled_integer;
use crate::json::time::{TimeFault, date_from_text, timestamp_from_millis, timestamp_from_text};

#[inline]
pub(super) fn integer<T>(node: &Node<'_>, at: usize, numbers: &mut NumberTexts<'_>) -> Result<T, Mismatch>
where
    T: TryFrom<i64> + TryFrom<u64> + TryFrom<i128>,
{
    match node {
        Node::Static(StaticNode::I64(value)) => T::try_from(*value).map_err(|_| Mismatch::OutOfRange),
        Node::Static(StaticNode::U64(value)) => T::try_from(*value).map_err(|_| Mismatch::OutOfRange),
        Node::Static(StaticNode::F64(value)) => match scaled_integer(numbers.text(at), 0) {
            Some(value) => T::try_from(value).map_err(|_| Mismatch::OutOfRange),
            None if value.abs() >= 1e37 => Err(Mismatch::OutOfRange),
            None => Err(Mismatch::Fraction),
        },
        _ => Err(Mismatch::Kind),
    }
}

#[inline]
pub(super) fn float64(node: &Node<'_>) -> Result<f64, Mismatch> {
    match node {
        Node::Static(StaticNode::F64(value)) => Ok(*value),
        Node::Static(StaticNode::I64(value)) => exact_float64(i128::from(*value)),
        Node::Static(StaticNode::U64(value)) => exact_float64(i128::from(*value)),
        _ => Err(Mismatch::Kind),
    }
}

pub(super) fn float32(node: &Node<'_>) -> Result<f32, Mismatch> {
    let value = float64(node)?;
    let nearest = value as f32;
    if nearest.is_infinite() {
        return Err(Mismatch::OutOfRange);
    }
    let plain_integer = !matches!(node, Node::Static(StaticNode::F64(_)));
    if plain_integer && f64::from(nearest) != value {
        return Err(Mismatch::Inexact);
    }
    Ok(nearest)
}

fn exact_float64(value: i128) -> Result<f64, Mismatch> {
    let nearest = value as f64;
    if nearest as i128 == value { Ok(nearest) } else { Err(Mismatch::Inexact) }
}

pub(super) fn decimal(
    node: &Node<'_>,
    at: usize,
    numbers: &mut NumberTexts<'_>,
    precision: u8,
    scale: i8,
) -> Result<i128, Mismatch> {
    let value = match node {
        Node::String(text) => scaled_integer(text, scale).ok_or(Mismatch::Format("an exact decimal number")),
        Node::Static(StaticNode::I64(_) | StaticNode::U64(_) | StaticNode::F64(_)) => {
            scaled_integer(numbers.text(at), scale).ok_or(Mismatch::Inexact)
        }
        _ => Err(Mismatch::Kind),
    }?;
    if value.unsigned_abs() < 10u128.pow(u32::from(precision)) {
        Ok(value)
    } else {
        Err(Mismatch::OutOfRange)
    }
}

pub(super) fn date(node: &Node<'_>) -> Result<i32, Mismatch> {
    match node {
        Node::String(text) => date_from_text(text).map_err(|_| Mismatch::Format("a date such as 2026-01-31")),
        _ => Err(Mismatch::Kind),
    }
}

pub(super) fn timestamp(node: &Node<'_>, at: usize, numbers: &mut NumberTexts<'_>) -> Result<i64, Mismatch> {
    let found = match node {
        Node::String(text) => timestamp_from_text(text),
        _ => timestamp_from_millis(integer(node, at, numbers)?),
    };
    found.map_err(|fault| match fault {
        TimeFault::Format => Mismatch::Format("an RFC 3339 time with an offset"),
        TimeFault::TooFine => Mismatch::TooFine,
        TimeFault::OutOfRange => Mismatch::OutOfRange,
    })
}

pub(super) fn binary(node: &Node<'_>) -> Result<Vec<u8>, Mismatch> {
    match node {
        Node::String(text) => STANDARD.decode(text).map_err(|_| Mismatch::Format("base64 with padding")),
        _ => Err(Mismatch::Kind),
    }
}
