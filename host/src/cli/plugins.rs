//! Finding and loading the plugins that a pipeline names.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use crate::config::{Loaded, PluginSource, Step};
use crate::plugin::{CompileLimits, Compiler, Engine, EngineSettings, Plugin};

/// Where bundled plugins lie: `SLUICEBOX_PLUGINS`, or `plugins` beside the program.
fn bundle() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("SLUICEBOX_PLUGINS") {
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
    let place = || format!("layers.{layer}.steps.{}", step.name);
    let path = match pipeline.plugin_source(step) {
        PluginSource::File(path) => path,
        PluginSource::Bundled(name) => {
            let bundle = bundle()?;
            let path = bundle.join(format!("{name}.wasm"));
            if !path.is_file() {
                bail!(
                    "{}: there is no bundled plugin `{name}` in {} (bundled: {}). Name one of these, or give the path \
                     of a component, ending in .wasm",
                    place(),
                    bundle.display(),
                    bundled_names(&bundle)
                );
            }
            path
        }
    };
    engine.load(&path, step.sha256.as_deref()).with_context(place)
}

fn bundled_names(bundle: &std::path::Path) -> String {
    let mut names: Vec<String> = std::fs::read_dir(bundle)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|file| Some(file.file_name().to_str()?.strip_suffix(".wasm")?.to_owned()))
        .collect();
    names.sort();
    if names.is_empty() { "none; set SLUICEBOX_PLUGINS".to_owned() } else { names.join(", ") }
}
