//! From a loaded pipeline file to the parts that a worker is made of.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use object_store::ObjectStore;
use uuid::Uuid;

use super::components::{Component, Components};
use super::{grants, references};
use crate::capture::{Captures, KeeperSettings};
use crate::clock::SystemClock;
use crate::config::{self, ByteSize, Loaded, Location};
use crate::decode::event_time::EventTimeSettings;
use crate::decode::{DecodeSettings, Policy};
use crate::ledger::bucket::BucketEntries;
use crate::ledger::entry::{Configuration, PluginReference};
use crate::ledger::local::LocalEntries;
use crate::ledger::store::EntryStore;
use crate::ledger::{Ledger, LedgerSettings, Opening};
use crate::pipeline::EpochLimits;
use crate::pipeline::TaskPlan;
use crate::pipeline::backlog::BacklogLimits;
use crate::pipeline::blueprint::{Blueprint, TableSpec};
use crate::pipeline::capturing::Capturing;
use crate::pipeline::deployment::Deployment;
use crate::pipeline::event_clock::EventTimePlan;
use crate::pipeline::keyed_rows::KeyedRows;
use crate::pipeline::references::{StepPlace, StepReference, read_all};
use crate::pipeline::shadow::{SampleFile, ShadowSpec};
use crate::pipeline::share_limit::ShareLimit;
use crate::pipeline::tree::{LayerSpec, LayerTree, StepSpec};
use crate::pipeline::worker::{OpenSinks, WorkerError, WorkerSettings};
use crate::plugin::{Engine, Limits, OnError, Plugin, PluginKind};
use crate::schema::{Column, RecordSchema, parse_type};
use crate::sink::SinkApplier;
use crate::sink::delta::{self, DeltaApplier, DeltaSettings, DeltaStorage, Mode, RowKey};
use crate::source::StartPosition;
use crate::source::kafka::{BatchLimits, KafkaSettings};
use crate::storage::{self, StoreOptions};

/// What the pipeline file comes to once its plugins are loaded.
pub struct Assembled {
    /// Its tree has no reference tables yet.
    pub blueprint: Blueprint,
    pub configuration: Configuration,
    /// Why shadows are not there. Pipelines run without them.
    pub shadow_faults: Vec<String>,
    pub references: Vec<StepReference>,
}

impl Assembled {
    /// Reads the tables in which steps look rows up.
    pub async fn read_references(&mut self) -> Result<()> {
        let tree = read_all(&mut self.references, &self.blueprint.tree).await?;
        self.blueprint.tree = Arc::new(tree);
        Ok(())
    }

    pub fn log_shadow_faults(&self) {
        for fault in &self.shadow_faults {
            tracing::error!("the shadow is not tried: {fault}");
        }
    }

    /// What the shadows are, which the digest of the configuration does not tell.
    pub fn shadow_digests(&self) -> Vec<String> {
        self.blueprint.tree.shadows().map(|shadow| shadow.plugin().digest().to_owned()).collect()
    }
}

