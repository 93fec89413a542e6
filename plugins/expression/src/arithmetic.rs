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

/// To so many decimal places, halves away from zero.
pub fn round(values: &Slots<'_, f64>, places: &Slots<'_, i64>, rows: usize) -> Slots<'static, f64> {
    let to = |value: f64, places: i64| {
        let scale = 10f64.powi(places.clamp(-300, 300) as i32);
        let rounded = (value * scale).round() / scale;
        if rounded.is_finite() { rounded } else { value }
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
