//! The second opinion: Python with `deltalake` and Polars, which share no code path with the host's writer.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The interpreter of the virtual environment; `cargo xtask test` sets it.
const PYTHON: &str = "SLUICEBOX_PYTHON";

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python");

/// Gold computed from bronze and silver must equal the gold table.
pub fn check_gold(lake: &Path) -> Result<()> {
    run("check_gold.py", &[lake])
}

/// Every table must be readable with its history, at every version, and only ever grow.
pub fn check_history(lake: &Path) -> Result<()> {
    run("check_history.py", &[lake])
}

/// Python with the packages of `tests/python/requirements.txt`.
pub fn interpreter() -> Result<String> {
    std::env::var(PYTHON).with_context(|| format!("{PYTHON} is not set: run `cargo xtask test`"))
}

/// The table `latest` must hold the latest row of each id in `all`, and its quarantine what has no id or time.
pub fn check_latest(lake: &Path) -> Result<()> {
    run("check_latest.py", &[lake])
}

/// The folders of `pipelines/copies.yaml` must hold what the tables hold that they are copies of.
pub fn check_copies(lake: &Path) -> Result<()> {
    let copies = ["silver_lines=silver", "silver_columns=silver", "gold_cells=gold"].map(Path::new);
    let arguments: Vec<&Path> = [lake].into_iter().chain(copies).collect();
    run("check_files.py", &arguments)
}

/// A file of JSON lines must hold what the table holds.
pub fn check_lines(lake: &Path, file: &str, table: &str) -> Result<()> {
    run("check_files.py", &[lake, format!("{file}={table}").as_ref()])
}

/// Creates a container in an emulator of Azure, which must answer already.
pub fn create_container(port: u16, name: &str, key: &str) -> Result<()> {
    run("create_container.py", &[port.to_string().as_ref(), name.as_ref(), key.as_ref()])
}

/// Puts a table's files together, as people do beside a running pipeline.
pub fn compact(lake: &Path, table: &str) -> Result<()> {
    run("maintain.py", &[lake, Path::new(table), Path::new("compact")])
}

/// Removes at once every file that no version of a table refers to.
pub fn vacuum(lake: &Path, table: &str) -> Result<()> {
    run("maintain.py", &[lake, Path::new(table), Path::new("vacuum")])
}

/// Appends all rows of a table once more.
pub fn double(lake: &Path, table: &str) -> Result<()> {
    run("maintain.py", &[lake, Path::new(table), Path::new("double")])
}

fn run(script: &str, arguments: &[&Path]) -> Result<()> {
    let python = interpreter()?;
    let output = Command::new(&python).arg(Path::new(SCRIPTS).join(script)).args(arguments).output();
    let output = output.with_context(|| format!("cannot run {python}"))?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{script} on {arguments:?}:\n{out}{err}");
    Ok(())
}
