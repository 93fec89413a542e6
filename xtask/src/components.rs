//! The components of this workspace.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use sluicebox_componentize::{Package, Toolchain, component, write_if_changed};

const PROFILE: &str = "plugin";

/// The names of the standard plugins, sorted: each folder under `plugins/` that states a configuration is a package of
/// that name. The others are libraries.
pub fn standard_plugins(root: &Path) -> Result<Vec<String>> {
    let folder = root.join("plugins");
    let mut names = packages_in(&folder)?;
    names.retain(|name| folder.join(name).join("config.schema.json").is_file());
    Ok(names)
}

/// The names of the packages in a folder, sorted; each has a folder of its name.
pub fn packages_in(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let entry = entry?;
        if entry.path().join("Cargo.toml").is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Builds the packages in these folders to components, `out/PACKAGE.wasm`. Installs what the machine lacks for that. A
/// component that is already up to date is not written again.
pub fn build<F: AsRef<Path>>(folders: &[F], out: &Path) -> Result<()> {
    let toolchain = Toolchain::find_or_install()?;
    for folder in folders {
        let package = Package::find(folder.as_ref())?;
        let path = out.join(format!("{}.wasm", package.name));
        write_if_changed(&path, &component(&toolchain, &package, PROFILE)?)?;
    }
    Ok(())
}
