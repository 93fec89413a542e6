//! What the worker tells of itself.

use super::{Worker, now_ms};
use crate::ledger::entry::{Entry, Epoch};
use crate::pipeline::backlog::Backlog;

impl Worker {
    pub(super) fn report_entry(&self, entry: &Entry, epoch: &Epoch) {
        for task in &epoch.tasks {
            self.metrics.record(&task.accounting);
        }
        for (sink, part) in &epoch.sinks {
            self.metrics.sink_rows(sink, part.files.iter().map(|file| file.rows).sum());
        }
        self.metrics.ledger_entry(entry.number);
        self.metrics.epoch_rows(epoch.tasks.iter().map(|task| task.accounting.records).sum());
        if epoch.tasks.iter().any(|task| task.accounting.records > 0) {
            self.health.batch_processed(now_ms());
        }
    }

    pub(super) fn report(&self) {
        let state = self.writer.ledger.state();
        for (partition, end) in self.intake.end_offsets() {
            if let Some(task) = state.tasks.get(&partition) {
                self.metrics.lag(&partition, end.saturating_sub(task.position).max(0));
            }
        }
        let own = state.tasks.iter().filter(|(partition, _)| self.tasks.owned.contains_key(partition));
        if let Some(watermark) = own.filter_map(|(_, task)| task.watermark).min() {
            self.metrics.watermark(watermark);
        }
        if let Some(appliers) = &self.appliers {
            for (sink, progress) in appliers.progress() {
                self.metrics.sink_applied(sink, progress.effective);
            }
            for (sink, Backlog { entries, bytes, age }) in appliers.backlogs() {
                self.metrics.sink_backlog(sink, entries, bytes, age);
            }
        }
        self.metrics.paused(self.intake.is_paused());
        self.health.set_kafka_connected(self.intake.connected());
        self.health.set_streaming_active(!self.tasks.owned.is_empty());
    }
}
