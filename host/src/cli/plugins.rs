//! Finding and loading the plugins that a pipeline names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use tokio::runtime::Handle;

use crate::config::{Loaded, PluginSource, Step};
use crate::plugin::{CompileLimits, Compiler, Engine, EngineSettings, MAX_COMPONENT, Plugin};
use crate::registry::{DockerConfig, Reference, Registries, RegistrySettings};

/// Where bundled plugins lie: `SLUICEBOX_PLUGINS`, or `plugins` beside the program.
fn bundle() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("SLUICEBOX_PLUGINS").filter(|folder| !folder.is_empty()) {
        return Ok(folder.into());
    }
    let program = std::env::current_exe().context("cannot tell where the program lies")?;
    Ok(program.with_file_name("plugins"))
}

/// Where compiled code is kept from one start to the next, and what was pulled from registries.
fn cache_home() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))?;
    Some(base.join("sluicebox"))
}

pub fn engine() -> Result<Engine> {
    let program = std::env::current_exe().context("cannot tell where the program lies")?;
    let compiler = Compiler::Child { program, limits: CompileLimits::default() };
    Ok(Engine::new(&EngineSettings { cache: cache_home(), compiler, ..EngineSettings::default() })?)
}

/// The registries, as the environment says to reach them.
pub fn registries() -> Registries {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let plain = set("SLUICEBOX_PLAIN_HTTP_REGISTRIES").unwrap_or_default();
    Registries::new(RegistrySettings {
        cache: cache_home().map(|home| home.join("registry")),
        offline: set("SLUICEBOX_OFFLINE").is_some_and(|value| value != "0" && value != "false"),
        plain: plain.split(',').map(|registry| registry.trim().to_owned()).collect(),
        docker: DockerConfig::of_environment(),
        largest: MAX_COMPONENT,
    })
}

/// Where the component lies that the step names, if it is a file of this machine.
pub fn path(pipeline: &Loaded, step: &Step) -> Option<PathBuf> {
    match pipeline.plugin_source(step) {
        PluginSource::File(path) => Some(path),
        PluginSource::Bundled(name) => bundled(&name).ok(),
        PluginSource::Registry(_) => None,
    }
}

/// Loads a plugin that a person names: a bundled one, a path that ends in `.wasm`, relative to `folder`, or one in a
/// registry.
pub fn load_named(engine: &Engine, plugin: &str, folder: &Path) -> Result<Arc<Plugin>> {
    if Reference::is_meant(plugin) {
        let reference = plugin.parse()?;
        // The tools for plugins are not asynchronous: nothing else waits in their process.
        let pulled = tokio::task::block_in_place(|| Handle::current().block_on(pull(&reference)))?;
        return Ok(engine.load_bytes(Path::new(plugin), &pulled, None)?);
    }
    let path = if plugin.ends_with(".wasm") { folder.join(plugin) } else { bundled(plugin)? };
    Ok(engine.load(&path, None)?)
}

/// What the reference names now.
async fn pull(reference: &Reference) -> Result<Bytes> {
    let registries = registries();
    let resolved = registries.resolve(reference).await?;
    Ok(registries.component(reference, &resolved.component).await?)
}

pub fn bundled(name: &str) -> Result<PathBuf> {
    let bundle = bundle()?;
    let path = bundle.join(format!("{name}.wasm"));
    if !path.is_file() {
        bail!(
            "there is no bundled plugin `{name}` in {} (bundled: {}). Name one of these, or give the path of a component, \
             ending in .wasm",
            bundle.display(),
            bundled_names(&bundle)
        );
    }
    Ok(path)
}

fn bundled_names(bundle: &Path) -> String {
    let mut names: Vec<String> = std::fs::read_dir(bundle)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|file| Some(file.file_name().to_str()?.strip_suffix(".wasm")?.to_owned()))
        .collect();
    names.sort();
    if names.is_empty() { "none; set SLUICEBOX_PLUGINS".to_owned() } else { names.join(", ") }
}
