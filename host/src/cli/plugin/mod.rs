//! `sluicebox plugin`: the tools of those who write plugins.

mod capability;
mod config_keys;
mod inspect;
mod text_table;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

use super::{plugins, print};

#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// Shows what a plugin is, how it is configured, and what it asks of the host.
    Inspect(inspect::Arguments),
}

impl PluginCommand {
    pub fn run(self) -> Result<ExitCode> {
        match self {
            Self::Inspect(arguments) => inspect::run(&arguments),
        }
    }
}
