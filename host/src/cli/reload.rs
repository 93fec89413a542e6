//! Taking up a changed pipeline file, or a changed plugin, while a worker runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::signal::unix::Signal;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{debug, error};

use super::{assemble, components, in_full, plugins, sinks};
use crate::capture::Captures;
use crate::config::{self, Loaded, Lock, Pipeline};
use crate::ledger::Ledger;
use crate::pipeline::deployment::{Deployment, rehearse};
use crate::pipeline::state_objects::StateObjects;
use crate::plugin::Engine;
use crate::telemetry::Metrics;

/// How often the files are looked at with `watch: true`. A change is taken up once they stand still for so long.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How soon what was not taken up is tried again with `watch: true`: its plugins may still be on their way.
const AGAIN_AFTER: Duration = Duration::from_secs(30);

/// What of a pipeline file is taken up while it runs. The rest belongs to the process, or to the pipeline for good.
const TAKEN_UP: [&str; 4] = ["decode", "event_time", "dead_letters", "layers"];

/// Reads the pipeline file again when it is told to, and rehearses what it says before the worker gets it.
pub struct Reloader {
    pub running: Loaded,
    /// The digest of what the worker runs, or was given last.
    pub digest: String,
    /// The digests of the shadows, which are no part of that.
    pub shadows: Vec<String>,
    pub engine: Engine,
    pub ledger: Ledger,
    pub state: StateObjects,
    pub metrics: Arc<Metrics>,
    pub captures: Option<Captures>,
}

impl Reloader {
    /// Goes on until the worker is gone. Whatever goes wrong is logged, and the pipeline goes on as before.
    pub async fn run(
        mut self,
        mut hangups: Signal,
        mut asked: mpsc::Receiver<()>,
        ready: mpsc::Sender<Deployment>,
    ) {
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watch = Watch::new(self.files());
        let mut failed_at: Option<Instant> = None;
        loop {
            let wanted_anyway = tokio::select! {
                _ = hangups.recv() => true,
                asked = asked.recv() => match asked {
                    Some(()) => true,
                    None => return,
                },
                _ = look.tick() => {
                    let is_due = failed_at.is_some_and(|failed_at| failed_at.elapsed() > AGAIN_AFTER);
                    if !self.running.pipeline.watch || !(watch.has_changed(self.files()) || is_due) {
                        continue;
                    }
                    false
                }
            };
            let reloaded = self.reload(wanted_anyway).await;
            failed_at = reloaded.is_err().then(Instant::now);
            match reloaded {
                Ok(None) => debug!("the pipeline file says what is running"),
                Ok(Some(next)) => {
                    if ready.send(next).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    error!(
                        "the pipeline file is not taken up, and the pipeline goes on as before: {}",
                        in_full(&error)
                    );
                }
            }
        }
    }

    /// Nothing, if the file says what it said before, unless that is wanted too: the worker may have left it.
    async fn reload(&mut self, wanted_anyway: bool) -> Result<Option<Deployment>> {
        let (file, engine) = (self.running.file.clone(), self.engine.clone());
        let captures = self.captures.clone();
        let pipeline = tokio::task::spawn_blocking(move || config::load(&file)).await??;
        let gathered = components::gather(&pipeline).await?;
        let assemble = move || {
            let assembled = assemble::assemble(&pipeline, &gathered, &engine, captures.as_ref())?;
            Ok::<_, anyhow::Error>((pipeline, gathered, assembled))
        };
        let (pipeline, gathered, mut assembled) = tokio::task::spawn_blocking(assemble).await??;
        refuse_what_needs_a_restart(&self.running.pipeline, &pipeline.pipeline)?;
        let (digest, shadows) = (assembled.configuration.digest.clone(), assembled.shadow_digests());
        let is_same = digest == self.digest && shadows == self.shadows;
        if !wanted_anyway && is_same && pipeline.pipeline == self.running.pipeline {
            return Ok(None);
        }
        assembled.log_shadow_faults();
        assembled.read_references().await?;
        let storages = sinks::storages(&pipeline)?;
        let deployment = assemble::deployment(&pipeline, assembled, &self.ledger, &storages);
        let state = self.ledger.refresh().await?;
        let (objects, metrics) = (self.state.clone(), self.metrics.clone());
        // Plugins run in it: they would hold up the runtime's own threads.
        let rehearsed = tokio::task::spawn_blocking(move || {
            let rehearsal = rehearse(&deployment.blueprint, &state, &objects, &metrics);
            Handle::current().block_on(rehearsal).map(|()| deployment)
        });
        let deployment = rehearsed.await??;
        components::keep(&pipeline, &gathered).await?;
        components::warn_of_holds(&pipeline);
        (self.running, self.digest, self.shadows) = (pipeline, digest, shadows);
        Ok(Some(deployment))
    }

