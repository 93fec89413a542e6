//! `sluicebox plugin push`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use chrono::{DateTime, SecondsFormat, Utc};

use super::{plugins, print};
use crate::plugin::read_component;
use crate::registry::{Artifact, Digest, Reference};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The component.
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    /// Where it goes.
    #[arg(value_name = "oci://registry/name:tag")]
    reference: Reference,
}

pub async fn run(arguments: &Arguments) -> Result<ExitCode> {
    let reference = &arguments.reference;
    if reference.digest.is_some() || reference.tag.is_none() {
        bail!(
            "`{reference}`: a component is pushed under a tag (`oci://registry/name:tag`), and has its digest by itself"
        );
    }
    let component = read_component(&arguments.file)?;
    let plugin = plugins::engine()?.load_bytes(&arguments.file, &component, None)?;
    let artifact = Artifact {
        name: plugin.name().to_string(),
        version: plugin.version().to_owned(),
        summary: plugin.summary().to_owned(),
        created: built_at(&arguments.file)?.to_rfc3339_opts(SecondsFormat::Secs, true),
        imports: plugin.imports().to_vec(),
        exports: plugin.exported().to_vec(),
    };
    let sha256 = Digest::of(&component);
    let manifest = plugins::registries().push(reference, &artifact, component.into()).await?;
    print(&format!("pushed {} {} as {reference}", plugin.name(), plugin.version()));
    print(&format!("by digest: {}", reference.at(manifest)));
    print(&format!("sha256 of the component: {}", sha256.hex()));
    Ok(ExitCode::SUCCESS)
}

/// SOURCE_DATE_EPOCH, or when the file was written: pushing it again gives the same digest.
fn built_at(file: &Path) -> Result<DateTime<Utc>> {
    const VARIABLE: &str = "SOURCE_DATE_EPOCH";
    let Ok(seconds) = std::env::var(VARIABLE) else {
        let written = std::fs::metadata(file).and_then(|metadata| metadata.modified());
        return Ok(written.with_context(|| file.display().to_string())?.into());
    };
    let time = seconds.parse().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    time.with_context(|| format!("{VARIABLE} is `{seconds}`: not seconds since 1970, or beyond all times"))
}
