//! Packages of npm in `target/`.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::tools;

/// Makes sure that `dir` holds what the file `package`, a `package.json`, says.
pub fn ensure_packages(package: &Path, dir: &Path) -> Result<()> {
    tools::ensure("node", "--version", "nodejs")?;
    let wanted = fs::read(package).with_context(|| format!("cannot read {}", package.display()))?;
    let installed = dir.join("installed.json");
    if fs::read(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    tools::ensure("npm", "--version", "npm")?;
    println!("installing packages of npm in {}", dir.display());
    fs::create_dir_all(dir)?;
    fs::write(dir.join("package.json"), &wanted)?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-package-lock", "--no-fund", "--no-audit", "--silent"]).current_dir(dir);
    tools::run(&mut npm)?;
    // Written last: its presence says that everything is installed.
    Ok(fs::write(&installed, wanted)?)
}