/// Calls on which a step fails go to `captures`.
pub fn assemble(
    pipeline: &Loaded,
    components: &Components,
    engine: &Engine,
    captures: Option<&Captures>,
) -> Result<Assembled> {
    let file = &pipeline.pipeline;
    let sinks: Vec<String> = sinks_in_order(pipeline).map(|sink| sink.name.clone()).collect();
    let sink_index: HashMap<&str, usize> =
        sinks.iter().enumerate().map(|(index, name)| (name.as_str(), index)).collect();
    let mut layers: Vec<LayerSpec> = Vec::new();
    let mut shadow_faults = Vec::new();
    let mut plugin_references = Vec::new();
    let mut step_references = Vec::new();
    for name in &pipeline.layers_parents_first {
        let layer = &file.layers[name];
        let mut steps = Vec::with_capacity(layer.steps.len());
        for step in &layer.steps {
            let step_name = (name.clone(), step.name.clone());
            let component = components.steps.get(&step_name).context("it was not gathered");
            let plugin = component.and_then(|component| load(engine, component));
            let plugin = plugin.with_context(|| format!("layers.{name}.steps.{}", step.name))?;
            let granted = grants::of_step(pipeline, step)
                .with_context(|| format!("layers.{name}.steps.{}.grants", step.name))?;
            plugin_references.push(PluginReference {
                layer: name.clone(),
                step: step.name.clone(),
                name: plugin.name().to_string(),
                version: plugin.version().to_owned(),
                digest: plugin.digest().to_owned(),
                not_deterministic: grants::not_deterministic(&granted),
            });
            let shadow = components.shadows.get(&step_name).map(|component| {
                let loaded = component.as_ref().map_err(|fault| anyhow::anyhow!("{fault:#}"));
                let loaded = loaded.and_then(|component| load(engine, component));
                loaded.and_then(|shadow| shadow_spec(pipeline, name, step, shadow, plugin.kind()))
            });
            let shadow = shadow.transpose();
            let shadow = shadow.unwrap_or_else(|fault| {
                shadow_faults.push(format!("layers.{name}.steps.{}.shadow: {fault:#}", step.name));
                None
            });
            let place = StepPlace { layer: layers.len(), step: steps.len() };
            let table = references::of_step(pipeline, step, &plugin, place);
            step_references
                .extend(table.with_context(|| format!("layers.{name}.steps.{}.reference", step.name))?);
            steps.push(StepSpec {
                name: step.name.clone(),
                shadow: shadow.map(Arc::new),
                plugin,
                reference: None,
                config: step.config.0.clone(),
                limits: limits(&step.limits),
                grants: Arc::new(granted),
                rejections: ShareLimit {
                    max_share: step.limits.rejections.max_share,
                    min_rows: step.limits.rejections.min_rows,
                },
                on_error: match step.on_error {
                    config::OnError::DeadLetter | config::OnError::Quarantine => OnError::SetAside,
                    config::OnError::Stop => OnError::Stop,
                },
                quarantines_failed_rows: step.on_error == config::OnError::Quarantine,
            });
        }
        layers.push(LayerSpec {
            parent: layer.from.as_ref().and_then(|from| layers.iter().position(|layer| layer.name == *from)),
            name: name.clone(),
            steps,
            positions: layer.positions,
            quarantine_late_rows: layer.late == config::Late::Quarantine,
            sink: sink_index[name.as_str()],
            quarantine: sink_index.get(config::quarantine_name(name).as_str()).copied(),
            keyed: row_key(&layer.sink).map(|key| KeyedRows {
                key: key.columns,
                order_by: key.order_by,
                partition_by: layer.sink.partition_by.clone(),
            }),
        });
    }
    let tables = sinks.iter().map(|name| table(pipeline, name)).collect();
    let digests = plugin_references
        .iter()
        .map(|plugin| ((plugin.layer.clone(), plugin.step.clone()), plugin.digest.clone()))
        .collect();
    let configuration = Configuration {
        digest: config::digest(file, &digests),
        layers: pipeline.parents(),
        sinks: sinks.clone(),
        plugins: plugin_references,
    };
    let blueprint = Blueprint {
        tree: Arc::new(LayerTree { layers, sinks, capturing: capturing(pipeline, captures)? }),
        tables,
        decode: decode_settings(&file.decode),
        event_time: file.event_time.as_ref().map(|event_time| Arc::new(event_time_plan(event_time))),
        declared: file.decode.schema.as_ref().map(declared).transpose()?,
    };
    Ok(Assembled { blueprint, configuration, shadow_faults, references: step_references })
}

fn shadow_spec(
    pipeline: &Loaded,
    layer: &str,
    step: &config::Step,
    plugin: Arc<Plugin>,
    kind: PluginKind,
) -> Result<ShadowSpec> {
    let as_step = step.as_shadow().context("the step has no shadow")?;
    if plugin.kind() != kind {
        bail!(
            "{} and the step's plugin are not of one kind: either both aggregate, or neither",
            plugin.name()
        );
    }
    if step.reference.is_some() {
        bail!("a step that looks rows up in a `reference` table cannot have a shadow");
    }
    let samples = step.shadow.as_ref().and_then(|shadow| shadow.samples.as_ref());
    let samples = samples.map(|samples| {
        SampleFile::new(pipeline.directory.join(&samples.file), samples.each, samples.bytes.as_bytes())
    });
    let limits = limits(&as_step.limits);
    Ok(ShadowSpec::new(layer, &step.name, plugin, as_step.config.0, limits, samples))
}

