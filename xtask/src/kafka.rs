//! Apache Kafka's jars, from Maven Central into `target/kafka/libs`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{Workspace, tools};

/// Makes sure that Kafka and a Java to run it are there. Returns the folder of the jars.
pub fn ensure_jars(workspace: &Workspace) -> Result<PathBuf> {
    tools::ensure("java", "-version", "default-jre-headless")?;

    let pom = workspace.root.join("tests/kafka/pom.xml");
    let wanted = fs::read(&pom).with_context(|| format!("cannot read {}", pom.display()))?;
    let dir = workspace.target.join("kafka");
    let (libs, fetched) = (dir.join("libs"), dir.join("pom.xml"));
    if fs::read(&fetched).is_ok_and(|fetched| fetched == wanted) {
        return Ok(libs);
    }

    tools::ensure("mvn", "-version", "maven")?;
    println!("fetching Apache Kafka into {}", libs.display());
    if libs.exists() {
        fs::remove_dir_all(&libs).with_context(|| format!("cannot clear {}", libs.display()))?;
    }
    fs::create_dir_all(&dir)?;
    let mut maven = Command::new("mvn");
    maven.args(["-q", "-B", "dependency:copy-dependencies", "-f"]).arg(&pom);
    maven.arg(format!("-DoutputDirectory={}", libs.display()));
    tools::run(&mut maven)?;
    // Written last: its presence says that all jars are there.
    fs::write(&fetched, wanted)?;
    Ok(libs)
}
