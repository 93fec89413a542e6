//! Plugins that change under a running pipeline, and what its ledger says of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::pipeline::Pipeline;

const PATIENCE: Duration = Duration::from_secs(60);

/// A bundled plugin.
pub fn component(plugin: &str) -> Result<Vec<u8>> {
    let bundle = std::env::var_os("SLUICEBOX_PLUGINS").context("no SLUICEBOX_PLUGINS")?;
    Ok(fs::read(Path::new(&bundle).join(format!("{plugin}.wasm")))?)
}

/// The same component with another digest: as after a build that changed nothing that shows.
pub fn another_build(component: &[u8], build: u8) -> Vec<u8> {
    let custom_section = [&[0, 7, 5][..], b"build", &[build]].concat();
    [component, &custom_section].concat()
}

/// The digests of the plugins of each configuration that was put in force after the first.
pub fn swaps(pipeline: &Pipeline) -> Result<Vec<BTreeSet<String>>> {
    let mut swaps = Vec::new();
    for entry in pipeline.entries()? {
        if entry["body"]["kind"] == "configure" {
            let plugins = entry["body"]["configuration"]["plugins"].as_array().context("no plugins")?;
            swaps.push(plugins.iter().map(|plugin| plugin["digest"].to_string()).collect());
        }
    }
    Ok(swaps)
}

/// Waits until so many configurations were put in force after the first.
pub fn wait_for_swaps(pipeline: &Pipeline, count: usize) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while swaps(pipeline)?.len() < count {
        ensure!(Instant::now() < deadline, "{} swaps of {count}", swaps(pipeline)?.len());
        // Files tell nobody on their own.
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
