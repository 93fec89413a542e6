//! How many different values there were, in at most 4 KB.

use sluicebox_plugin::Scalar;

use crate::hash::hash;

/// Bits of the hash that choose a register.
const PRECISION: u32 = 12;
const REGISTERS: usize = 1 << PRECISION;
/// The largest rank: one more than the bits that are left of the hash.
const MAX_RANK: u8 = (64 - PRECISION + 1) as u8;
/// Up to so many registers are kept as a list.
const MAX_SPARSE: usize = 512;

const SPARSE: u8 = 0;
const DENSE: u8 = 1;

/// HyperLogLog with 4,096 registers, estimated as in Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog
/// sketches" (2017): without bias from one value to 2^60. The standard error is 1.04/√4096 = 1.63 %, so that two of three
/// estimates are within 1.63 % and 19 of 20 within 3.3 %; counts up to a few dozen are nearly always exact.
///
/// Merging is exact: the sketch of two sets of rows is that of all rows.
#[derive(Clone, Debug, PartialEq)]
pub struct HyperLogLog(Registers);

#[derive(Clone, Debug, PartialEq)]
enum Registers {
    /// The registers that are not 0, ascending, with their ranks.
    Sparse(Vec<(u16, u8)>),
    Dense(Box<[u8; REGISTERS]>),
}

impl Default for HyperLogLog {
    fn default() -> HyperLogLog {
        HyperLogLog(Registers::Sparse(Vec::new()))
    }
}

impl HyperLogLog {
    pub fn add(&mut self, value: &Scalar) {
        let hash = hash(value);
        let register = (hash >> (64 - PRECISION)) as u16;
        // A set bit below those of the rank ends a run of zeros that would not.
        let rest = hash << PRECISION | 1 << (PRECISION - 1);
        self.raise(register, rest.leading_zeros() as u8 + 1);
    }

    pub fn merge(&mut self, other: &HyperLogLog) {
        match &other.0 {
            Registers::Sparse(entries) => {
                entries.iter().for_each(|(register, rank)| self.raise(*register, *rank));
            }
            Registers::Dense(ranks) => {
                for (register, rank) in ranks.iter().enumerate().filter(|(_, rank)| **rank > 0) {
                    self.raise(register as u16, *rank);
                }
            }
        }
    }

    fn raise(&mut self, register: u16, rank: u8) {
        match &mut self.0 {
            Registers::Dense(ranks) => {
                let kept = &mut ranks[usize::from(register) % REGISTERS];
                *kept = rank.max(*kept);
            }
            Registers::Sparse(entries) => {
                match entries.binary_search_by_key(&register, |(register, _)| *register) {
                    Ok(at) => entries[at].1 = rank.max(entries[at].1),
                    Err(at) => entries.insert(at, (register, rank)),
                }
                if entries.len() > MAX_SPARSE {
                    let mut ranks = Box::new([0; REGISTERS]);
                    entries.iter().for_each(|(register, rank)| ranks[usize::from(*register)] = *rank);
                    self.0 = Registers::Dense(ranks);
                }
            }
        }
    }

    pub fn estimate(&self) -> i64 {
        let mut count_of_rank = [0u32; MAX_RANK as usize + 1];
        match &self.0 {
            Registers::Sparse(entries) => {
                count_of_rank[0] = (REGISTERS - entries.len()) as u32;
                entries.iter().for_each(|(_, rank)| count_of_rank[usize::from(*rank)] += 1);
            }
            Registers::Dense(ranks) => ranks.iter().for_each(|rank| count_of_rank[usize::from(*rank)] += 1),
        }
        let registers = REGISTERS as f64;
        let full = f64::from(count_of_rank[usize::from(MAX_RANK)]);
        let mut sum = registers * tau(1.0 - full / registers);
        for rank in (1..usize::from(MAX_RANK)).rev() {
            sum = 0.5 * (sum + f64::from(count_of_rank[rank]));
        }
        sum += registers * sigma(f64::from(count_of_rank[0]) / registers);
        // An empty sketch has an infinite sum.
        (registers * registers / (2.0 * std::f64::consts::LN_2 * sum)).round() as i64
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        match &self.0 {
            Registers::Sparse(entries) => {
                let entries = entries.iter().flat_map(|(register, rank)| {
                    let [low, high] = register.to_le_bytes();
                    [low, high, *rank]
                });
                std::iter::once(SPARSE).chain(entries).collect()
            }
            Registers::Dense(ranks) => std::iter::once(DENSE).chain(ranks.iter().copied()).collect(),
        }
    }

