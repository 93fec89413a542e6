//! Closing epochs and entering them.

use std::sync::Arc;

use arrow::datatypes::DataType;

use tracing::{info, warn};

use super::{Worker, WorkerError, now_ms};
use crate::crash;
use crate::ledger::entry::{Body, Entry};
use crate::pipeline::epoch::EpochCut;
use crate::pipeline::lane::{LaneError, TaskPlan};
use crate::pipeline::references::versions;
use crate::pipeline::share_limit;
use crate::pipeline::suspect::Suspect;
use crate::schema::{RecordSchema, type_name};

impl Worker {
    /// Cuts the open epoch, and enters it while the next one fills. At most one is being entered at a time.
    pub(super) async fn close_epoch(&mut self) -> Result<(), WorkerError> {
        if self.in_flight.is_some() {
            return Ok(());
        }
        let Some(cut) = self.cut_or_recover(None).await? else { return Ok(()) };
        if !cut.is_empty() {
            let writer = self.writer.clone();
            self.in_flight = Some(tokio::spawn(async move { writer.enter(cut).await }));
        }
        Ok(())
    }

    /// Cuts the open epoch and waits until it is entered, or lost and its tasks recovered.
    pub(super) async fn close_and_enter(
        &mut self,
        proposes: Option<RecordSchema>,
    ) -> Result<(), WorkerError> {
        self.settle().await?;
        let Some(cut) = self.cut_or_recover(proposes).await?.filter(|cut| !cut.is_empty()) else {
            return Ok(());
        };
        let entered = self.writer.enter(cut).await;
        self.on_entered(entered).await
    }

    /// The records ask for another schema: the epoch closes before them, and its entry proposes it. A worker
    /// that loses the race decodes under the winner's schema, and asks again if that is not enough.
    pub(super) async fn change_schema(&mut self, asked: RecordSchema) -> Result<(), WorkerError> {
        self.settle().await?;
        let known = self.writer.ledger.refresh().await?;
        if known.schema_version == self.epoch.schema_version {
            let current = known.schema.as_ref().or(self.blueprint.declared.as_ref());
            // Two lanes may ask at once: neither knows what the other asks for.
            let next = match current {
                Some(current) => current.merge(&asked).unwrap_or_else(|_| current.clone()),
                None => asked,
            };
            if current == Some(&next) {
                // Asked before the lanes were last reset; who still needs it asks again.
                return Ok(());
            }
            self.refuse_what_tables_cannot_hold(&self.blueprint.plan(&next)?)?;
            self.close_and_enter(Some(next)).await?;
        }
        self.recover().await
    }

    /// Tables take new columns and fields; a column that gets another type they do not.
    pub(super) fn refuse_what_tables_cannot_hold(&self, next: &TaskPlan) -> Result<(), WorkerError> {
        for layout in next.layouts.iter() {
            let Some(before) = self.writer.layouts.iter().find(|before| before.name == layout.name) else {
                continue;
            };
            for column in before.table.columns() {
                let now = layout.table.columns().iter().find(|now| now.name == column.name);
                if let Some(now) = now.filter(|now| !grows_into(&column.data_type, &now.data_type)) {
                    return Err(WorkerError::Widening {
                        sink: layout.name.clone(),
                        column: column.name.clone(),
                        from: type_name(&column.data_type),
                        to: type_name(&now.data_type),
                    });
                }
            }
        }
        Ok(())
    }

