//! The components of a pipeline's steps: from files, from the bundle, from registries, and from the state location where a
//! step is held back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use tracing::warn;

use super::{plugins, stores};
use crate::clock::{Clock, SystemClock};
use crate::config::{Hold, Loaded, Lock, PluginSource, Step, StepName};
use crate::pipeline::kept_plugins::KeptPlugins;
use crate::plugin::read_component;
use crate::registry::{Digest, Reference};

/// A component that was read.
#[derive(Debug, Clone)]
pub struct Component {
    /// What messages call it: a path or a reference.
    pub origin: PathBuf,
    pub bytes: Bytes,
    /// What its SHA-256 must be, where that is said.
    pub expected_sha256: Option<String>,
}

/// Of a pipeline.
#[derive(Debug, Default)]
pub struct Components {
    pub steps: BTreeMap<StepName, Component>,
    /// Pipelines run without shadows that cannot be read.
    pub shadows: BTreeMap<StepName, Result<Component>>,
}

/// Reads the components of all steps and of their shadows.
pub async fn gather(pipeline: &Loaded) -> Result<Components> {
    let mut components = Components::default();
    for (layer, step) in pipeline.steps() {
        let component = component_of(pipeline, layer, step).await;
        let component = component.with_context(|| format!("layers.{layer}.steps.{}", step.name))?;
        let name = (layer.to_owned(), step.name.clone());
        if let Some(shadow) = step.as_shadow() {
            components.shadows.insert(name.clone(), named(pipeline, &shadow).await);
        }
        components.steps.insert(name, component);
    }
    Ok(components)
}

async fn component_of(pipeline: &Loaded, layer: &str, step: &Step) -> Result<Component> {
    match pipeline.lock.hold(layer, step) {
        Some(hold) => held(pipeline, hold).await,
        None => named(pipeline, step).await,
    }
}

/// The component that the pipeline file names, whether the step is held back or not.
async fn named(pipeline: &Loaded, step: &Step) -> Result<Component> {
    let expected_sha256 = step.sha256.clone();
    let origin = match pipeline.plugin_source(step) {
        PluginSource::File(path) => path,
        PluginSource::Bundled(name) => plugins::bundled(&name)?,
        PluginSource::Registry(reference) => {
            let bytes = pulled(pipeline, step, &reference).await?;
            return Ok(Component { origin: PathBuf::from(&step.plugin), bytes, expected_sha256 });
        }
    };
    Ok(Component { bytes: read(&origin).await?, origin, expected_sha256 })
}

/// The SHA-256 of the component that the pipeline file names, as far as that can be told on this machine: no registry is
/// asked.
pub async fn named_digest(pipeline: &Loaded, step: &Step) -> Option<Digest> {
    match pipeline.plugin_source(step) {
        PluginSource::Registry(reference) if reference.digest.is_some() => {
            plugins::registries().known(&reference)
        }
        PluginSource::Registry(_) => Digest::from_hex(&pipeline.lock.plugins.get(&step.plugin)?.sha256),
        PluginSource::File(_) | PluginSource::Bundled(_) => {
            Some(Digest::of(&named(pipeline, step).await.ok()?.bytes))
        }
    }
}

async fn pulled(pipeline: &Loaded, step: &Step, reference: &Reference) -> Result<Bytes> {
    let registries = plugins::registries();
    let locked = pipeline.lock.plugins.get(&step.plugin);
    let component = match (&reference.digest, locked) {
        // It says itself what it is.
        (Some(_), _) => registries.resolve(reference).await?.component,
        (None, Some(locked)) => Digest::from_hex(&locked.sha256).context("the lock file holds no SHA-256")?,
        (None, None) => bail!(
            "`{reference}` is a tag, which can move, and {} does not say what it stands for: run `sluicebox plugin lock \
             -f {}`, or name the component by its digest (`…@sha256:…`)",
            Lock::path(&pipeline.file).display(),
            pipeline.file.display()
        ),
    };
    Ok(registries.component(reference, &component).await?)
}

async fn held(pipeline: &Loaded, hold: &Hold) -> Result<Component> {
    let sha256 = Digest::from_hex(&hold.sha256).context("the lock file holds no SHA-256")?;
    let bytes = kept_plugins(pipeline)?.get(sha256.hex()).await?.with_context(|| {
        format!(
            "the step is held back to the component {}, which is not kept in {} any more: release it (`sluicebox plugin \
             rollback --release -f {}`)",
            hold.sha256,
            pipeline.state,
            pipeline.file.display()
        )
    })?;
    if Digest::of(&bytes).hex() != hold.sha256 {
        bail!(
            "the step is held back to the component {}, and what is kept of it in {} is damaged: restore it from a copy, \
             or release the step (`sluicebox plugin rollback --release -f {}`)",
            hold.sha256,
            pipeline.state,
            pipeline.file.display()
        );
    }
    let origin = PathBuf::from(format!("plugins/{}.wasm in {}", hold.sha256, pipeline.state));
    Ok(Component { origin, bytes, expected_sha256: Some(hold.sha256.clone()) })
}

async fn read(path: &Path) -> Result<Bytes> {
    let path = path.to_owned();
    Ok(tokio::task::spawn_blocking(move || read_component(&path)).await??.into())
}

/// The components that were put in force, in the state location.
pub fn kept_plugins(pipeline: &Loaded) -> Result<KeptPlugins> {
    Ok(KeptPlugins::new(stores::state_store(pipeline)?))
}

/// Keeps the components, before a configuration with them is put in force.
pub async fn keep(pipeline: &Loaded, components: &Components) -> Result<()> {
    let kept = kept_plugins(pipeline)?;
    for component in components.steps.values() {
        let sha256 = Digest::of(&component.bytes);
        kept.keep(sha256.hex(), &component.bytes, SystemClock.now_ms()).await.context("state")?;
    }
    Ok(())
}

/// The holds that count.
pub fn holds(pipeline: &Loaded) -> impl Iterator<Item = &Hold> {
    pipeline.steps().filter_map(|(layer, step)| pipeline.lock.hold(layer, step))
}

/// What is said of those that do not count: their step is gone, or names another plugin.
pub fn idle_holds(pipeline: &Loaded) -> Vec<String> {
    let idle = pipeline.lock.holds.iter().filter(|hold| !holds(pipeline).any(|counts| counts == *hold));
    let said = idle.map(|hold| {
        format!(
            "{} holds back {}.{}, but there is no such step with `plugin: {}` any more: what the pipeline file says runs",
            Lock::path(&pipeline.file).display(),
            hold.layer,
            hold.step,
            hold.plugin
        )
    });
    said.collect()
}

/// Who reads the log of a worker is to know that it does not run what its file names.
pub fn warn_of_holds(pipeline: &Loaded) {
    for hold in holds(pipeline) {
        warn!(
            layer = hold.layer,
            step = hold.step,
            sha256 = hold.sha256,
            "held back by {}: it does not run the `plugin` of the pipeline file (`sluicebox plugin rollback --release`)",
            Lock::path(&pipeline.file).display()
        );
    }
    idle_holds(pipeline).iter().for_each(|said| warn!("{said}"));
}