    /// `None` for bytes that `to_bytes` does not give.
    pub fn from_bytes(bytes: &[u8]) -> Option<HyperLogLog> {
        let is_rank = |rank: &u8| *rank <= MAX_RANK;
        let (form, bytes) = bytes.split_first()?;
        match *form {
            SPARSE => {
                let (entries, rest) = bytes.as_chunks::<3>();
                let entries: Vec<(u16, u8)> = entries
                    .iter()
                    .map(|[low, high, rank]| (u16::from_le_bytes([*low, *high]), *rank))
                    .collect();
                let is_sound = rest.is_empty()
                    && entries.len() <= MAX_SPARSE
                    && entries.is_sorted_by(|a, b| a.0 < b.0)
                    && entries.iter().all(|(at, rank)| usize::from(*at) < REGISTERS && is_rank(rank));
                is_sound.then_some(HyperLogLog(Registers::Sparse(entries)))
            }
            DENSE => {
                let ranks: [u8; REGISTERS] = bytes.try_into().ok()?;
                ranks.iter().all(is_rank).then(|| HyperLogLog(Registers::Dense(Box::new(ranks))))
            }
            _ => None,
        }
    }
}

/// Corrects for registers that are still 0: `x + Σ x^(2^k) 2^(k-1)`.
fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut power, mut sum) = (1.0, x);
    loop {
        x *= x;
        let before = sum;
        sum += x * power;
        power += power;
        if sum == before {
            return sum;
        }
    }
}

/// Corrects for registers that are full: `(1 - x - Σ (1 - x^(2^-k))^2 2^-k) / 3`.
fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut power, mut sum) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = sum;
        power *= 0.5;
        sum -= (1.0 - x).powi(2) * power;
        if sum == before {
            return sum / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sketch(values: impl IntoIterator<Item = i64>) -> HyperLogLog {
        let mut sketch = HyperLogLog::default();
        values.into_iter().for_each(|value| sketch.add(&Scalar::Int(value)));
        sketch
    }

    /// The root mean square of the relative errors of 60 sets is within a fifth of the standard error; no one error
    /// is above four of them.
    #[test]
    fn errors_are_those_of_the_precision() {
        let standard_error = 1.04 / (REGISTERS as f64).sqrt();
        for size in [50, 400, 1_000, 5_000, 12_000, 40_000] {
            let errors: Vec<f64> = (0..60)
                .map(|set| {
                    sketch((0..size).map(|i| set * 1_000_000 + i)).estimate() as f64 / size as f64 - 1.0
                })
                .collect();
            let root_mean_square = (errors.iter().map(|error| error * error).sum::<f64>() / 60.0).sqrt();
            assert!(root_mean_square < 1.2 * standard_error, "{size}: {root_mean_square}");
            let worst = errors.iter().fold(0.0_f64, |worst, error| worst.max(error.abs()));
            assert!(worst < 4.0 * standard_error, "{size}: {worst}");
        }
    }

    #[test]
    fn few_values_are_counted_exactly_and_repetitions_not_at_all() {
        assert_eq!(HyperLogLog::default().estimate(), 0);
        for size in [1, 2, 10, 30] {
            assert_eq!(sketch((0..size).chain(0..size)).estimate(), size);
        }
        let texts = ["a", "b", "a", ""].map(|text| Scalar::Text(text.into()));
        let mut sketch = HyperLogLog::default();
        texts.iter().for_each(|text| sketch.add(text));
        assert_eq!(sketch.estimate(), 3);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// However values are divided among sketches, and stored in between, they come to the same.
        #[test]
        fn merging_and_storing_are_exact(sizes in prop::collection::vec(0..900i64, 1..5)) {
            let mut merged = HyperLogLog::default();
            for (i, size) in sizes.iter().enumerate() {
                let part = sketch((0..*size).map(|value| value + 400 * i as i64));
                merged = HyperLogLog::from_bytes(&merged.to_bytes()).unwrap();
                merged.merge(&HyperLogLog::from_bytes(&part.to_bytes()).unwrap());
            }
            let all = sizes.iter().enumerate().flat_map(|(i, size)| (0..*size).map(move |value| value + 400 * i as i64));
            prop_assert_eq!(&merged, &sketch(all));
            prop_assert!(merged.to_bytes().len() <= 1 + REGISTERS);
        }

        #[test]
        fn foreign_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            if let Some(sketch) = HyperLogLog::from_bytes(&bytes) {
                prop_assert_eq!(sketch.to_bytes(), bytes);
                sketch.estimate();
            }
        }
    }
}
