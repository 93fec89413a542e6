//! Accumulators as columns of a state, and back.

use sluicebox_plugin::{Error, Field, Kind, Scalar, Stored, field};

use crate::accumulator::{Accumulator, Accumulators, value_shape};
use crate::config::Aggregated;
use crate::heavy_hitters::HeavyHitters;
use crate::hyperloglog::HyperLogLog;
use crate::quantile_sketch::QuantileSketch;

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
        let foreign = || Error::Data("the stored state has other aggregates than the configuration".into());
        let mut accumulators = Accumulators::new(shape);
        for (accumulator, of) in accumulators.0.iter_mut().zip(shape) {
            let count = accumulator.stored_kinds(of).len();
            let (own, rest) = values.split_at_checked(count).ok_or_else(foreign)?;
            accumulator.restore(own, of).ok_or_else(foreign)?;
            values = rest;
        }
        Ok(accumulators)
    }
}

impl Accumulator {
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
            Accumulator::Distinct(sketch) => vec![Scalar::Bytes(sketch.to_bytes())],
            Accumulator::Quantile(_, sketch) => vec![Scalar::Bytes(sketch.to_bytes())],
            Accumulator::Top(_, _, counters) => vec![Scalar::Bytes(counters.to_bytes())],
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
            Accumulator::Distinct(_) | Accumulator::Quantile(..) | Accumulator::Top(..) => vec![Kind::Binary],
        }
    }

    fn restore(&mut self, values: &[Scalar], of: &Aggregated) -> Option<()> {
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
            (Accumulator::Distinct(sketch), [Scalar::Bytes(bytes)]) => {
                *sketch = HyperLogLog::from_bytes(bytes)?;
            }
            (Accumulator::Quantile(_, sketch), [Scalar::Bytes(bytes)]) => {
                *sketch = QuantileSketch::from_bytes(bytes)?;
            }
            (Accumulator::Top(k, kind, counters), [Scalar::Bytes(bytes)]) => {
                let stored = HeavyHitters::from_bytes(bytes, of.counters())?;
                let shape = value_shape(kind);
                let all = stored.top(of.counters().max(*k));
                all.iter().all(|(key, _)| shape.decode(key).is_ok()).then_some(())?;
                *counters = stored;
            }
            _ => return None,
        }
        Some(())
    }
}
