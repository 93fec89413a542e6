//! Loops over values, 16 a turn: in WebAssembly each turn pays an interruption check, and the compiler unrolls nothing.

const TURN: usize = 16;

/// What `map` makes of each value.
#[inline]
pub fn map_values<T: Copy, U>(values: &[T], map: impl Fn(T) -> U) -> Vec<U> {
    let mut mapped = Vec::with_capacity(values.len());
    let (turns, rest) = values.as_chunks::<TURN>();
    for turn in turns {
        mapped.extend(turn.iter().map(|value| map(*value)));
    }
    mapped.extend(rest.iter().map(|value| map(*value)));
    mapped
}

/// Changes each value in place.
#[inline]
pub fn change_values<T: Copy>(values: &mut [T], change: impl Fn(T) -> T) {
    let (turns, rest) = values.as_chunks_mut::<TURN>();
    for turn in turns {
        turn.iter_mut().for_each(|value| *value = change(*value));
    }
    rest.iter_mut().for_each(|value| *value = change(*value));
}

/// Changes each value in place, by the value beside it.
#[inline]
pub fn combine_values<T: Copy>(values: &mut [T], others: &[T], combine: impl Fn(T, T) -> T) {
    let (turns, rest) = values.as_chunks_mut::<TURN>();
    let (other_turns, other_rest) = others.as_chunks::<TURN>();
    for (turn, others) in turns.iter_mut().zip(other_turns) {
        turn.iter_mut().zip(others).for_each(|(value, other)| *value = combine(*value, *other));
    }
    rest.iter_mut().zip(other_rest).for_each(|(value, other)| *value = combine(*value, *other));
}

#[cfg(test)]
mod tests {
    use super::{change_values, combine_values, map_values};

    #[test]
    fn every_value_is_met_once() {
        for length in [0, 1, 15, 16, 17, 40] {
            let values: Vec<i64> = (0..length).collect();
            let doubled: Vec<i64> = values.iter().map(|value| value * 2).collect();
            assert_eq!(map_values(&values, |value| value * 2), doubled);
            let mut changed = values.clone();
            change_values(&mut changed, |value| value * 2);
            assert_eq!(changed, doubled);
            let mut combined = values.clone();
            combine_values(&mut combined, &values, |value, other| value + other);
            assert_eq!(combined, doubled);
        }
    }
}
