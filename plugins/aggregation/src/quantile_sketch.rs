//! Quantiles within one percent of the value, in a few hundred bytes.

use std::collections::BTreeMap;

use crate::varint;

/// How far from the true quantile an answer may be, relative to it.
const ACCURACY: f64 = 0.01;
const GAMMA: f64 = (1.0 + ACCURACY) / (1.0 - ACCURACY);
/// What is closer to 0 counts as 0.
const SMALLEST: f64 = 1e-12;
/// For each sign. Enough for values over 17 orders of magnitude.
const MAX_BINS: usize = 2_048;

/// DDSketch (Masson, Rim and Lee, 2019): counts of values in bins whose edges grow by γ = 1.01/0.99, so that each bin's
/// middle is within 1 % of all that is in it. The answer for the quantile q of n values lies within 1 % of the value at
/// rank ⌊q·(n-1)⌋ of the sorted ones; values closer to 0 than 1e-12 count as 0. Only if values of one sign range over more
/// than 17 orders of magnitude, those closest to 0 are taken for larger ones.
///
/// Merging is exact as long as that does not happen: the sketch of two sets of rows is that of all rows.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct QuantileSketch {
    zeros: u64,
    positive: Bins,
    negative: Bins,
}

/// How many values fall into each bin: those above γ^(i-1) and up to γ^i.
type Bins = BTreeMap<i32, u64>;

impl QuantileSketch {
    /// Infinities count as the largest floats; NaN as nothing.
    pub fn add(&mut self, value: f64) {
        if value.is_nan() {
            return;
        }
        let magnitude = value.abs().min(f64::MAX);
        if magnitude < SMALLEST {
            self.zeros = self.zeros.saturating_add(1);
            return;
        }
        let bin = (magnitude.ln() / GAMMA.ln()).ceil() as i32;
        let bins = if value > 0.0 { &mut self.positive } else { &mut self.negative };
        count(bins, bin, 1);
    }

    pub fn merge(&mut self, other: &QuantileSketch) {
        self.zeros = self.zeros.saturating_add(other.zeros);
        other.positive.iter().for_each(|(bin, add)| count(&mut self.positive, *bin, *add));
        other.negative.iter().for_each(|(bin, add)| count(&mut self.negative, *bin, *add));
    }

    /// `q` from 0 to 1; `None` if there were no values.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let total = |bins: &Bins| bins.values().fold(0, |sum: u64, count| sum.saturating_add(*count));
        let negatives = total(&self.negative);
        let values = negatives.saturating_add(self.zeros).saturating_add(total(&self.positive));
        let last = values.checked_sub(1)?;
        let rank = ((q * last as f64) as u64).min(last);
        if rank < negatives {
            return bin_at(self.negative.iter().rev(), rank).map(|bin| -middle(bin));
        }
        match (rank - negatives).checked_sub(self.zeros) {
            None => Some(0.0),
            Some(rank) => bin_at(self.positive.iter(), rank).map(middle),
        }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        varint::put(self.zeros, &mut bytes);
        for bins in [&self.positive, &self.negative] {
            varint::put(bins.len() as u64, &mut bytes);
            let mut before = 0;
            for (bin, count) in bins {
                varint::put_signed(i64::from(*bin) - before, &mut bytes);
                varint::put(*count, &mut bytes);
                before = i64::from(*bin);
            }
        }
        bytes
    }

    /// `None` for bytes that `to_bytes` does not give.
    pub fn from_bytes(mut bytes: &[u8]) -> Option<QuantileSketch> {
        let zeros = varint::take(&mut bytes)?;
        let (positive, negative) = (take_bins(&mut bytes)?, take_bins(&mut bytes)?);
        bytes.is_empty().then_some(QuantileSketch { zeros, positive, negative })
    }
}

fn count(bins: &mut Bins, bin: i32, add: u64) {
    let counted = bins.entry(bin).or_default();
    *counted = counted.saturating_add(add);
    if bins.len() <= MAX_BINS {
        return;
    }
    if let Some((_, least)) = bins.pop_first()
        && let Some(mut next) = bins.first_entry()
    {
        *next.get_mut() = next.get().saturating_add(least);
    }
}

