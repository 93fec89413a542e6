//! From a loaded pipeline file to the parts that a worker is made of.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use super::components::{Component, Components};
use super::settings::{decode_settings, event_time_plan, limits};
use super::sinks::{PipelineSinks, SinkStorage, message_settings, row_key, sinks_in_order, table_spec};
use super::stores::store_options;
use super::{grants, references};
use crate::capture::{Captures, KeeperSettings};
use crate::config::{self, Loaded};
use crate::ledger::Ledger;
use crate::ledger::entry::{Configuration, PluginReference};
use crate::pipeline::blueprint::Blueprint;
use crate::pipeline::capturing::Capturing;
use crate::pipeline::deployment::Deployment;
use crate::pipeline::keyed_rows::KeyedRows;
use crate::pipeline::references::{StepPlace, StepReference, read_all};
use crate::pipeline::shadow::{SampleFile, ShadowSpec};
use crate::pipeline::share_limit::ShareLimit;
use crate::pipeline::tree::{LayerSpec, LayerTree, StepSpec};
use crate::plugin::{Engine, OnError, Plugin, PluginKind};
use crate::schema::{Column, RecordSchema, parse_type};
use crate::storage;

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
            messages: layer.sink.kafka.as_ref().map(message_settings),
        });
    }
    let tables = sinks_in_order(pipeline).map(|sink| table_spec(pipeline, sink)).collect();
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
    storages: &[SinkStorage],
) -> Deployment {
    let Assembled { blueprint, configuration, references, .. } = assembled;
    let open_sinks = PipelineSinks {
        pipeline: pipeline.pipeline.id.clone(),
        ledger: ledger.clone(),
        sinks: sinks_in_order(pipeline).cloned().collect(),
        specs: blueprint.tables.clone(),
        storages: storages.to_vec(),
        configuration: configuration.clone(),
    };
    let tables = storages.iter().map(SinkStorage::folder).collect();
    Deployment { configuration, blueprint, tables, open_sinks: Box::new(open_sinks), references }
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
