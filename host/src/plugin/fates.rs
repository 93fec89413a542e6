//! What became of each row of a batch, by its number.

use arrow::array::BooleanBufferBuilder;
use arrow::buffer::BooleanBuffer;

/// Numbers ascend. A row that is in none of the three was dropped, or taken into new rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Fates {
    /// A bit for each row that came in: those that go on as themselves.
    pub kept: BooleanBuffer,
    pub rejected: Vec<u32>,
    pub failed: Vec<u32>,
}

impl Fates {
    /// With the rows that were left out before: `self` speaks of the others.
    pub(super) fn with_failed(self, failed: Vec<u32>) -> Self {
        let total = self.kept.len() + failed.len();
        let mut left_out = failed.iter().copied().peekable();
        let others: Vec<u32> = (0..total as u32).filter(|row| left_out.next_if_eq(row).is_none()).collect();
        let mut kept = BooleanBufferBuilder::new(total);
        kept.append_n(total, false);
        for row in self.kept.set_indices() {
            kept.set_bit(others[row] as usize, true);
        }
        let rejected = self.rejected.iter().map(|row| others[*row as usize]).collect();
        Self { kept: kept.finish(), rejected, failed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_were_left_out_have_their_places_again() {
        let bits = |bits: &[u8]| bits.iter().map(|bit| *bit == 1).collect::<BooleanBuffer>();
        let fates = Fates { kept: bits(&[1, 0, 0, 1]), rejected: vec![1], failed: Vec::new() };
        let expected = Fates { kept: bits(&[0, 1, 0, 0, 0, 1]), rejected: vec![3], failed: vec![0, 2] };
        assert_eq!(fates.clone().with_failed(vec![0, 2]), expected);
        let expected = Fates { kept: bits(&[1, 0, 0, 1, 0]), rejected: vec![1], failed: vec![4] };
        assert_eq!(fates.with_failed(vec![4]), expected);
    }
}
