//! Selections of rows, one after the other, as one.

use arrow::buffer::{BooleanBuffer, Buffer};

/// The rows that `then` keeps of those that `first` keeps, as a selection of `first`'s rows.
/// `then` has as many bits as `first` has ones.
pub(super) fn compose(first: &BooleanBuffer, then: &BooleanBuffer) -> BooleanBuffer {
    debug_assert_eq!(first.count_set_bits(), then.len());
    let deposit = deposit_function();
    // Two words more than needed, so that the reads below stay inside.
    let source: Vec<u64> = then.bit_chunks().iter_padded().chain([0, 0]).collect();
    let mut composed = Vec::with_capacity(first.len().div_ceil(64) + 1);
    let mut position = 0;
    for mask in first.bit_chunks().iter_padded() {
        let (word, shift) = (position / 64, position % 64);
        let bits = match shift {
            0 => source[word],
            _ => source[word] >> shift | source[word + 1] << (64 - shift),
        };
        composed.push(deposit(bits, mask));
        position += mask.count_ones() as usize;
    }
    BooleanBuffer::new(Buffer::from_vec(composed), 0, first.len())
}

/// Puts the low bits of the first word where the second word has ones.
fn deposit_function() -> fn(u64, u64) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("bmi2") {
        // SAFETY: the processor has the instruction.
        return |bits, mask| unsafe { std::arch::x86_64::_pdep_u64(bits, mask) };
    }
    portable_deposit
}

fn portable_deposit(mut bits: u64, mut mask: u64) -> u64 {
    let mut deposited = 0;
    while mask != 0 {
        let lowest = mask & mask.wrapping_neg();
        if bits & 1 == 1 {
            deposited |= lowest;
        }
        bits >>= 1;
        mask ^= lowest;
    }
    deposited
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn composing_is_selecting_twice(first in prop::collection::vec(any::<bool>(), 0..300), seed: u64) {
            let first_bits: BooleanBuffer = first.iter().copied().collect();
            let kept: Vec<usize> = (0..first.len()).filter(|row| first[*row]).collect();
            let mut state = seed;
            let then: Vec<bool> = kept.iter().map(|_| { state = state.rotate_left(7).wrapping_mul(31) ^ 5; state & 4 > 0 }).collect();
            let expected: Vec<usize> = kept.iter().zip(&then).filter(|(_, keep)| **keep).map(|(row, _)| *row).collect();
            let composed = compose(&first_bits, &then.iter().copied().collect());
            prop_assert_eq!(composed.set_indices().collect::<Vec<_>>(), expected);
        }

        #[test]
        fn the_processors_deposit_is_the_portable_one(bits: u64, mask: u64) {
            prop_assert_eq!(deposit_function()(bits, mask), portable_deposit(bits, mask));
        }
    }
}
