//! Arithmetic over whole columns, and which rows fail at it.

use std::cell::Cell;

use sluicebox_plugin::{Bitmap, map_values};

use crate::failure::Rule;
use crate::node::Arithmetic;
use crate::slots::Slots;

/// The rows that fail, nulls among them perhaps; `None`: none does.
pub type Failed = Option<(Bitmap, Rule)>;

pub fn of_ints<'a>(
    operation: Arithmetic,
    left: &Slots<'a, i64>,
    right: &Slots<'_, i64>,
    rows: usize,
) -> (Slots<'a, i64>, Failed) {
    match operation {
        Arithmetic::Add => checked(left, right, rows, i64::overflowing_add),
        Arithmetic::Subtract => checked(left, right, rows, i64::overflowing_sub),
        Arithmetic::Multiply => checked(left, right, rows, i64::overflowing_mul),
        // Quotients are of floats; the checker sees to it.
        Arithmetic::Divide | Arithmetic::Remainder => {
            let remainder = |a: i64, b: i64| if b == 0 { 0 } else { a.wrapping_rem(b) };
            (left.clone().combine(right, remainder), zeros(right, rows, |divisor| divisor == 0))
        }
    }
}

pub fn of_floats<'a>(
    operation: Arithmetic,
    left: Slots<'a, f64>,
    right: &Slots<'_, f64>,
    rows: usize,
) -> (Slots<'a, f64>, Failed) {
    let failed = match operation {
        Arithmetic::Divide | Arithmetic::Remainder => zeros(right, rows, |divisor| divisor == 0.0),
        _ => None,
    };
    let values = match operation {
        Arithmetic::Add => left.combine(right, |a, b| a + b),
        Arithmetic::Subtract => left.combine(right, |a, b| a - b),
        Arithmetic::Multiply => left.combine(right, |a, b| a * b),
        Arithmetic::Divide => left.combine(right, |a, b| a / b),
        Arithmetic::Remainder => left.combine(right, |a, b| a % b),
    };
    (values, failed)
}

/// The values without their sign.
pub fn absolute<'a>(values: &Slots<'a, i64>, rows: usize) -> (Slots<'a, i64>, Failed) {
    let zero = Slots::Same(0);
    checked(values, &zero, rows, |value, _| value.overflowing_abs())
}

/// One pass computes, and finds whether any row overflows; only then a second one finds which.
fn checked<'a>(
    left: &Slots<'a, i64>,
    right: &Slots<'_, i64>,
    rows: usize,
    compute: impl Fn(i64, i64) -> (i64, bool) + Copy,
) -> (Slots<'a, i64>, Failed) {
    let overflows = Cell::new(false);
    let values = left.clone().combine(right, |a, b| {
        let (value, overflow) = compute(a, b);
        overflows.set(overflows.get() | overflow);
        value
    });
    let failed = overflows.get().then(|| (overflowing(left, right, rows, &compute), Rule::Overflow));
    (values, failed)
}

/// Rare, and therefore small and not fast.
fn overflowing(
    left: &Slots<'_, i64>,
    right: &Slots<'_, i64>,
    rows: usize,
    compute: &dyn Fn(i64, i64) -> (i64, bool),
) -> Bitmap {
    Bitmap::of_rows(rows, |row| compute(left.get(row), right.get(row)).1)
}

fn zeros<T: Copy>(divisors: &Slots<'_, T>, rows: usize, is_zero: impl Fn(T) -> bool) -> Failed {
    let zeros = match divisors {
        Slots::Same(divisor) => is_zero(*divisor).then(|| Bitmap::filled(rows, true))?,
        Slots::Each(divisors) => Bitmap::of_values(divisors, is_zero),
    };
    (zeros.count_set() > 0).then_some((zeros, Rule::DivisionByZero))
}

const TWO_TO_52: f64 = (1_u64 << 52) as f64;

/// The double that is nearest, infinite beyond them all.
fn ten_to(power: i64) -> f64 {
    match i32::try_from(power) {
        // Products of these are exact.
        Ok(power @ ..=22) => 10f64.powi(power),
        Ok(power @ ..=308) => format!("1e{power}").parse().unwrap_or(f64::INFINITY),
        _ => f64::INFINITY,
    }
}

/// To so many decimal places, halves away from zero. A value that has no more places than that stays as it is.
pub fn round(values: &Slots<'_, f64>, places: &Slots<'_, i64>, rows: usize) -> Slots<'static, f64> {
    let to = |value: f64, places: i64| match places {
        0.. => {
            let scale = ten_to(places);
            let scaled = value * scale;
            // From there on doubles are whole numbers.
            if scaled.abs() < TWO_TO_52 { scaled.round() / scale } else { value }
        }
        _ => match ten_to(places.saturating_neg()) {
            // Powers of ten with negative exponents are not exact.
            scale if scale.is_finite() => (value / scale).round() * scale,
            _ => 0.0,
        },
    };
    match (values, places) {
        (values, Slots::Same(0)) => values.map(f64::round),
        (Slots::Same(value), places) => places.map(|places| to(*value, places)),
        (Slots::Each(values), Slots::Same(places)) => {
            Slots::Each(map_values(values, |value| to(value, *places)).into())
        }
        (values, places) => Slots::Each((0..rows).map(|row| to(values.get(row), places.get(row))).collect()),
    }
}
