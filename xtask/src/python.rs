//! Python environments in `target/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::tools;

/// Makes sure that the environment in `dir` holds what the file `requirements` says. Returns its interpreter.
pub fn ensure_environment(requirements: &Path, dir: &Path) -> Result<PathBuf> {
    let wanted = fs::read(requirements).with_context(|| format!("cannot read {}", requirements.display()))?;
    let (interpreter, installed) = (dir.join("bin/python"), dir.join("requirements.txt"));
    if fs::read(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(interpreter);
    }

    tools::ensure("python3", "--version", "python3")?;
    let create = || {
        let mut command = Command::new("python3");
        command.args(["-m", "venv", "--clear"]).arg(dir);
        command
    };
    println!("making a Python environment in {}", dir.display());
    // Debian's python3 comes without what makes environments.
    if !tools::works(&mut create()) {
        tools::install("python3-venv")?;
        tools::run(&mut create())?;
    }
    let mut pip = Command::new(&interpreter);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(requirements);
    tools::run(&mut pip)?;
    // Written last: its presence says that everything is installed.
    fs::write(&installed, wanted)?;
    Ok(interpreter)
}
