//! What is known of the rows of a window or session, value by value, in the order in which they came.

use std::cmp::Ordering;

use serde::Serialize;
use sluicebox_plugin::{Key, KeyShape, Kind, Scalar, field};

use crate::config::{Aggregated, Function};
use crate::heavy_hitters::HeavyHitters;
use crate::hyperloglog::HyperLogLog;
use crate::quantile_sketch::QuantileSketch;

/// One accumulator for each aggregate.
#[derive(Clone, Debug, PartialEq)]
pub struct Accumulators(pub(crate) Vec<Accumulator>);

/// The result of an aggregate.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Measured {
    Single(Scalar),
    Several(Vec<Frequent>),
}

/// One of the most frequent values. The count is never too small, and too large by at most `error`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Frequent {
    pub value: Scalar,
    pub count: u64,
    pub error: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Accumulator {
    Count(i64),
    /// `sum` is `None` once it has overflowed.
    SumOfInts {
        sum: Option<i64>,
        count: i64,
    },
    SumOfFloats {
        sum: f64,
        count: i64,
    },
    Average {
        sum: f64,
        count: i64,
    },
    /// The value that wins so far, if there is one: the least for `Less`, the greatest for `Greater`.
    Extreme(Ordering, Scalar),
    /// The value of the least (`Less`) or greatest event time, and that time.
    AtTime(Ordering, Scalar, i64),
    Distinct(HyperLogLog),
    Quantile(f64, QuantileSketch),
    /// How many to tell, their type, and all that are counted.
    Top(usize, Kind, HeavyHitters),
}

impl Accumulators {
    pub fn new(of: &[Aggregated]) -> Accumulators {
        Accumulators(of.iter().map(Accumulator::new).collect())
    }

    /// Adds a row: its event time, and its value for each aggregate. Nulls are left out.
    pub fn add(&mut self, time: i64, values: &[Scalar]) {
        for (accumulator, value) in self.0.iter_mut().zip(values) {
            if !value.is_null() {
                accumulator.add(time, value);
            }
        }
    }

    /// Adds what others know, of the same aggregates; they are the later ones of equal event times.
    pub fn merge(&mut self, later: Accumulators) {
        for (accumulator, later) in self.0.iter_mut().zip(later.0) {
            accumulator.merge(later);
        }
    }

    pub fn results(&self) -> impl Iterator<Item = Measured> {
        self.0.iter().map(Accumulator::result)
    }
}

impl Accumulator {
    pub(crate) fn new(of: &Aggregated) -> Accumulator {
        let is_float = matches!(of.kind, Kind::Float32 | Kind::Float64);
        match of.function {
            Function::Count => Accumulator::Count(0),
            Function::Sum if is_float => Accumulator::SumOfFloats { sum: 0.0, count: 0 },
            Function::Sum => Accumulator::SumOfInts { sum: Some(0), count: 0 },
            Function::Avg => Accumulator::Average { sum: 0.0, count: 0 },
            Function::Min => Accumulator::Extreme(Ordering::Less, Scalar::Null),
            Function::Max => Accumulator::Extreme(Ordering::Greater, Scalar::Null),
            Function::First => Accumulator::AtTime(Ordering::Less, Scalar::Null, 0),
            Function::Last => Accumulator::AtTime(Ordering::Greater, Scalar::Null, 0),
            Function::CountDistinct => Accumulator::Distinct(HyperLogLog::default()),
            Function::Quantile => Accumulator::Quantile(of.quantile, QuantileSketch::default()),
            Function::TopK => Accumulator::Top(of.k, of.kind.clone(), HeavyHitters::new(of.counters())),
        }
    }

