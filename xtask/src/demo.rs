//! `cargo xtask demo`: builds everything, then runs the example `iot-sensors` for a while.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use clap::Args;

use crate::{Workspace, components, tools};

/// Runs a pipeline before your eyes: sensor events through an embedded Kafka into bronze, silver and gold tables.
///
/// Nothing needs to be installed or running. The first run builds the host and the plugins, which takes
/// some minutes; after that the demo takes about half a minute and ends by itself.
#[derive(Args)]
pub struct Options {
    /// For how long events are produced [default: 20]
    #[arg(long)]
    seconds: Option<u32>,

    /// Events per second [default: 20000]
    #[arg(long)]
    rate: Option<u32>,

    /// Where the tables go: a new or empty folder [default: a new one under target/demo]
    #[arg(long)]
    dir: Option<PathBuf>,
}

pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    build(workspace)?;
    let mut demo = Command::new(workspace.binaries().join("iot-sensors-demo"));
    demo.env("SLUICEBOX_PLUGINS", workspace.plugins());
    if let Some(seconds) = options.seconds {
        demo.args(["--seconds", &seconds.to_string()]);
    }
    if let Some(rate) = options.rate {
        demo.args(["--rate", &rate.to_string()]);
    }
    if let Some(dir) = &options.dir {
        demo.arg("--dir").arg(dir);
    }
    tools::run(&mut demo)
}

/// Builds the host, the demo and the plugins.
pub fn build(workspace: &Workspace) -> Result<()> {
    ensure_build_tools()?;
    build_plugins(workspace)?;
    // The whole workspace, always: a part of it would unify features otherwise and build dependencies twice.
    tools::run(tools::cargo(workspace).args(["build", "--workspace"]))
}

/// What the dependencies in C are built with.
pub fn ensure_build_tools() -> Result<()> {
    tools::ensure("cc", "--version", "build-essential")?;
    tools::ensure("make", "--version", "build-essential")?;
    tools::ensure("perl", "-v", "perl")
}

/// Builds the standard plugins as components, where the host's binary looks for them.
pub fn build_plugins(workspace: &Workspace) -> Result<()> {
    let plugins = components::standard_plugins(&workspace.root)?;
    let folders: Vec<_> = plugins.iter().map(|name| workspace.root.join("plugins").join(name)).collect();
    components::build(&folders, &workspace.plugins())
}
