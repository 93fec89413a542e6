//! A registry for the tests: the CNCF's `distribution`, unpacked from Debian's package into `target/registry`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{Workspace, tools};

const PACKAGE: &str = "docker-registry";

/// Makes sure that the registry is there. Returns its program. Nothing is installed: it needs no root where the lists of
/// packages are there.
pub fn ensure_program(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.target.join("registry");
    let program = folder.join("usr/bin/docker-registry");
    if tools::works(Command::new(&program).arg("--version")) {
        return Ok(program);
    }
    println!("fetching Debian's {PACKAGE} into {}", folder.display());
    fetch(&folder).with_context(|| {
        format!(
            "there is no registry for the tests: name the program of CNCF distribution (`registry`, or Debian's \
             `{PACKAGE}`) in SLUICEBOX_REGISTRY"
        )
    })?;
    ensure!(tools::works(Command::new(&program).arg("--version")), "{} does not run", program.display());
    Ok(program)
}

fn fetch(folder: &std::path::Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let download = || {
        let mut command = Command::new("apt-get");
        command.args(["download", "-qq", PACKAGE]).current_dir(folder);
        command
    };
    if !tools::works(&mut download()) {
        tools::update_packages()?;
        tools::run(&mut download())?;
    }
    let is_package = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "deb");
    let package = fs::read_dir(folder)?.flatten().map(|file| file.path()).find(is_package);
    let package = package.context("apt-get left no package")?;
    tools::run(Command::new("dpkg-deb").arg("--extract").arg(&package).arg(folder))?;
    Ok(fs::remove_file(&package)?)
}
