//! `sluicebox plugin build`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use sluicebox_componentize::{Package, Toolchain, component, encode, write_if_changed};

use super::inspect::import_lines;
use super::{plugins, print};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The folder of the plugin's `Cargo.toml`; or a core module, ending in `.wasm`, that a compiler of another language has
    /// made, with its world in a custom section as wit-bindgen adds it.
    #[arg(value_name = "FOLDER", default_value = ".")]
    source: PathBuf,
    /// Cargo's profile.
    #[arg(long, default_value = "release")]
    profile: String,
    /// Where the component is written [default: target/NAME.wasm in the folder]. A core module's has no default.
    #[arg(long, value_name = "FILE.wasm")]
    out: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let (component, out) = match arguments.source.extension().is_some_and(|extension| extension == "wasm") {
        true => of_module(&arguments.source, arguments.out.clone())?,
        false => of_crate(arguments)?,
    };
    write_if_changed(&out, &component)?;
    let plugin = plugins::engine()?.load(&out, None)?;
    print(&format!("{}: {} {}, {} bytes", out.display(), plugin.name(), plugin.version(), plugin.size()));
    print("imports");
    import_lines(&plugin).iter().for_each(|line| print(line));
    Ok(ExitCode::SUCCESS)
}

fn of_crate(arguments: &Arguments) -> Result<(Vec<u8>, PathBuf)> {
    let package = Package::find(&arguments.source)?;
    let toolchain = Toolchain::find_or_install()?;
    let component = component(&toolchain, &package, &arguments.profile)?;
    let default = || arguments.source.join("target").join(format!("{}.wasm", package.name));
    Ok((component, arguments.out.clone().unwrap_or_else(default)))
}

fn of_module(core: &Path, out: Option<PathBuf>) -> Result<(Vec<u8>, PathBuf)> {
    let out = out.context("say with `--out` where the component of a core module goes")?;
    let component = encode(core).with_context(|| format!("cannot make a component of {}", core.display()))?;
    Ok((component, out))
}
