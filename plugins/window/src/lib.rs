//! Aggregates over tumbling and sliding windows of event time. A window's rows come out once the watermark has passed its
//! end, ordered by window and group; or, with `emit: update`, whenever a row has changed it.
//!
//! A window that is closed at a row's own watermark does not take the row, whatever the batch: so the cut of the stream
//! changes nothing. If none of its windows is open, the row is rejected. An update, too, belongs to the row that made
//! it, and not to the batch: what comes out is one row for each row and window, numbered by `revision`.

mod plan;

use std::collections::BTreeSet;

use aggregation::{Accumulators, Aggregated, Emitted};
use sluicebox_plugin::{
    Aggregate, AggregatePlan, Batch, Delta, Description, Emission, Error, Fields, Key, KeyReader, KeyedState,
    Rejections, Scalar, Schema, State, Stateful,
};

pub use plan::Config;
use plan::{Emit, Plan};

const NULL_TIME: u16 = 0;
const CLOSED_WINDOW: u16 = 1;

pub struct Window {
    plan: Plan,
    windows: Windows,
}

impl Aggregate for Window {
    const DESCRIPTION: Description = Description {
        name: "window",
        version: env!("CARGO_PKG_VERSION"),
        summary: "Aggregates over tumbling and sliding windows of event time.",
    };
    type Config = Config;

    fn open(config: Config, input: &Schema) -> Result<(Window, AggregatePlan), Error> {
        let plan = Plan::new(config, input)?;
        let windows = Windows {
            groups: KeyedState::new(plan.key.clone(), plan.input.aggregates.clone()),
            open: BTreeSet::new(),
        };
        let rules = vec!["null_time".into(), "closed_window".into()];
        let stated = AggregatePlan { reads: plan.input.reads(), output: plan.output.clone(), rules };
        Ok((Window { plan, windows }, stated))
    }

    fn update(&mut self, batch: &Batch, watermark: Option<i64>) -> Result<Emission, Error> {
        let mut emitted = Emitted::new(&self.plan.output)?;
        let rejected = self.take(batch, &mut emitted)?;
        if let Some(watermark) = watermark {
            self.close(watermark, &mut emitted)?;
        }
        Ok(Emission { rejected, batch: emitted.into_batch() })
    }
}

impl Window {
    /// Adds the rows to their windows.
    fn take(&mut self, batch: &Batch, emitted: &mut Emitted) -> Result<Rejections, Error> {
        let Plan { size, slide, ref input, .. } = self.plan;
        let groups = KeyReader::new(&input.by, batch)?;
        let (times, time_valid) = (input.time.ints(batch)?, input.time.validity(batch));
        let (watermarks, watermark_valid) = (input.watermark.ints(batch)?, input.watermark.validity(batch));
        let mut rejected = Rejections::default();
        let (mut group, mut key) = (Vec::new(), Vec::new());
        for row in 0..batch.rows as usize {
            if !time_valid.is_valid(row) {
                rejected.push(row, NULL_TIME, "the row has no event time");
                continue;
            }
            let time = times[row];
            let watermark = watermark_valid.is_valid(row).then(|| watermarks[row]);
            group.clear();
            groups.append(row, &mut group);
            let values = input.values(batch, row)?;
            let mut is_taken = false;
            let mut start = time.div_euclid(slide).saturating_mul(slide);
            while start > time.saturating_sub(size) {
                let is_open = watermark.is_none_or(|watermark| start.saturating_add(size) > watermark);
                if is_open {
                    key.clear();
                    Key::append_int(start, &mut key);
                    key.extend_from_slice(&group);
                    self.windows.add(&key, &input.aggregates, time, &values);
                    if self.plan.emit == Emit::Update
                        && let Some(window) = self.windows.groups.get(key.as_slice())
                    {
                        emit(&self.plan, &Key::from(key.as_slice()), window, emitted)?;
                    }
                    is_taken = true;
                }
                let Some(earlier) = start.checked_sub(slide) else { break };
                start = earlier;
            }
            if !is_taken {
                rejected.push(row, CLOSED_WINDOW, "the watermark had passed the end of the row's windows");
            }
        }
        Ok(rejected)
    }

    /// Takes out the windows that end at or before the watermark.
    fn close(&mut self, watermark: i64, emitted: &mut Emitted) -> Result<(), Error> {
        while let Some(key) = self.windows.open.first() {
            if start_of(key)?.saturating_add(self.plan.size) > watermark {
                break;
            }
            if let Some((key, accumulators)) = self.windows.remove_first()
                && self.plan.emit == Emit::Close
            {
                emit(&self.plan, &key, &accumulators, emitted)?;
            }
        }
        Ok(())
    }
}

fn emit(plan: &Plan, key: &Key, window: &Accumulators, emitted: &mut Emitted) -> Result<(), Error> {
    let mut first = plan.key.decode(key)?;
    first.insert(1, Scalar::Int(start_of(key)?.saturating_add(plan.size)));
    emitted.push(first, window.results())
}

fn start_of(key: &Key) -> Result<i64, Error> {
    key.first_int().ok_or_else(|| Error::Data("a stored window has no start".into()))
}

impl Stateful for Window {
    fn state(&mut self) -> &mut dyn State {
        &mut self.windows
    }
}

/// The groups of the windows that are open. A key is the window's start and the group, so keys sort by windows.
struct Windows {
    groups: KeyedState<Key, Accumulators>,
    open: BTreeSet<Key>,
}

impl Windows {
    /// Adds a row to a window's group, which is new if it is the first.
    fn add(&mut self, key: &[u8], aggregates: &[Aggregated], time: i64, values: &[Scalar]) {
        if let Some(accumulators) = self.groups.get_mut(key) {
            accumulators.add(time, values);
            return;
        }
        let key = Key::from(key);
        let mut accumulators = Accumulators::new(aggregates);
        accumulators.add(time, values);
        self.open.insert(key.clone());
        self.groups.insert(key, accumulators);
    }

    fn remove_first(&mut self) -> Option<(Key, Accumulators)> {
        let key = self.open.pop_first()?;
        let accumulators = self.groups.remove(&key)?;
        Some((key, accumulators))
    }
}

impl State for Windows {
    fn layout(&self) -> Fields {
        self.groups.layout()
    }

    fn changes(&mut self) -> Result<Delta, Error> {
        self.groups.changes()
    }

    fn restore(&mut self, upserts: &Batch) -> Result<(), Error> {
        self.groups.restore(upserts)?;
        self.open = self.groups.iter().map(|(key, _)| key.clone()).collect();
        Ok(())
    }
}

sluicebox_plugin::export!(Window: Aggregate);

#[cfg(test)]
mod tests;