    /// `value` is not null.
    fn add(&mut self, time: i64, value: &Scalar) {
        let as_float = || match value {
            Scalar::Int(value) => *value as f64,
            Scalar::Float(value) => *value,
            _ => 0.0,
        };
        match self {
            Accumulator::Count(count) => *count += 1,
            Accumulator::SumOfInts { sum, count } => {
                if let Scalar::Int(value) = value {
                    *sum = sum.and_then(|sum| sum.checked_add(*value));
                    *count += 1;
                }
            }
            Accumulator::SumOfFloats { sum, count } | Accumulator::Average { sum, count } => {
                *sum += as_float();
                *count += 1;
            }
            Accumulator::Extreme(wanted, best) => {
                if best.is_null() || value.compare(best) == *wanted {
                    *best = value.clone();
                }
            }
            Accumulator::AtTime(wanted, best, best_time) => {
                let order = time.cmp(best_time);
                let is_later_row_of_last = order == Ordering::Equal && *wanted == Ordering::Greater;
                if best.is_null() || order == *wanted || is_later_row_of_last {
                    *best = value.clone();
                    *best_time = time;
                }
            }
            Accumulator::Distinct(sketch) => sketch.add(value),
            Accumulator::Quantile(_, sketch) => sketch.add(as_float()),
            Accumulator::Top(_, kind, counters) => {
                counters.add(value_shape(kind).encode(std::slice::from_ref(value)).as_bytes());
            }
        }
    }

    fn merge(&mut self, later: Accumulator) {
        match (self, later) {
            (Accumulator::Count(count), Accumulator::Count(later)) => *count += later,
            (
                Accumulator::SumOfInts { sum, count },
                Accumulator::SumOfInts { sum: later, count: later_count },
            ) => {
                *sum = sum.zip(later).and_then(|(sum, later)| sum.checked_add(later));
                *count += later_count;
            }
            (
                Accumulator::SumOfFloats { sum, count } | Accumulator::Average { sum, count },
                Accumulator::SumOfFloats { sum: later, count: later_count }
                | Accumulator::Average { sum: later, count: later_count },
            ) => {
                *sum += later;
                *count += later_count;
            }
            (own @ Accumulator::Extreme(..), Accumulator::Extreme(_, best)) if !best.is_null() => {
                own.add(0, &best);
            }
            (own @ Accumulator::AtTime(..), Accumulator::AtTime(_, best, time)) if !best.is_null() => {
                own.add(time, &best);
            }
            (Accumulator::Distinct(sketch), Accumulator::Distinct(later)) => sketch.merge(&later),
            (Accumulator::Quantile(_, sketch), Accumulator::Quantile(_, later)) => sketch.merge(&later),
            (Accumulator::Top(_, _, counters), Accumulator::Top(_, _, later)) => counters.merge(&later),
            // The others have no value yet.
            _ => {}
        }
    }

    fn result(&self) -> Measured {
        Measured::Single(match self {
            Accumulator::Count(count) => Scalar::Int(*count),
            Accumulator::SumOfInts { count: 0, .. } | Accumulator::SumOfInts { sum: None, .. } => {
                Scalar::Null
            }
            Accumulator::SumOfInts { sum: Some(sum), .. } => Scalar::Int(*sum),
            Accumulator::SumOfFloats { count: 0, .. } | Accumulator::Average { count: 0, .. } => Scalar::Null,
            Accumulator::SumOfFloats { sum, .. } => Scalar::Float(*sum),
            Accumulator::Average { sum, count } => Scalar::Float(sum / *count as f64),
            Accumulator::Extreme(_, best) | Accumulator::AtTime(_, best, _) => best.clone(),
            Accumulator::Distinct(sketch) => Scalar::Int(sketch.estimate()),
            Accumulator::Quantile(q, sketch) => sketch.quantile(*q).map_or(Scalar::Null, Scalar::Float),
            Accumulator::Top(k, kind, counters) => {
                let shape = value_shape(kind);
                let frequent = |(key, counter): (&Key, crate::heavy_hitters::Counter)| {
                    let value = shape.decode(key).ok()?.into_iter().next()?;
                    Some(Frequent { value, count: counter.count, error: counter.error })
                };
                return Measured::Several(counters.top(*k).into_iter().filter_map(frequent).collect());
            }
        })
    }
}

/// A value as the key of its counter.
pub(crate) fn value_shape(kind: &Kind) -> KeyShape {
    KeyShape(vec![field("value", kind.clone())])
}
