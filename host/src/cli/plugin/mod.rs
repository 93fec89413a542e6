//! `sluicebox plugin`: the tools of those who write plugins.

mod arguments;
mod bench;
mod boundary;
mod build;
mod cases;
mod comparison;
mod config_keys;
mod cut_verdict;
mod expectation;
mod imports;
mod input_file;
mod inspect;
mod json_rows;
mod new;
mod records;
mod run;
mod side_by_side;
mod stream;
mod templates;
mod test;
mod text_table;
mod trial;
mod turns;
mod verdict;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

use super::{plugins, print};

#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// Shows what a plugin is, how it is configured, and what it asks of the host.
    Inspect(inspect::Arguments),
    /// Runs the cases of a file: rows in, and what must become of them.
    ///
    /// Each case is run in its own batches, row by row and all at once; a plugin with state also with its state
    /// restored between batches. What comes out must be the same. Exit codes: 0 all cases passed, 1 one did not, 2 the
    /// file is malformed.
    Test(test::Arguments),
    /// Sends rows of a file through a plugin, and shows each before and after.
    Run(run::Arguments),
    /// Measures a plugin: rows per second, and nanoseconds per row, split into the boundary and the plugin.
    ///
    /// The boundary is what the bundled plugin `echo`, which does nothing, takes for the same columns. Sides take turns,
    /// the plugin itself twice in each.
    Bench(bench::Arguments),
    /// Writes a project that builds, and passes its own tests.
    New(new::Arguments),
    /// Makes a component of a crate: installs the target if need be, compiles, strips, and reports size and imports.
    Build(build::Arguments),
}

impl PluginCommand {
    pub fn run(self) -> Result<ExitCode> {
        match self {
            Self::Inspect(arguments) => inspect::run(&arguments),
            Self::Test(arguments) => test::run(&arguments),
            Self::Run(arguments) => run::run(&arguments),
            Self::Bench(arguments) => bench::run(&arguments),
            Self::New(arguments) => new::run(&arguments),
            Self::Build(arguments) => build::run(&arguments),
        }
    }
}
