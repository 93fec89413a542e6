//! Keeps the first row of each key within a time; drops the others.
//!
//! A row is a duplicate if a row of its key was kept whose time plus `within` is above the row's own watermark (or there
//! is none yet), and whose time is less than `within` before the row's.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use sluicebox_plugin::schemars::{self, JsonSchema};
use sluicebox_plugin::serde::Deserialize;
use sluicebox_plugin::{
    Batch, Bitmap, Delta, Description, Error, Fields, Key, KeyReader, KeyShape, KeyedState, Kind, Micros,
    Outcome, Output, Place, Reads, Rejections, Schema, State, Stateful, TimeUnit, Transform, TransformPlan,
    is_key_kind, kind_name,
};

/// Configuration of the deduplication.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The columns, or fields nested in structs, that identify a row.
    #[schemars(length(min = 1))]
    keys: Vec<String>,
    /// For how long after a row that was kept others of its key are duplicates.
    within: Micros,
    /// The column of the event time, a timestamp in microseconds.
    time: String,
}

const NULL_TIME: u16 = 0;
const NULL_KEY: u16 = 1;

pub struct Dedupe {
    keys: Vec<Place>,
    time: Place,
    watermark: Place,
    within: i64,
    seen: Seen,
}

impl Transform for Dedupe {
    const DESCRIPTION: Description = Description {
        name: "dedupe",
        version: env!("CARGO_PKG_VERSION"),
        summary: "Keeps the first row of each key within a time; drops the others.",
    };
    type Config = Config;

    fn open(config: Config, input: &Schema) -> Result<(Dedupe, TransformPlan), Error> {
        if config.keys.is_empty() {
            return Err(Error::Config("`keys` must name at least one column".into()));
        }
        let mut reads = Reads::default();
        let mut keys = Vec::with_capacity(config.keys.len());
        let mut shape = Vec::with_capacity(config.keys.len());
        for (index, name) in config.keys.iter().enumerate() {
            if config.keys[..index].contains(name) {
                return Err(Error::Config(format!("`keys` names `{name}` twice")));
            }
            let place = reads.add(input, name)?;
            if !is_key_kind(place.kind()) {
                return Err(Error::Schema(format!(
                    "column `{name}` is {}, which cannot be a key",
                    kind_name(place.kind())
                )));
            }
            shape.push(sluicebox_plugin::field(name, place.kind().clone()));
            keys.push(place);
        }
        let time = reads.add(input, &config.time)?;
        if !matches!(time.kind(), Kind::Timestamp(timestamp) if timestamp.unit == TimeUnit::Microseconds) {
            return Err(Error::Schema(format!(
                "column `{}` is not a timestamp in microseconds",
                config.time
            )));
        }
        let watermark = reads.add(input, "_watermark")?;
        let within = config.within.0;
        let seen = Seen { within, times: KeyedState::new(KeyShape(shape), ()), expiries: BinaryHeap::new() };
        let plan = TransformPlan {
            reads: reads.names(),
            output: Output::Select,
            rules: vec!["null_time".into(), "null_key".into()],
        };
        Ok((Dedupe { keys, time, watermark, within, seen }, plan))
    }

    fn apply(&mut self, batch: &Batch) -> Result<Outcome, Error> {
        let rows = batch.rows as usize;
        let keys = KeyReader::new(&self.keys, batch)?;
        let (times, time_valid) = (self.time.ints(batch)?, self.time.validity(batch));
        let (watermarks, watermark_valid) = (self.watermark.ints(batch)?, self.watermark.validity(batch));
        let mut keep = Bitmap::filled(rows, false);
        let mut rejected = Rejections::default();
        let watermark_of = |row: usize| watermark_valid.is_valid(row).then(|| watermarks[row]);
        let mut key = Vec::new();
        for row in 0..rows {
            if !time_valid.is_valid(row) {
                rejected.push(row, NULL_TIME, "the row has no event time");
                continue;
            }
            key.clear();
            if let Some(part) = keys.append(row, &mut key) {
                let name = &self.keys[part].field().name;
                rejected.push(row, NULL_KEY, &format!("`{name}` is null and part of the key"));
                continue;
            }
            let (time, watermark) = (times[row], watermark_of(row));
            let is_duplicate = self.seen.times.get(key.as_slice()).is_some_and(|first| {
                let has_not_expired =
                    watermark.is_none_or(|watermark| first.saturating_add(self.within) > watermark);
                has_not_expired && time.saturating_sub(*first) < self.within
            });
            if !is_duplicate {
                keep.set(row, true);
                self.seen.insert(Key::from(key.as_slice()), time);
            }
        }
        if let Some(watermark) = rows.checked_sub(1).and_then(watermark_of) {
            self.seen.evict(watermark);
        }
        Ok(Outcome { keep: Some(keep), rejected, batch: None })
    }
}

impl Stateful for Dedupe {
    fn state(&mut self) -> &mut dyn State {
        &mut self.seen
    }
}

/// The event time of the last row kept of each key, and the keys by when they expire.
struct Seen {
    within: i64,
    times: KeyedState<Key, i64>,
    /// A key that was kept again has more than one; only the last one evicts it.
    expiries: BinaryHeap<Reverse<(i64, Key)>>,
}

impl Seen {
    fn insert(&mut self, key: Key, time: i64) {
        self.expiries.push(Reverse((time.saturating_add(self.within), key.clone())));
        self.times.insert(key, time);
    }

    /// Forgets the keys that have expired for every row to come. Rows' own watermarks make this housekeeping: a
    /// key that expired is no longer a duplicate's first, whether it is still here or not.
    fn evict(&mut self, watermark: i64) {
        while let Some(Reverse((expiry, _))) = self.expiries.peek()
            && *expiry <= watermark
        {
            let Some(Reverse((_, key))) = self.expiries.pop() else { return };
            if self.times.get(&key).is_some_and(|time| time.saturating_add(self.within) <= watermark) {
                self.times.remove(&key);
            }
        }
    }
}

impl State for Seen {
    fn layout(&self) -> Fields {
        self.times.layout()
    }

    fn changes(&mut self) -> Result<Delta, Error> {
        self.times.changes()
    }

    fn restore(&mut self, upserts: &Batch) -> Result<(), Error> {
        self.times.restore(upserts)?;
        self.expiries = self
            .times
            .iter()
            .map(|(key, time)| Reverse((time.saturating_add(self.within), key.clone())))
            .collect();
        Ok(())
    }
}

sluicebox_plugin::export!(Dedupe: Transform + Stateful);

#[cfg(test)]
mod tests;
