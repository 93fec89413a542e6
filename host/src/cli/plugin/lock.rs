//! `sluicebox plugin lock`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use super::{plugins, print};
use crate::cli::{PipelineFile, lock_file};
use crate::config::{self, Loaded, Lock, Locked, PluginSource};
use crate::registry::Reference;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    pipeline: PipelineFile,
    /// Look up what tags stand for now: these, or all.
    #[arg(long, value_name = "REFERENCE", num_args = 0..)]
    update: Option<Vec<String>>,
}

pub async fn run(arguments: &Arguments) -> Result<ExitCode> {
    let pipeline = config::load(&arguments.pipeline.file)?;
    let tags = tags(&pipeline);
    let update = arguments.update.as_deref();
    if let Some(unknown) = update.unwrap_or_default().iter().find(|name| !tags.contains_key(*name)) {
        bail!("no step of {} names the tag `{unknown}`", arguments.pipeline.file.display());
    }
    let is_updated = |text: &String| update.is_some_and(|names| names.is_empty() || names.contains(text));
    let registries = plugins::registries();
    let mut locked = BTreeMap::new();
    for (text, reference) in &tags {
        let before = pipeline.lock.plugins.get(text);
        let now = match before {
            Some(before) if !is_updated(text) => before.clone(),
            _ => {
                let resolved = registries.resolve(reference).await.with_context(|| text.clone())?;
                // It is wanted at once, and perhaps later where there is no network.
                registries.component(reference, &resolved.component).await?;
                Locked {
                    manifest: resolved.manifest.to_string(),
                    sha256: resolved.component.hex().to_owned(),
                }
            }
        };
        let change = match before {
            None => "new",
            Some(before) if *before == now => "as before",
            Some(_) => "changed",
        };
        print(&format!("{text}: sha256 {} ({change})", now.sha256));
        locked.insert(text.clone(), now);
    }
    for text in pipeline.lock.plugins.keys().filter(|text| !locked.contains_key(*text)) {
        print(&format!("{text}: not named any more"));
    }
    let lock = Lock { plugins: locked, holds: holds_that_count(&pipeline), ..pipeline.lock.clone() };
    for hold in &lock.holds {
        let (layer, step) = (&hold.layer, &hold.step);
        print(&format!("{layer}.{step}: still held back (`sluicebox plugin rollback --release`)"));
    }
    let file = Lock::path(&pipeline.file);
    if lock == pipeline.lock {
        print(&match file.exists() {
            true => format!("{} says it already", file.display()),
            false => {
                "no plugin is named by a tag, and none is held back: there is nothing to lock".to_owned()
            }
        });
        return Ok(ExitCode::SUCCESS);
    }
    lock_file::write(&file, &lock)?;
    print(&format!("wrote {}", file.display()));
    Ok(ExitCode::SUCCESS)
}

/// References that can move, as the pipeline file has them.
fn tags(pipeline: &Loaded) -> BTreeMap<String, Reference> {
    pipeline
        .steps_and_shadows()
        .filter_map(|step| match pipeline.plugin_source(&step) {
            PluginSource::Registry(reference) if reference.digest.is_none() => Some((step.plugin, reference)),
            _ => None,
        })
        .collect()
}

fn holds_that_count(pipeline: &Loaded) -> Vec<config::Hold> {
    crate::cli::components::holds(pipeline).cloned().collect()
}
