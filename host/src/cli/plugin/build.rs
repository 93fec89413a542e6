//! `sluicebox plugin build`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use sluicebox_componentize::{Package, Toolchain, component, write_if_changed};

use super::inspect::import_lines;
use super::{plugins, print};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The folder of the plugin's `Cargo.toml`.
    #[arg(value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,
    /// Cargo's profile.
    #[arg(long, default_value = "release")]
    profile: String,
    /// Where the component is written [default: target/NAME.wasm in the folder].
    #[arg(long, value_name = "FILE.wasm")]
    out: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let package = Package::find(&arguments.folder)?;
    let toolchain = Toolchain::find_or_install()?;
    let component = component(&toolchain, &package, &arguments.profile)?;
    let default = || arguments.folder.join("target").join(format!("{}.wasm", package.name));
    let out = arguments.out.clone().unwrap_or_else(default);
    write_if_changed(&out, &component)?;
    let plugin = plugins::engine()?.load(&out, None)?;
    print(&format!("{}: {} {}, {} bytes", out.display(), plugin.name(), plugin.version(), plugin.size()));
    print("imports");
    import_lines(&plugin).iter().for_each(|line| print(line));
    Ok(ExitCode::SUCCESS)
}
