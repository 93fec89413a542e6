//! What a window knows of its rows, value by value, in the order in which they came.

use std::cmp::Ordering;

use sluicebox_plugin::{Error, Field, Kind, Scalar, Stored, field};

use crate::plan::{Aggregated, Function};

/// One accumulator for each aggregate.
#[derive(Clone, Debug, PartialEq)]
pub struct Accumulators(Vec<Accumulator>);

#[derive(Clone, Debug, PartialEq)]
enum Accumulator {
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
}

impl Accumulator {
    fn new(of: &Aggregated) -> Accumulator {
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
        }
    }

    fn result(self) -> Scalar {
        match self {
            Accumulator::Count(count) => Scalar::Int(count),
            Accumulator::SumOfInts { count: 0, .. } | Accumulator::SumOfInts { sum: None, .. } => {
                Scalar::Null
            }
            Accumulator::SumOfInts { sum: Some(sum), .. } => Scalar::Int(sum),
            Accumulator::SumOfFloats { count: 0, .. } | Accumulator::Average { count: 0, .. } => Scalar::Null,
            Accumulator::SumOfFloats { sum, .. } => Scalar::Float(sum),
            Accumulator::Average { sum, count } => Scalar::Float(sum / count as f64),
            Accumulator::Extreme(_, best) | Accumulator::AtTime(_, best, _) => best,
        }
    }

    fn stored(&self) -> Vec<Scalar> {
        match self {
            Accumulator::Count(count) => vec![Scalar::Int(*count)],
            Accumulator::SumOfInts { sum, count } => {
                vec![sum.map_or(Scalar::Null, Scalar::Int), Scalar::Int(*count)]
            }
            Accumulator::SumOfFloats { sum, count } | Accumulator::Average { sum, count } => {
                vec![Scalar::Float(*sum), Scalar::Int(*count)]
            }
            Accumulator::Extreme(_, best) => vec![best.clone()],
            Accumulator::AtTime(_, best, time) => vec![best.clone(), Scalar::Int(*time)],
        }
    }

    /// The kinds of what `stored` gives.
    fn stored_kinds(&self, of: &Aggregated) -> Vec<Kind> {
        match self {
            Accumulator::Count(_) => vec![Kind::Int64],
            Accumulator::SumOfInts { .. } => vec![Kind::Int64, Kind::Int64],
            Accumulator::SumOfFloats { .. } | Accumulator::Average { .. } => vec![Kind::Float64, Kind::Int64],
            Accumulator::Extreme(..) => vec![of.kind.clone()],
            Accumulator::AtTime(..) => vec![of.kind.clone(), Kind::Int64],
        }
    }

    fn restore(&mut self, values: &[Scalar]) -> Option<()> {
        match (self, values) {
            (Accumulator::Count(count), [Scalar::Int(stored)]) => *count = *stored,
            (
                Accumulator::SumOfInts { sum, count },
                [stored @ (Scalar::Int(_) | Scalar::Null), Scalar::Int(stored_count)],
            ) => {
                *sum = if let Scalar::Int(sum) = stored { Some(*sum) } else { None };
                *count = *stored_count;
            }
            (
                Accumulator::SumOfFloats { sum, count } | Accumulator::Average { sum, count },
                [Scalar::Float(stored), Scalar::Int(stored_count)],
            ) => {
                *sum = *stored;
                *count = *stored_count;
            }
            (Accumulator::Extreme(_, best), [stored]) => *best = stored.clone(),
            (Accumulator::AtTime(_, best, time), [stored, Scalar::Int(stored_time)]) => {
                *best = stored.clone();
                *time = *stored_time;
            }
            _ => return None,
        }
        Some(())
    }
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

    pub fn results(self) -> impl Iterator<Item = Scalar> {
        self.0.into_iter().map(Accumulator::result)
    }
}

impl Stored for Accumulators {
    type Shape = Vec<Aggregated>;

    fn fields(shape: &Vec<Aggregated>) -> Vec<Field> {
        let kinds = shape.iter().map(|of| Accumulator::new(of).stored_kinds(of)).enumerate();
        kinds
            .flat_map(|(i, kinds)| {
                kinds.into_iter().enumerate().map(move |(part, kind)| field(format!("{i}_{part}"), kind))
            })
            .collect()
    }

    fn write(&self, _: &Vec<Aggregated>) -> Result<Vec<Scalar>, Error> {
        Ok(self.0.iter().flat_map(Accumulator::stored).collect())
    }

    fn read(shape: &Vec<Aggregated>, mut values: &[Scalar]) -> Result<Accumulators, Error> {
        let foreign = || Error::Data("stored windows have other aggregates than the configuration".into());
        let mut accumulators = Accumulators::new(shape);
        for (accumulator, of) in accumulators.0.iter_mut().zip(shape) {
            let count = accumulator.stored_kinds(of).len();
            let (own, rest) = values.split_at_checked(count).ok_or_else(foreign)?;
            accumulator.restore(own).ok_or_else(foreign)?;
            values = rest;
        }
        Ok(accumulators)
    }
}
