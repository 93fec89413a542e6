//! Closing epochs and entering them.

use std::sync::Arc;

use super::{FailureLimits, Worker, WorkerError, now_ms};
use crate::crash;
use crate::ledger::entry::{Body, Entry};
use crate::pipeline::epoch::EpochCut;
use crate::pipeline::summary::Summary;
use crate::schema::RecordSchema;

impl Worker {
    /// Cuts the open epoch, and enters it while the next one fills. At most one is being entered at a time.
    pub(super) async fn close_epoch(&mut self) -> Result<(), WorkerError> {
        if self.in_flight.is_some() {
            return Ok(());
        }
        let cut = self.cut(None).await?;
        if !cut.is_empty() {
            let writer = self.writer.clone();
            self.in_flight = Some(tokio::spawn(async move { writer.enter(cut).await }));
        }
        Ok(())
    }

    /// Cuts the open epoch and waits until it is entered, or lost and recovered.
    pub(super) async fn close_and_enter(
        &mut self,
        proposes: Option<RecordSchema>,
    ) -> Result<(), WorkerError> {
        self.settle().await?;
        let cut = self.cut(proposes).await?;
        if cut.is_empty() {
            return Ok(());
        }
        let entered = self.writer.enter(cut).await;
        self.on_entered(entered).await
    }

    /// The records ask for another schema: the epoch closes before them, and its entry proposes it. A worker
    /// that loses the race decodes under the winner's schema, and asks again if that is not enough.
    pub(super) async fn change_schema(&mut self, schema: RecordSchema) -> Result<(), WorkerError> {
        self.settle().await?;
        let known = self.writer.ledger.refresh().await?;
        if known.schema_version == self.epoch.schema_version {
            self.close_and_enter(Some(schema)).await?;
        }
        self.recover().await
    }

    async fn cut(&mut self, proposes_schema: Option<RecordSchema>) -> Result<EpochCut, WorkerError> {
        self.epoch.number += 1;
        let lanes = self.crew.cut(self.epoch.number).await?;
        let opened_at_ms = std::mem::replace(&mut self.epoch.opened_at_ms, now_ms());
        let seen = self.appliers.iter().flat_map(|appliers| appliers.progress());
        let seen = seen
            .map(|(sink, progress)| (sink.to_owned(), progress.record))
            .filter(|(sink, record)| self.epoch.seen.get(sink) != Some(record))
            .collect();
        Ok(EpochCut {
            epoch: self.epoch.number,
            opened_at_ms,
            schema_version: self.epoch.schema_version,
            proposes_schema,
            lanes,
            builds_on: self.tasks.owned.clone(),
            seen,
        })
    }

    /// The epoch happened: remember where its tasks stand, and tell those who follow.
    pub(super) fn note_entry(&mut self, entry: &Arc<Entry>) -> Result<(), WorkerError> {
        let Body::Epoch(epoch) = &entry.body else { return Ok(()) };
        let mut positions = Vec::with_capacity(epoch.tasks.len());
        for task in &epoch.tasks {
            positions.push((task.partition.clone(), task.range.to));
            if let Some(builds_on) = self.tasks.owned.get_mut(&task.partition) {
                *builds_on = entry.number;
            }
        }
        self.report_entry(entry, epoch);
        self.tasks.recoveries = 0;
        self.epoch.seen.extend(epoch.seen.clone());
        self.summary.add(epoch);
        if let Some(appliers) = &self.appliers {
            appliers.wake();
        }
        crash::point("before_offset_commit");
        self.intake.commit(positions);
        crash::point("after_offset_commit");
        refuse_broken_plugins(&self.summary, self.settings.failures)
    }
}

fn refuse_broken_plugins(summary: &Summary, limits: FailureLimits) -> Result<(), WorkerError> {
    for (layer, counts) in &summary.accounting.layers {
        for (index, step) in counts.steps.iter().enumerate() {
            if step.rows_in >= limits.min_rows && step.failed as f64 > limits.max_share * step.rows_in as f64
            {
                return Err(WorkerError::TooManyFailures {
                    layer: layer.clone(),
                    step: format!("#{}", index + 1),
                    failed: step.failed,
                    rows: step.rows_in,
                });
            }
        }
    }
    Ok(())
}
