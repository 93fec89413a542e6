//! Aggregates over sessions: the rows of a group with less than `gap` of event time between one and the next. A session
//! comes out once the watermark has passed the time of its last row by `gap`; a row that fills the gap between two
//! sessions makes one of them.
//!
//! Before a row is taken in, the sessions that are over at its own watermark come out. So what a row joins depends on the
//! rows before it alone, and what comes out is in the order in which sessions end, whatever the batches.

mod plan;
mod sessions;

use aggregation::Emitted;
use sluicebox_plugin::{
    Aggregate, AggregatePlan, Batch, Description, Emission, Error, KeyReader, Rejections, Scalar, Schema,
    State, Stateful,
};

pub use plan::Config;
use plan::Plan;
use sessions::Sessions;

const NULL_TIME: u16 = 0;
const CLOSED_SESSION: u16 = 1;

pub struct SessionWindow {
    plan: Plan,
    sessions: Sessions,
}

impl Aggregate for SessionWindow {
    const DESCRIPTION: Description = Description {
        name: "session",
        version: env!("CARGO_PKG_VERSION"),
        summary: "Aggregates over sessions, which end with a gap in event time.",
    };
    type Config = Config;

    fn open(config: Config, input: &Schema) -> Result<(SessionWindow, AggregatePlan), Error> {
        let plan = Plan::new(config, input)?;
        let sessions = Sessions::new(plan.key.clone(), plan.input.aggregates.clone(), plan.gap);
        let rules = vec!["null_time".into(), "closed_session".into()];
        let stated = AggregatePlan { reads: plan.input.reads(), output: plan.output.clone(), rules };
        Ok((SessionWindow { plan, sessions }, stated))
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

impl SessionWindow {
    /// Adds the rows to sessions.
    fn take(&mut self, batch: &Batch, emitted: &mut Emitted) -> Result<Rejections, Error> {
        let input = &self.plan.input;
        let groups = KeyReader::new(&input.by, batch)?;
        let (times, time_valid) = (input.time.ints(batch)?, input.time.validity(batch));
        let (watermarks, watermark_valid) = (input.watermark.ints(batch)?, input.watermark.validity(batch));
        let mut rejected = Rejections::default();
        let mut group = Vec::new();
        for row in 0..batch.rows as usize {
            let watermark = watermark_valid.is_valid(row).then(|| watermarks[row]);
            if let Some(watermark) = watermark {
                self.close(watermark, emitted)?;
            }
            if !time_valid.is_valid(row) {
                rejected.push(row, NULL_TIME, "the row has no event time");
                continue;
            }
            let time = times[row];
            if watermark.is_some_and(|watermark| time.saturating_add(self.plan.gap) <= watermark) {
                rejected.push(row, CLOSED_SESSION, "the watermark had passed the end of the row's session");
                continue;
            }
            group.clear();
            groups.append(row, &mut group);
            let values = self.plan.input.values(batch, row)?;
            self.sessions.add(&group, time, &values)?;
        }
        Ok(rejected)
    }

    /// Takes out the sessions that no row at or after the watermark can join.
    fn close(&mut self, watermark: i64, emitted: &mut Emitted) -> Result<(), Error> {
        while let Some((key, session)) = self.sessions.remove_first_over(watermark) {
            let mut group = self.plan.key.decode(&key)?;
            let start = group.pop().unwrap_or(Scalar::Null);
            let edges = [start, Scalar::Int(session.last)];
            emitted.push(edges.into_iter().chain(group), session.accumulators.results())?;
        }
        Ok(())
    }
}

impl Stateful for SessionWindow {
    fn state(&mut self) -> &mut dyn State {
        &mut self.sessions
    }
}

sluicebox_plugin::export!(SessionWindow: Aggregate);

#[cfg(test)]
mod tests;
