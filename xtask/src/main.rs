//! Set-up, demo and tests: `cargo xtask --help`.

mod components;

use std::path::Path;

use anyhow::{Context, Result};
use clap::Parser;

/// The packages under tests/hostile.
const HOSTILE_PLUGINS: [&str; 2] = ["hostile-aggregate", "hostile-transform"];

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    /// Builds the standard plugins, and the hostile ones of the tests, as components into target/plugins.
    Components,
}

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in no workspace")?;
    match Task::parse() {
        Task::Components => build_components(root),
    }
}

fn build_components(root: &Path) -> Result<()> {
    let plugins = components::standard_plugins(root)?;
    let plugins: Vec<&str> = plugins.iter().map(String::as_str).chain(HOSTILE_PLUGINS).collect();
    components::build(root, &plugins, &root.join("target").join("plugins"))
}