fn bin_at<'a>(bins: impl Iterator<Item = (&'a i32, &'a u64)>, mut rank: u64) -> Option<i32> {
    for (bin, count) in bins {
        match rank.checked_sub(*count) {
            None => return Some(*bin),
            Some(rest) => rank = rest,
        }
    }
    None
}

/// What no value of the bin is further from than the accuracy, relative to it.
fn middle(bin: i32) -> f64 {
    (2.0 / (GAMMA + 1.0) * GAMMA.powi(bin)).min(f64::MAX)
}

fn take_bins(bytes: &mut &[u8]) -> Option<Bins> {
    let length = varint::take(bytes)?;
    if length > MAX_BINS as u64 {
        return None;
    }
    let mut bins = Bins::new();
    let mut before: i64 = 0;
    for i in 0..length {
        let step = varint::take_signed(bytes)?;
        if i > 0 && step <= 0 {
            return None;
        }
        before = before.checked_add(step)?;
        bins.insert(i32::try_from(before).ok()?, varint::take(bytes)?);
    }
    Some(bins)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sketch(values: &[f64]) -> QuantileSketch {
        let mut sketch = QuantileSketch::default();
        values.iter().for_each(|value| sketch.add(*value));
        sketch
    }

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            -1e6..1e6,
            (-6.0..6.0f64).prop_map(f64::exp),
            Just(0.0),
            Just(-3.5),
            (-9i32..9).prop_map(|e| 10f64.powi(e))
        ]
    }

    proptest! {
        /// Each answer is within the accuracy of the value at its rank.
        #[test]
        fn answers_are_within_the_accuracy(mut values in prop::collection::vec(value(), 1..300), q in 0.0..=1.0) {
            let sketch = sketch(&values);
            values.sort_by(f64::total_cmp);
            for q in [0.0, q, 0.5, 0.99, 1.0] {
                let exact = values[(q * (values.len() - 1) as f64) as usize];
                let answer = sketch.quantile(q).unwrap();
                let bound = ACCURACY * exact.abs() * (1.0 + 1e-9);
                prop_assert!((answer - exact).abs() <= bound, "{}: {} for {}", q, answer, exact);
            }
        }

        /// However values are divided among sketches, and stored in between, they come to the same.
        #[test]
        fn merging_and_storing_are_exact(parts in prop::collection::vec(prop::collection::vec(value(), 0..50), 1..5)) {
            let mut merged = QuantileSketch::default();
            for part in &parts {
                merged = QuantileSketch::from_bytes(&merged.to_bytes()).unwrap();
                merged.merge(&QuantileSketch::from_bytes(&sketch(part).to_bytes()).unwrap());
            }
            prop_assert_eq!(merged, sketch(&parts.concat()));
        }

        #[test]
        fn foreign_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            if let Some(sketch) = QuantileSketch::from_bytes(&bytes) {
                sketch.quantile(0.5);
            }
        }
    }

    #[test]
    fn what_is_no_ordinary_number_does_no_harm() {
        assert_eq!(sketch(&[]).quantile(0.5), None);
        assert_eq!(sketch(&[f64::NAN]).quantile(0.5), None);
        assert_eq!(sketch(&[0.0, -0.0, 1e-300]).quantile(1.0), Some(0.0));
        let infinities = sketch(&[f64::INFINITY, f64::NEG_INFINITY]);
        assert!(infinities.quantile(1.0).is_some_and(|value| value > 1e308));
        assert!(infinities.quantile(0.0).is_some_and(|value| value < -1e308));
    }

    #[test]
    fn the_size_is_bounded_and_large_values_keep_their_accuracy() {
        let values: Vec<f64> = (-1_000..30_000).map(|i| 1.02f64.powi(i)).collect();
        let sketch = sketch(&values);
        assert!(sketch.to_bytes().len() < 5 * MAX_BINS, "{}", sketch.to_bytes().len());
        let exact = values[(0.99 * (values.len() - 1) as f64) as usize].min(f64::MAX);
        assert!((sketch.quantile(0.99).unwrap() / exact - 1.0).abs() <= ACCURACY * (1.0 + 1e-9));
    }
}