    /// Nothing, if a stateful step broke: the epoch is lost then, and its tasks start again with a suspect.
    async fn cut_or_recover(
        &mut self,
        proposes_schema: Option<RecordSchema>,
    ) -> Result<Option<EpochCut>, WorkerError> {
        self.epoch.number += 1;
        self.epoch.full = false;
        let references = versions(&self.blueprint.tree);
        let (fresh, switch) = self.references.take_ready().unzip();
        let tree = switch.as_ref().map(|switch| switch.tree.clone());
        let lanes = match self.crew.cut(self.epoch.number, switch).await {
            Ok(lanes) => lanes,
            // It was tried for some of the tasks only: it may still fail in another one.
            Err(error) if error.is_refused_table() => {
                fresh.into_iter().for_each(|fresh| self.refuse_table(&fresh, &error));
                return self.restart().await.map(|()| None);
            }
            Err(error) => {
                fresh.into_iter().for_each(|fresh| self.references.put_back(fresh));
                return self.suspect(error).await.map(|()| None);
            }
        };
        if let Some((fresh, tree)) = fresh.zip(tree) {
            self.note_switch(&fresh, tree)?;
        }
        let cuts = lanes.iter().flat_map(|lane| &lane.tasks);
        let outgrown = cuts.filter(|task| task.is_outgrown).map(|task| task.partition.clone());
        self.tasks.outgrown.extend(outgrown);
        let opened_at_ms = std::mem::replace(&mut self.epoch.opened_at_ms, now_ms());
        let seen = self.appliers.iter().flat_map(|appliers| appliers.progress());
        let seen = seen
            .map(|(sink, progress)| (sink.to_owned(), progress.record))
            .filter(|(sink, record)| self.epoch.seen.get(sink) != Some(record))
            .collect();
        Ok(Some(EpochCut {
            epoch: self.epoch.number,
            opened_at_ms,
            schema_version: self.epoch.schema_version,
            proposes_schema,
            lanes,
            builds_on: self.tasks.owned.clone(),
            seen,
            references,
        }))
    }

    /// Goes on from the ledger, with a closer look at the records among which one broke a stateful step.
    async fn suspect(&mut self, error: LaneError) -> Result<(), WorkerError> {
        let LaneError::Task(failed) = &error else { return Err(error.into()) };
        let Some(next) = Suspect::after(self.tasks.suspects.get(&failed.partition), failed) else {
            let is_broken = failed.is_broken_step();
            return Err(if is_broken { WorkerError::NoCulprit(Box::new(error)) } else { error.into() });
        };
        if next.is_found() {
            warn!(%error, "stepping over the record that breaks the step");
        } else {
            info!(%error, "looking for the record that breaks the step");
        }
        self.tasks.suspects.insert(failed.partition.clone(), next);
        self.restart().await
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
            let suspect = self.tasks.suspects.remove(&task.partition);
            if let Some(suspect) = suspect.and_then(|suspect| suspect.passed(task.range.to)) {
                self.tasks.suspects.insert(task.partition.clone(), suspect);
            }
        }
        self.report_entry(entry, epoch);
        self.tasks.recoveries = 0;
        self.epoch.seen.extend(epoch.seen.clone());
        self.summary.add(epoch);
        for task in &epoch.tasks {
            self.under_configuration.add(&task.accounting);
        }
        if let Some(appliers) = &self.appliers {
            appliers.wake();
        }
        crash::point("before_offset_commit");
        self.intake.commit(positions);
        crash::point("after_offset_commit");
        share_limit::check(&self.under_configuration, self.settings.failures, &self.blueprint.tree)
    }
}

/// Whether a table with a column of the one type can take rows of the other: the same, but for more fields.
fn grows_into(from: &DataType, to: &DataType) -> bool {
    match (from, to) {
        (DataType::Struct(from), DataType::Struct(to)) => from.iter().all(|field| {
            to.find(field.name()).is_some_and(|(_, to)| grows_into(field.data_type(), to.data_type()))
        }),
        (DataType::List(from), DataType::List(to)) => grows_into(from.data_type(), to.data_type()),
        (from, to) => from == to,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::parse_type;

    #[test]
    fn fields_may_be_added_at_any_depth_and_types_may_not_change() {
        let grows = |from, to| grows_into(&parse_type(from).unwrap(), &parse_type(to).unwrap());
        assert!(grows("struct<a: int64>", "struct<a: int64, b: utf8>"));
        assert!(grows("list<struct<a: int64>>", "list<struct<a: int64, b: utf8>>"));
        assert!(!grows("int32", "int64"));
        assert!(!grows("struct<a: int64, b: utf8>", "struct<a: int64>"));
    }
}
