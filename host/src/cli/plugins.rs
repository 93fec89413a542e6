//! Finding and loading the plugins that a pipeline names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use crate::config::{Loaded, PluginSource, Step};
use crate::plugin::{CompileLimits, Compiler, Engine, EngineSettings, Plugin};

/// Where bundled plugins lie: `SLUICEBOX_PLUGINS`, or `plugins` beside the program.
fn bundle() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("SLUICEBOX_PLUGINS").filter(|folder| !folder.is_empty()) {
        return Ok(folder.into());
    }
    let program = std::env::current_exe().context("cannot tell where the program lies")?;
    Ok(program.with_file_name("plugins"))
}

/// Where compiled code is kept from one start to the next.
fn code_cache() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))?;
    Some(base.join("sluicebox"))
}

pub fn engine() -> Result<Engine> {
    let program = std::env::current_exe().context("cannot tell where the program lies")?;
    let compiler = Compiler::Child { program, limits: CompileLimits::default() };
    Ok(Engine::new(&EngineSettings { cache: code_cache(), compiler, ..EngineSettings::default() })?)
}

pub fn load(engine: &Engine, pipeline: &Loaded, layer: &str, step: &Step) -> Result<Arc<Plugin>> {
    let loaded = path(pipeline, step).and_then(|path| Ok(engine.load(&path, step.sha256.as_deref())?));
    loaded.with_context(|| format!("layers.{layer}.steps.{}", step.name))
}

/// Where the step's component lies.
pub fn path(pipeline: &Loaded, step: &Step) -> Result<PathBuf> {
    match pipeline.plugin_source(step) {
        PluginSource::File(path) => Ok(path),
        PluginSource::Bundled(name) => bundled(&name),
    }
}

/// Loads a plugin that a person names: a bundled one, or a path that ends in `.wasm`, relative to `folder`.
pub fn load_named(engine: &Engine, plugin: &str, folder: &Path) -> Result<Arc<Plugin>> {
    let path = if plugin.ends_with(".wasm") { folder.join(plugin) } else { bundled(plugin)? };
    Ok(engine.load(&path, None)?)
}

/// The JSON Schema of the configuration of a plugin as in [`load_named`].
pub fn config_schema(plugin: &str) -> Result<serde_json::Value> {
    Ok(load_named(&engine()?, plugin, Path::new(""))?.config_schema().clone())
}

fn bundled(name: &str) -> Result<PathBuf> {
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
