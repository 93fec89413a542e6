//! The tables that a pipeline writes.

use anyhow::{Context, Result};
use async_trait::async_trait;
use uuid::Uuid;

use super::stores::store_options;
use crate::config::{self, Loaded};
use crate::ledger::Ledger;
use crate::ledger::entry::Configuration;
use crate::pipeline::TaskPlan;
use crate::pipeline::blueprint::TableSpec;
use crate::pipeline::worker::{OpenSinks, WorkerError};
use crate::sink::SinkApplier;
use crate::sink::delta::{self, DeltaApplier, DeltaSettings, DeltaStorage, Mode, RowKey};
use crate::storage;

/// The dead letters first: the tree wants it so.
pub fn sinks_in_order(pipeline: &Loaded) -> impl Iterator<Item = &config::Sink> {
    let (dead_letters, others): (Vec<_>, Vec<_>) =
        pipeline.sinks.iter().partition(|sink| sink.kind == config::SinkKind::DeadLetters);
    dead_letters.into_iter().chain(others)
}

pub fn table(pipeline: &Loaded, sink: &str) -> TableSpec {
    match pipeline.pipeline.layers.get(sink) {
        Some(layer) => TableSpec {
            mode: mode(&layer.sink),
            partition_by: layer.sink.partition_by.clone(),
            file_size: layer.sink.file_size.as_usize(),
        },
        None => TableSpec { mode: Mode::Append, partition_by: Vec::new(), file_size: 128 << 20 },
    }
}

/// What names a row of the sink's table, if it is kept by key.
pub fn row_key_of(pipeline: &Loaded, sink: &str) -> Option<RowKey> {
    row_key(&pipeline.pipeline.layers.get(sink)?.sink)
}

pub fn row_key(sink: &config::DeltaSink) -> Option<RowKey> {
    let order_by = sink.order_by.clone().filter(|_| sink.mode == config::Mode::Upsert)?;
    Some(RowKey { columns: sink.key.clone(), order_by })
}

fn mode(sink: &config::DeltaSink) -> Mode {
    row_key(sink).map_or(Mode::Append, Mode::Upsert)
}

/// The ledger that the tables' marks name, if any of them has one.
pub async fn ledger_of_marks(pipeline: &Loaded, storages: &[DeltaStorage]) -> Result<Option<Uuid>> {
    for (sink, storage) in sinks_in_order(pipeline).zip(storages) {
        let named = delta::ledger_of_mark(storage, &pipeline.pipeline.id, &sink.name).await;
        if let Some(ledger) = named.with_context(|| sink.name.clone())? {
            return Ok(Some(ledger));
        }
    }
    Ok(None)
}

/// The tables of the sinks, in their order.
pub fn table_storages(pipeline: &Loaded) -> Result<Vec<DeltaStorage>> {
    let options = store_options(pipeline)?;
    sinks_in_order(pipeline)
        .map(|sink| {
            let location = sink.location.url();
            let root = storage::open_root(&location, &options).with_context(|| sink.name.clone())?;
            Ok(DeltaStorage::new(root, &location)?)
        })
        .collect()
}

/// Opens the Delta tables of a pipeline, or creates them.
pub struct DeltaTables {
    pub pipeline: String,
    pub ledger: Ledger,
    pub sinks: Vec<config::Sink>,
    /// For each sink.
    pub specs: Vec<TableSpec>,
    pub storages: Vec<DeltaStorage>,
    pub configuration: Configuration,
}

#[async_trait]
impl OpenSinks for DeltaTables {
    async fn open(&mut self, plan: &TaskPlan) -> Result<Vec<(String, Box<dyn SinkApplier>)>, WorkerError> {
        let state = self.ledger.state();
        let mut appliers: Vec<(String, Box<dyn SinkApplier>)> = Vec::new();
        let sinks = self.sinks.iter().zip(&self.specs).zip(&self.storages);
        for (((sink, spec), storage), layout) in sinks.zip(plan.layouts.iter()) {
            let known = state.sinks.get(&sink.name);
            let since = known.map_or(0, |sink| sink.since);
            let settings = DeltaSettings {
                mode: spec.mode.clone(),
                file_size: spec.file_size,
                configuration: self.configuration.digest.clone(),
                plugins: self.configuration.plugins.clone(),
                accept_version: sink.accept_version,
                record: known.and_then(|sink| sink.record.clone()),
                ..DeltaSettings::new(&self.pipeline, &sink.name, sink.location.url(), state.ledger, since)
            };
            let applier = DeltaApplier::open(settings, storage, &layout.partitioning)
                .await
                .map_err(|error| WorkerError::Sink { sink: sink.name.clone(), what: error.to_string() })?;
            appliers.push((sink.name.clone(), Box::new(applier)));
        }
        Ok(appliers)
    }
}
