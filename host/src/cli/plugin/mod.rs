//! `sluicebox plugin`: the tools of those who write plugins.

mod arguments;
mod bench;
mod boundary;
mod build;
mod capture_facts;
mod cases;
mod comparison;
mod config_keys;
mod cut_verdict;
mod expectation;
mod grant_arguments;
mod imports;
mod input_file;
mod inspect;
mod json_rows;
mod lock;
mod new;
mod push;
mod records;
mod reference_rows;
mod replay;
mod rollback;
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
    /// Pushes a component to a registry, as a Wasm OCI artifact.
    Push(push::Arguments),
    /// Writes down what the tags of a pipeline file stand for, in the lock file beside it.
    ///
    /// Tags that are locked stay as they are unless they are to be updated; those that the file does not name any more go.
    Lock(lock::Arguments),
    /// Goes back to the plugins of an earlier configuration, or lists them, or lets go of what was rolled back.
    ///
    /// The steps are held back in the lock file, which a running worker takes up by itself with `watch: true`, else on
    /// SIGHUP.
    Rollback(rollback::Arguments),
}

impl PluginCommand {
    pub async fn run(self) -> Result<ExitCode> {
        match self {
            Self::Inspect(arguments) => inspect::run(&arguments),
            Self::Test(arguments) => test::run(&arguments),
            Self::Run(arguments) => run::run(&arguments),
            Self::Bench(arguments) => bench::run(&arguments),
            Self::New(arguments) => new::run(&arguments),
            Self::Build(arguments) => build::run(&arguments),
            Self::Push(arguments) => push::run(&arguments).await,
            Self::Lock(arguments) => lock::run(&arguments).await,
            Self::Rollback(arguments) => rollback::run(&arguments).await,
        }
    }
}
