//! The demo, which needs nothing but itself: an embedded broker, the host, the plugins.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sluicebox_tests::tables::Table;

/// Three seconds of events through librdkafka's mock cluster: the demo ends by itself, every event is in bronze
/// or among the dead letters, and gold has windows.
#[test]
fn the_demo_ends_by_itself_and_loses_nothing() -> Result<()> {
    let test = std::env::current_exe()?;
    let folder = test.parent().and_then(Path::parent).context("no target folder")?;
    let dir = tempfile::tempdir()?;
    let mut demo = Command::new(folder.join("iot-sensors-demo"));
    let output = demo.args(["--seconds", "3", "--rate", "4000", "--dir"]).arg(dir.path()).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let rows = |table: &str| -> Result<u64> {
        let path = dir.path().canonicalize()?.join("lake").join(table);
        Table::open(&path)?.with_context(|| format!("no table {table}"))?.rows()
    };
    assert_eq!(rows("bronze")? + rows("dead_letters")?, 12_000, "{said}");
    assert!(rows("gold")? > 0 && said.contains("gold: "), "{said}");
    Ok(())
}