/// Where the pipeline's captures go, if it wants any. Must be called within tokio's runtime.
pub fn captures(pipeline: &Loaded) -> Result<Option<Captures>> {
    let wanted = pipeline.captures.as_ref().zip(pipeline.pipeline.capture.as_ref());
    let Some((location, capture)) = wanted else { return Ok(None) };
    let folder = storage::open_folder(&location.url(), &store_options(pipeline)?).context("capture")?;
    let (max_files, max_bytes) = (capture.max_files as usize, capture.max_bytes.as_bytes());
    Ok(Some(Captures::start(KeeperSettings { folder, max_files, max_bytes })))
}

fn capturing(pipeline: &Loaded, captures: Option<&Captures>) -> Result<Option<Capturing>> {
    let Some(captures) = captures else { return Ok(None) };
    let configs = pipeline.written_configs.iter();
    let configs = configs.map(|(step, config)| Ok((step.clone(), serde_json::to_value(config)?)));
    Ok(Some(Capturing {
        captures: captures.clone(),
        pipeline: pipeline.pipeline.id.clone(),
        configs: Arc::new(configs.collect::<Result<_>>()?),
    }))
}

fn load(engine: &Engine, component: &Component) -> Result<Arc<Plugin>> {
    let expected = component.expected_sha256.as_deref();
    Ok(engine.load_bytes(&component.origin, &component.bytes, expected)?)
}

/// What a worker of the pipeline runs.
pub fn deployment(
    pipeline: &Loaded,
    assembled: Assembled,
    ledger: &Ledger,
    storages: &[DeltaStorage],
) -> Deployment {
    let Assembled { blueprint, configuration, references, .. } = assembled;
    let open_sinks = DeltaTables {
        pipeline: pipeline.pipeline.id.clone(),
        ledger: ledger.clone(),
        sinks: sinks_in_order(pipeline).cloned().collect(),
        specs: blueprint.tables.clone(),
        storages: storages.to_vec(),
        configuration: configuration.clone(),
    };
    let tables = storages.iter().map(DeltaStorage::table_store).collect();
    Deployment { configuration, blueprint, tables, open_sinks: Box::new(open_sinks), references }
}

/// The dead letters first: the tree wants it so.
pub fn sinks_in_order(pipeline: &Loaded) -> impl Iterator<Item = &config::Sink> {
    let (dead_letters, others): (Vec<_>, Vec<_>) =
        pipeline.sinks.iter().partition(|sink| sink.kind == config::SinkKind::DeadLetters);
    dead_letters.into_iter().chain(others)
}

