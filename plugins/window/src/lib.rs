//! Aggregates over tumbling and sliding windows of event time; a window's rows come out once the watermark has
//! passed its end, ordered by window and group.
//!
//! A window that is closed at a row's own watermark does not take the row, whatever the batch: so the cut of the stream
//! changes nothing. If none of its windows is open, the row is rejected.

mod accumulator;
mod plan;

use std::collections::BTreeSet;

use sluicebox_plugin::{
    Aggregate, AggregatePlan, Batch, ColumnBuilder, Delta, Description, Emission, Error, Fields, Key,
    KeyReader, KeyShape, KeyedState, Rejections, Scalar, Schema, State, Stateful,
};

use accumulator::Accumulators;
pub use plan::Config;
use plan::Plan;

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
        let (plan, reads) = plan::plan(config, input)?;
        let windows = Windows {
            groups: KeyedState::new(plan.key_shape(), plan.aggregates.clone()),
            open: BTreeSet::new(),
        };
        let output = plan.output.clone();
        let rules = vec!["null_time".into(), "closed_window".into()];
        Ok((Window { plan, windows }, AggregatePlan { reads, output, rules }))
    }

    fn update(&mut self, batch: &Batch, watermark: Option<i64>) -> Result<Emission, Error> {
        let rejected = self.take(batch)?;
        let batch = match watermark {
            Some(watermark) => self.close(watermark)?,
            None => None,
        };
        Ok(Emission { rejected, batch })
    }
}

impl Window {
    /// Adds the rows to their windows.
    fn take(&mut self, batch: &Batch) -> Result<Rejections, Error> {
        let Plan { size, slide, .. } = self.plan;
        let groups = KeyReader::new(&self.plan.by, batch)?;
        let (times, time_valid) = (self.plan.time.ints(batch)?, self.plan.time.validity(batch));
        let (watermarks, watermark_valid) =
            (self.plan.watermark.ints(batch)?, self.plan.watermark.validity(batch));
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
            let values = self.plan.values(batch, row)?;
            let mut is_taken = false;
            let mut start = time.div_euclid(slide).saturating_mul(slide);
            while start > time.saturating_sub(size) {
                let is_open = watermark.is_none_or(|watermark| start.saturating_add(size) > watermark);
                if is_open {
                    key.clear();
                    Key::append_int(start, &mut key);
                    key.extend_from_slice(&group);
                    self.windows.add(&key, &self.plan, time, &values);
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

    /// Takes out the windows that end at or before the watermark, as rows of the output.
    fn close(&mut self, watermark: i64) -> Result<Option<Batch>, Error> {
        let mut builders: Vec<ColumnBuilder> =
            self.plan.output.iter().filter_map(|field| ColumnBuilder::new(&field.kind)).collect();
        let mut rows = 0;
        while let Some(key) = self.windows.open.first() {
            let mut columns = self.windows.groups.key_shape().decode(key)?;
            let Some(Scalar::Int(start)) = columns.first().cloned() else { break };
            let end = start.saturating_add(self.plan.size);
            if end > watermark {
                break;
            }
            columns.insert(1, Scalar::Int(end));
            if let Some(accumulators) = self.windows.remove_first() {
                columns.extend(accumulators.results());
            }
            for (builder, value) in builders.iter_mut().zip(&columns) {
                builder.push(value);
            }
            rows += 1;
        }
        let columns = || builders.into_iter().map(ColumnBuilder::finish).collect();
        Ok((rows > 0).then(|| Batch { rows, columns: columns() }))
    }
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
    fn add(&mut self, key: &[u8], plan: &Plan, time: i64, values: &[Scalar]) {
        if let Some(accumulators) = self.groups.get_mut(key) {
            accumulators.add(time, values);
            return;
        }
        let key = Key::from(key);
        let mut accumulators = Accumulators::new(&plan.aggregates);
        accumulators.add(time, values);
        self.open.insert(key.clone());
        self.groups.insert(key, accumulators);
    }

    fn remove_first(&mut self) -> Option<Accumulators> {
        let key = self.open.pop_first()?;
        self.groups.remove(&key)
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

impl Plan {
    fn key_shape(&self) -> KeyShape {
        // The output begins with the window's start and end and the group.
        let mut fields = self.output[..2 + self.by.len()].to_vec();
        fields.remove(1);
        KeyShape(fields)
    }
}

sluicebox_plugin::export!(Window: Aggregate);

#[cfg(test)]
mod tests;
