//! `cargo xtask bench`: the figures of BENCHMARKS.md.

use anyhow::Result;
use clap::Args;

use crate::{Workspace, demo, tools};

/// Measures: `decode`, from JSON to Arrow, and `step`, a plugin in its sandbox against the same code natively.
///
/// The first run compiles all dependencies once more, in the profile `bench`.
#[derive(Args)]
pub struct Options {
    /// Which of them to run [default: all]
    #[arg(value_parser = BENCHES)]
    benches: Vec<String>,
}

const BENCHES: [&str; 2] = ["decode", "step"];

pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    demo::build_plugins(workspace)?;
    let mut cargo = tools::cargo(workspace);
    cargo.args(["bench", "--workspace"]).env("SLUICEBOX_PLUGINS", workspace.plugins());
    let all = BENCHES.map(str::to_owned);
    let chosen = if options.benches.is_empty() { &all[..] } else { &options.benches };
    for bench in chosen {
        cargo.args(["--bench", bench]);
    }
    tools::run(&mut cargo)
}