    /// What the pipeline is made of, on this machine.
    fn files(&self) -> Vec<PathBuf> {
        let steps = self.running.steps_and_shadows();
        let components = steps.filter_map(|step| plugins::path(&self.running, &step));
        let file = &self.running.file;
        let own = [file.clone(), Lock::path(file), self.running.directory.join(".env")];
        own.into_iter().chain(components).collect()
    }
}

fn refuse_what_needs_a_restart(running: &Pipeline, next: &Pipeline) -> Result<()> {
    let sections = |pipeline| {
        let document = serde_json::to_value(pipeline).context("the pipeline file")?;
        let Value::Object(mut sections) = document else { bail!("the pipeline file is not a mapping") };
        sections.retain(|key, _| !TAKEN_UP.contains(&key.as_str()));
        Ok(sections)
    };
    let (running, next) = (sections(running)?, sections(next)?);
    let keys = running.keys().chain(next.keys().filter(|key| !running.contains_key(*key)));
    let changed: Vec<String> =
        keys.filter(|key| running.get(*key) != next.get(*key)).map(|key| format!("`{key}`")).collect();
    if !changed.is_empty() {
        bail!("{} cannot change while the pipeline runs: start it again", changed.join(", "));
    }
    Ok(())
}

/// Whether files changed since they were last taken up.
struct Watch {
    taken_up: Vec<Stamp>,
    /// As they were at the last look.
    seen: Vec<Stamp>,
}

/// When a file was written, and its length; nothing if it is not there.
type Stamp = (PathBuf, Option<(SystemTime, u64)>);

impl Watch {
    fn new(files: Vec<PathBuf>) -> Self {
        let stamps = stamps(files);
        Self { taken_up: stamps.clone(), seen: stamps }
    }

    /// Whether they changed and were left alone since the last look: nobody is in the middle of writing them.
    fn has_changed(&mut self, files: Vec<PathBuf>) -> bool {
        let stamps = stamps(files);
        let stands_still = stamps == self.seen;
        self.seen = stamps;
        if !stands_still || self.seen == self.taken_up {
            return false;
        }
        self.taken_up.clone_from(&self.seen);
        true
    }
}

fn stamps(files: Vec<PathBuf>) -> Vec<Stamp> {
    files
        .into_iter()
        .map(|file| {
            let metadata = std::fs::metadata(&file).ok();
            let stamp = metadata.and_then(|metadata| Some((metadata.modified().ok()?, metadata.len())));
            (file, stamp)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_change_counts_once_and_only_when_the_files_stand_still() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pipeline.yaml");
        fs::write(&file, "a").unwrap();
        let files = || vec![file.clone(), folder.path().join("none")];
        let mut watch = Watch::new(files());
        assert!(!watch.has_changed(files()));
        fs::write(&file, "ab").unwrap();
        assert!(!watch.has_changed(files()), "somebody may still be writing");
        fs::write(&file, "abc").unwrap();
        assert!(!watch.has_changed(files()));
        assert!(watch.has_changed(files()));
        assert!(!watch.has_changed(files()));
        fs::remove_file(&file).unwrap();
        assert!(!watch.has_changed(files()));
        assert!(watch.has_changed(files()));
    }
}
