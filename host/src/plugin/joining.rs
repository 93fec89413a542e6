//! What several calls for one batch may give back together.

use arrow::array::{Array, ArrayData, RecordBatch};
use arrow::error::ArrowError;

use super::limits::Limits;
use super::outcome::Outcome;
use super::plan::Plan;

/// How many times what one call may give back the pieces of a batch may give back together.
const CALLS: usize = 8;

/// What the pieces of a batch have given back. A batch that gives more than one call may is no fault of any row, and goes on
/// in pieces; but the host holds them all until the last one is there.
pub(super) struct Allotment {
    output_bytes: usize,
    output_rows: usize,
    bytes: usize,
    rows: usize,
}

impl Allotment {
    pub fn new(limits: &Limits) -> Self {
        Self { output_bytes: limits.output_bytes, output_rows: limits.output_rows, bytes: 0, rows: 0 }
    }

    /// Counts one more piece. Says which limit the batch breaks with it.
    pub fn take(&mut self, piece: &Outcome, plan: &Plan) -> Result<(), String> {
        self.bytes = self.bytes.saturating_add(piece.bytes());
        self.rows = self.rows.saturating_add(piece.new_rows(plan));
        let gives = |what: String| {
            Err(format!("it gives back more than {CALLS} times {what} for the rows of one batch together"))
        };
        if self.bytes > self.output_bytes.saturating_mul(CALLS) {
            return gives(format!("the {} bytes of `limits.output`", self.output_bytes));
        }
        if self.rows > self.output_rows.saturating_mul(CALLS) {
            return gives(format!("the {} rows of `limits.output_rows`", self.output_rows));
        }
        Ok(())
    }
}

/// Bytes of the values.
pub(super) fn bytes_of(array: &dyn Array) -> usize {
    array.to_data().get_slice_memory_size().unwrap_or(usize::MAX)
}

/// Arrow counts the elements of lists and maps in 31 bits, and panics where joined ones have more.
pub(super) fn check_elements<'a>(batches: impl Iterator<Item = &'a RecordBatch>) -> Result<(), ArrowError> {
    let mut totals: Vec<usize> = Vec::new();
    for batch in batches {
        let mut lengths = Vec::new();
        batch.columns().iter().for_each(|column| note_lengths(&column.to_data(), &mut lengths));
        totals.resize(lengths.len(), 0);
        totals.iter_mut().zip(lengths).for_each(|(total, length)| *total = total.saturating_add(length));
    }
    match totals.into_iter().find(|total| i32::try_from(*total).is_err()) {
        Some(total) => Err(ArrowError::OffsetOverflowError(total)),
        None => Ok(()),
    }
}

/// Of the array and of all arrays below it, in pre-order: the same places for all arrays of a type.
fn note_lengths(array: &ArrayData, lengths: &mut Vec<usize>) {
    lengths.push(array.len());
    array.child_data().iter().for_each(|child| note_lengths(child, lengths));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, ListArray, NullArray};
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::{DataType, Field};

    use super::*;

    /// One row with a list of so many nulls, which take no memory.
    fn list_of(length: usize) -> RecordBatch {
        let item = Arc::new(Field::new("item", DataType::Null, true));
        let list = ListArray::new(
            item,
            OffsetBuffer::from_lengths([length]),
            Arc::new(NullArray::new(length)),
            None,
        );
        RecordBatch::try_from_iter([("list", Arc::new(list) as ArrayRef)]).unwrap()
    }

    #[test]
    fn elements_that_arrow_cannot_count_are_told_before_it_joins_them() {
        let (half, rest) = (list_of(1 << 30), list_of((1 << 30) - 1));
        check_elements([&half, &rest].into_iter()).unwrap();
        let error = check_elements([&half, &half].into_iter()).unwrap_err();
        assert!(matches!(error, ArrowError::OffsetOverflowError(2_147_483_648)), "{error}");
        check_elements(std::iter::empty()).unwrap();
    }
}
