//! Comparisons of whole columns.

use sluicebox_plugin::{Bitmap, Error, same_bytes};

use crate::node::Comparison;
use crate::slots::Slots;
use crate::texts::Texts;
use crate::vector::{Values, Vector};

/// The rows for which it holds, where both have a value.
pub fn compare(
    comparison: Comparison,
    left: &Vector<'_>,
    right: &Vector<'_>,
    rows: usize,
) -> Result<Bitmap, Error> {
    Ok(match &left.values {
        Values::Ints(values) => compare_slots(comparison, values, right.ints()?, rows),
        Values::Floats(values) => compare_slots(comparison, values, right.floats()?, rows),
        Values::Texts(values) => compare_texts(comparison, values, right.texts()?, rows),
        Values::Bools(bits) => {
            let mut differ = Bitmap::from_bytes(bits, rows);
            differ.xor(right.bools()?);
            if comparison == Comparison::Eq { differ.inverted() } else { differ }
        }
    })
}

fn compare_slots<T: Copy + PartialOrd>(
    comparison: Comparison,
    left: &Slots<'_, T>,
    right: &Slots<'_, T>,
    rows: usize,
) -> Bitmap {
    match comparison {
        Comparison::Eq => left.test(right, rows, |a, b| a == b),
        Comparison::Ne => left.test(right, rows, |a, b| a != b),
        Comparison::Lt => left.test(right, rows, |a, b| a < b),
        Comparison::Le => left.test(right, rows, |a, b| a <= b),
        Comparison::Gt => left.test(right, rows, |a, b| a > b),
        Comparison::Ge => left.test(right, rows, |a, b| a >= b),
    }
}

fn compare_texts(comparison: Comparison, left: &Texts<'_>, right: &Texts<'_>, rows: usize) -> Bitmap {
    let same = || Bitmap::of_rows(rows, |row| same_bytes(left.get(row), right.get(row)));
    let order = |row: usize| left.get(row).cmp(right.get(row));
    match comparison {
        Comparison::Eq => same(),
        Comparison::Ne => same().inverted(),
        Comparison::Lt => Bitmap::of_rows(rows, |row| order(row).is_lt()),
        Comparison::Le => Bitmap::of_rows(rows, |row| order(row).is_le()),
        Comparison::Gt => Bitmap::of_rows(rows, |row| order(row).is_gt()),
        Comparison::Ge => Bitmap::of_rows(rows, |row| order(row).is_ge()),
    }
}
