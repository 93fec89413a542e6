//! The program itself, as a user calls it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};

/// `sluicebox` with these arguments, in the folder `within`.
pub fn sluicebox(within: &Path, arguments: &[&str]) -> Result<Said> {
    sluicebox_with(within, arguments, &[])
}

/// [`sluicebox`] with these variables in its environment.
pub fn sluicebox_with(within: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Result<Said> {
    let mut command = Command::new(binaries()?.join("sluicebox"));
    command.args(arguments).current_dir(within).envs(variables.iter().copied());
    let output = command.output().with_context(|| format!("sluicebox {}", arguments.join(" ")))?;
    Ok(Said::of(&output))
}

/// The folder of the binaries that belong to this test.
pub fn binaries() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    Ok(test.parent().and_then(Path::parent).context("no target folder")?.to_owned())
}

/// A component that only tests use.
pub fn hostile_component(name: &str) -> Result<String> {
    let folder = std::env::var("SLUICEBOX_COMPONENTS")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../target/plugins").to_owned());
    Ok(format!("{folder}/{name}.wasm"))
}

/// Where `cargo xtask languages` puts the example plugins in languages other than Rust, and their tools.
pub fn languages() -> Result<PathBuf> {
    let default = || concat!(env!("CARGO_MANIFEST_DIR"), "/../target/languages").into();
    let folder = std::env::var_os("SLUICEBOX_LANGUAGES").map_or_else(default, PathBuf::from);
    folder.canonicalize().with_context(|| format!("no {}: run `cargo xtask languages`", folder.display()))
}

#[track_caller]
pub fn assert_says(told: &str, says: &str) {
    assert!(told.contains(says), "{told:?} does not say {says:?}");
}

/// How a call went.
#[derive(Debug)]
pub struct Said {
    /// `None` if a signal ended it.
    pub code: Option<i32>,
    pub output: String,
    pub errors: String,
}

impl Said {
    pub fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), output: text(&output.stdout), errors: text(&output.stderr) }
    }

    /// What it printed, if it went well.
    pub fn success(self) -> Result<String> {
        ensure!(self.code == Some(0), "it ended with {:?}:\n{}{}", self.code, self.output, self.errors);
        Ok(self.output)
    }

    /// What it complained of, if it did not go well.
    pub fn failure(self) -> Result<String> {
        ensure!(self.code != Some(0), "nothing was wrong:\n{}{}", self.output, self.errors);
        Ok(self.errors)
    }

    /// The first line of the output that holds `text`.
    pub fn line_with(&self, text: &str) -> Result<&str> {
        let line = self.output.lines().find(|line| line.contains(text));
        line.with_context(|| format!("no line with {text:?} in\n{}{}", self.output, self.errors))
    }
}
