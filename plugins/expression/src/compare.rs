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

// Greater is less the other way round, and different is not equal, also for what is not a number: half the loops.

fn compare_slots<T: Copy + PartialOrd>(
    comparison: Comparison,
    left: &Slots<'_, T>,
    right: &Slots<'_, T>,
    rows: usize,
) -> Bitmap {
    match comparison {
        Comparison::Eq => left.test(right, rows, |a, b| a == b),
        Comparison::Ne => compare_slots(Comparison::Eq, left, right, rows).inverted(),
        Comparison::Lt => left.test(right, rows, |a, b| a < b),
        Comparison::Le => left.test(right, rows, |a, b| a <= b),
        Comparison::Gt => compare_slots(Comparison::Lt, right, left, rows),
        Comparison::Ge => compare_slots(Comparison::Le, right, left, rows),
    }
}

fn compare_texts(comparison: Comparison, left: &Texts<'_>, right: &Texts<'_>, rows: usize) -> Bitmap {
    match comparison {
        Comparison::Eq => Bitmap::of_rows(rows, |row| same_bytes(left.get(row), right.get(row))),
        Comparison::Ne => compare_texts(Comparison::Eq, left, right, rows).inverted(),
        Comparison::Lt => Bitmap::of_rows(rows, |row| left.get(row) < right.get(row)),
        Comparison::Le => Bitmap::of_rows(rows, |row| left.get(row) <= right.get(row)),
        Comparison::Gt => compare_texts(Comparison::Lt, right, left, rows),
        Comparison::Ge => compare_texts(Comparison::Le, right, left, rows),
    }
}