fn table(pipeline: &Loaded, sink: &str) -> TableSpec {
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

fn row_key(sink: &config::DeltaSink) -> Option<RowKey> {
    let order_by = sink.order_by.clone().filter(|_| sink.mode == config::Mode::Upsert)?;
    Some(RowKey { columns: sink.key.clone(), order_by })
}

fn mode(sink: &config::DeltaSink) -> Mode {
    row_key(sink).map_or(Mode::Append, Mode::Upsert)
}

pub fn limits(limits: &config::StepLimits) -> Limits {
    let memory = limits.memory.as_usize();
    Limits {
        memory,
        recycle_memory: limits.recycle_memory.map_or(memory / 4 * 3, ByteSize::as_usize),
        cpu: limits.time.into(),
        wait: limits.wait.into(),
        output_bytes: limits.output.as_usize(),
        output_rows: limits.output_rows as usize,
        reason_bytes: limits.rejections.reason.as_usize(),
        log_bytes: limits.log_bytes.as_usize(),
        log_lines: limits.log_lines as usize,
        ..Limits::default()
    }
}

pub fn decode_settings(decode: &config::Decode) -> DecodeSettings {
    DecodeSettings {
        policy: match decode.policy {
            config::Policy::Merge => Policy::Merge,
            config::Policy::Rescue => Policy::Rescue,
            config::Policy::Strict => Policy::Strict,
        },
        max_columns: decode.max_columns as usize,
        max_depth: decode.max_depth as usize,
        max_record_bytes: decode.max_record_bytes.as_usize(),
    }
}

fn event_time_plan(event_time: &config::EventTime) -> EventTimePlan {
    EventTimePlan {
        path: event_time.column.split('.').map(str::to_owned).collect(),
        settings: EventTimeSettings {
            delay: event_time.delay.as_microseconds(),
            max_ahead: Some(event_time.max_ahead.as_microseconds()),
        },
        idle: event_time.idle.map(Duration::from),
    }
}

fn declared(columns: &indexmap::IndexMap<String, String>) -> Result<RecordSchema> {
    let columns = columns
        .iter()
        .map(|(name, of)| {
            let data_type = parse_type(of).with_context(|| format!("decode.schema.{name}"))?;
            Ok(Column { name: name.clone(), data_type })
        })
        .collect::<Result<Vec<_>>>()?;
    let schema = RecordSchema::new(columns).context("decode.schema")?;
    schema.check_not_reserved().context("decode.schema")?;
    Ok(schema)
}

/// How the pipeline's buckets are reached.
pub fn store_options(pipeline: &Loaded) -> Result<StoreOptions> {
    let given = pipeline.pipeline.storage.iter();
    let given = given.map(|(name, value)| (name.clone(), value.expose().to_owned()));
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    StoreOptions::new(given, environment).context("storage")
}

/// The state location.
pub fn state_store(pipeline: &Loaded) -> Result<Arc<dyn ObjectStore>> {
    storage::open_folder(&pipeline.state.url(), &store_options(pipeline)?).context("state")
}

/// Where the ledger's objects are.
pub fn entry_store(pipeline: &Loaded) -> Result<Arc<dyn EntryStore>> {
    const FOLDER: &str = "ledger";
    Ok(match &pipeline.state {
        Location::Local(path) => Arc::new(LocalEntries::new(path.join(FOLDER))),
        Location::Bucket(_) => Arc::new(BucketEntries::new(state_store(pipeline)?, FOLDER.into())),
    })
}

/// Opens the ledger, or begins it.
pub async fn open_ledger(
    pipeline: &Loaded,
    configuration: &Configuration,
    incarnation: Uuid,
    known: Option<Uuid>,
) -> Result<Ledger> {
    let opening = Opening {
        pipeline: pipeline.pipeline.id.clone(),
        configuration: configuration.clone(),
        incarnation,
        new_id: Uuid::new_v4(),
        known,
    };
    Ok(Ledger::open(entry_store(pipeline)?, Arc::new(SystemClock), LedgerSettings::default(), opening)
        .await?)
}

pub fn kafka_settings(pipeline: &config::Pipeline) -> KafkaSettings {
    let kafka = &pipeline.source.kafka;
    let batch = &pipeline.source.batch;
    KafkaSettings {
        brokers: kafka.brokers.clone(),
        topics: kafka.topics.clone(),
        group_id: format!("sluicebox-{}", pipeline.id),
        start: match kafka.start {
            config::Start::Earliest => StartPosition::Earliest,
            config::Start::Latest => StartPosition::Latest,
            config::Start::Timestamp(time) => StartPosition::Timestamp(time.as_milliseconds()),
        },
        skip_lost_offsets: kafka.on_lost_offsets == config::OnLostOffsets::Skip,
        overrides: kafka
            .settings
            .iter()
            .map(|(name, value)| (name.clone(), value.expose().to_owned()))
            .collect::<BTreeMap<_, _>>(),
        batch: BatchLimits {
            rows: batch.rows as usize,
            bytes: batch.bytes.as_usize(),
            time: batch.time.into(),
        },
        prefetch_bytes: pipeline.memory.in_flight.as_usize(),
    }
}

pub fn worker_settings(pipeline: &config::Pipeline, until_caught_up: bool) -> WorkerSettings {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    WorkerSettings {
        source: kafka_settings(pipeline),
        threads: pipeline.threads.map_or(cores, |threads| threads as usize),
        in_flight_bytes: pipeline.memory.in_flight.as_usize(),
        epoch_interval: pipeline.epoch.interval.into(),
        epoch_limits: EpochLimits { rows: pipeline.epoch.rows, bytes: pipeline.epoch.bytes.as_usize() },
        until_caught_up,
        backlog: BacklogLimits {
            entries: pipeline.backlog.entries,
            bytes: pipeline.backlog.bytes.as_bytes(),
            age: pipeline.backlog.age.into(),
            stop_after: pipeline.backlog.stop_after.into(),
        },
        failures: ShareLimit { max_share: pipeline.failures.max_share, min_rows: pipeline.failures.min_rows },
    }
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
struct DeltaTables {
    pipeline: String,
    ledger: Ledger,
    sinks: Vec<config::Sink>,
    /// For each sink.
    specs: Vec<TableSpec>,
    storages: Vec<DeltaStorage>,
    configuration: Configuration,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pipeline_file_and_the_sandbox_have_the_same_defaults() {
        assert_eq!(limits(&config::StepLimits::default()), Limits::default());
    }
}
