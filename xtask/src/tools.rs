//! Programs that are run: found, installed where that is possible, and reported on when they fail.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::Workspace;

/// Runs a command to its end with its output shown. An error names the command.
pub fn run(command: &mut Command) -> Result<()> {
    let shown = describe(command);
    let status = command.status().with_context(|| format!("cannot run `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}

/// The cargo that runs this program, at the root of the workspace, in the environment of a cargo that is called by
/// hand: build scripts that look at `CARGO_MANIFEST_DIR` and the like would be run again otherwise, and all that
/// depends on them built again.
pub fn cargo(workspace: &Workspace) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(&workspace.root);
    let of_this_program = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars().filter(|(name, _)| of_this_program(name)) {
        command.env_remove(name);
    }
    command
}

/// [`cargo`] with the lints in the compiler's place, and none of them allowed to be heard. `cargo clippy` would check all
/// dependencies apart from building them, which takes a third of a first run.
pub fn linting_cargo(workspace: &Workspace) -> Command {
    let mut command = cargo(workspace);
    command.env("RUSTC_WORKSPACE_WRAPPER", Path::new(env!("CARGO")).with_file_name("clippy-driver"));
    command.env("CLIPPY_ARGS", "-Dwarnings");
    command
}

/// Makes sure that `program` runs with `probe` as its only argument; if not, installs Debian's `package`.
pub fn ensure(program: &str, probe: &str, package: &str) -> Result<()> {
    if works(Command::new(program).arg(probe)) {
        return Ok(());
    }
    install(package).with_context(|| format!("`{program}` is missing"))?;
    if !works(Command::new(program).arg(probe)) {
        bail!("package {package} is installed, but `{program} {probe}` still fails");
    }
    Ok(())
}

/// Installs a Debian package, as root or by a `sudo` that asks for no password.
pub fn install(package: &str) -> Result<()> {
    let by_hand = || format!("install it by hand: on Debian or Ubuntu, `apt-get install {package}`");
    if !works(Command::new("apt-get").arg("--version")) {
        bail!("there is no apt-get here; {}", by_hand());
    }
    println!("installing {package}");
    update_packages().with_context(by_hand)?;
    run(apt_as_root().args(["install", "-y", "-qq", package]).env("DEBIAN_FRONTEND", "noninteractive"))
        .with_context(by_hand)
}

/// Fetches Debian's lists of packages.
pub fn update_packages() -> Result<()> {
    run(apt_as_root().args(["update", "-qq"]))
}

fn apt_as_root() -> Command {
    if works(Command::new("sudo").args(["-n", "true"])) {
        let mut command = Command::new("sudo");
        command.args(["-n", "apt-get"]);
        command
    } else {
        Command::new("apt-get")
    }
}

/// Whether a command can be run and succeeds; its output is not shown.
pub fn works(command: &mut Command) -> bool {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn describe(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        let _ = write!(text, " {}", argument.to_string_lossy());
    }
    text
}
