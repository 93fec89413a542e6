//! Records that a seed decides: each is a function of its partition and offset, so that a stream can be read again from
//! anywhere, by whichever worker.
//!
//! | module | what it does |
//! |---|---|
//! | `settings` | what is generated |
//! | `random` | numbers by seed, record and field |
//! | `shape` | fields to a JSON object |
//! | `value` | one value |

mod random;
mod settings;
mod shape;
#[cfg(test)]
mod tests;
mod value;

use self::random::Random;
pub use self::settings::{Change, Field, GeneratorSettings, Share, Value};
use self::shape::{Shape, ShapeError};

/// Fields of a record beside those of its object: what else is decided by chance.
const MALFORMED: u64 = u64::MAX;
const DUPLICATE: u64 = u64::MAX - 1;

/// How far back a record is repeated at the most, in records of its partition.
const REPEATED_WITHIN: u64 = 100;

/// The stream.
#[derive(Debug)]
pub struct Generator {
    settings: GeneratorSettings,
    /// With the number of the record from which each holds, ascending; the first holds from 0.
    shapes: Vec<(u64, Shape)>,
}

/// A record's bytes; cleared by whoever asks for the next.
#[derive(Debug, Default)]
pub struct Generated {
    pub key: Vec<u8>,
    pub payload: Vec<u8>,
}

impl Generator {
    pub fn new(settings: GeneratorSettings) -> Result<Self, ShapeError> {
        let mut fields = settings.fields.clone();
        let mut shapes = vec![(0, Shape::new(&fields, settings.key.as_deref())?)];
        for change in &settings.changes {
            for (name, field) in &change.fields {
                match field {
                    Some(field) => drop(fields.insert(name.clone(), field.clone())),
                    None if fields.shift_remove(name).is_none() => {
                        return Err(ShapeError::Gone(name.clone()));
                    }
                    None => {}
                }
            }
            shapes.push((change.after, Shape::new(&fields, settings.key.as_deref())?));
        }
        Ok(Self { settings, shapes })
    }

    pub fn settings(&self) -> &GeneratorSettings {
        &self.settings
    }

    /// Offsets of a partition; `None` if they have no end.
    pub fn records_of(&self, partition: u32) -> Option<u64> {
        let (records, partitions) = (self.settings.records?, u64::from(self.settings.partitions));
        Some(records / partitions + u64::from(u64::from(partition) < records % partitions))
    }

    /// Event time of a record that is not late, microseconds since the Unix epoch.
    pub fn time_us(&self, partition: u32, offset: u64) -> i64 {
        self.time_of(self.number(partition, offset))
    }

    /// Writes the record in the place of what is in `out`.
    pub fn write(&self, partition: u32, offset: u64, out: &mut Generated) {
        out.key.clear();
        out.payload.clear();
        let number = self.source_of(partition, offset);
        let random = Random::new(self.settings.seed, number);
        let shape = self.shapes.iter().rev().find(|(after, _)| *after <= number).map(|(_, shape)| shape);
        if let Some(shape) = shape {
            shape.write(&random, number, self.time_of(number), out);
        }
        let mut chances = random.of(MALFORMED);
        if chances.share() < self.settings.malformed.get() {
            // As if it had ended in the middle.
            let kept = chances.below(out.payload.len() as u64, 0.0);
            out.payload.truncate(usize::try_from(kept).unwrap_or_default());
        }
    }

    /// The number of the record that is to be found here: its own, or that of one which it repeats.
    fn source_of(&self, partition: u32, offset: u64) -> u64 {
        let number = self.number(partition, offset);
        let mut chances = Random::new(self.settings.seed, number).of(DUPLICATE);
        if chances.share() >= self.settings.duplicates.get() {
            return number;
        }
        let back = 1 + chances.below(REPEATED_WITHIN, 0.0);
        self.number(partition, offset - back.min(offset))
    }

    /// The records of all partitions are numbered in turn.
    fn number(&self, partition: u32, offset: u64) -> u64 {
        offset.wrapping_mul(u64::from(self.settings.partitions)).wrapping_add(u64::from(partition))
    }

    fn time_of(&self, number: u64) -> i64 {
        let step = self.settings.step_us.saturating_mul(i64::try_from(number).unwrap_or(i64::MAX));
        self.settings.start_us.saturating_add(step)
    }
}
