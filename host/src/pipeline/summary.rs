//! What a worker did, for the last line that it prints.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::ledger::entry::Epoch;
use crate::progress::Accounting;

#[derive(Debug, Clone, Default)]
pub struct Summary {
    pub accounting: Accounting,
    pub sink_rows: BTreeMap<String, u64>,
    pub epochs: u64,
    /// What came of each shadow.
    pub shadows: Vec<String>,
    pub elapsed: Duration,
    /// The worker was to catch up, and was stopped before.
    pub fell_short: bool,
}

impl Summary {
    pub fn add(&mut self, epoch: &Epoch) {
        self.epochs += 1;
        for task in &epoch.tasks {
            self.accounting.add(&task.accounting);
        }
        for (sink, entry) in &epoch.sinks {
            *self.sink_rows.entry(sink.clone()).or_default() +=
                entry.files.iter().map(|file| file.rows).sum::<u64>();
        }
    }

    fn over_steps(&self, count: impl Fn(&crate::progress::StepCounts) -> u64) -> u64 {
        self.accounting.layers.values().flat_map(|layer| &layer.steps).map(count).sum()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.fell_short { "stopped before it had caught up" } else { "done" };
        write!(f, "{how}: {} records", self.accounting.records)?;
        for (sink, rows) in &self.sink_rows {
            write!(f, ", {sink} {rows} rows")?;
        }
        write!(
            f,
            ", {} dropped, {} rejected, {} undecodable, {} failed, {} late, {} offsets lost, in {:.1} s",
            self.over_steps(|step| step.dropped),
            self.over_steps(crate::progress::StepCounts::rejected_total),
            self.accounting.dead_letters,
            self.over_steps(|step| step.failed),
            self.over_steps(|step| step.late),
            self.accounting.lost,
            self.elapsed.as_secs_f64()
        )
    }
}
