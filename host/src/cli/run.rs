//! `sluicebox run`.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tracing::info;
use uuid::Uuid;

use super::assemble::Assembled;
use super::reload::Reloader;
use super::sinks::SinkStorage;
use super::{RunArguments, assemble, components, plugins, print, settings, sinks, stores};
use crate::capture::Captures;
use crate::config::{self, Loaded};
use crate::ledger::Ledger;
use crate::pipeline::deployment::{Comeback, Deployments, PutInForce, put_in_force};
use crate::pipeline::state_objects::StateObjects;
use crate::pipeline::worker::{Worker, WorkerParts};
use crate::plugin::Engine;
use crate::telemetry::{self, Health, Metrics};

/// `--until-caught-up`, and stopped before.
const FELL_SHORT: u8 = 3;

pub async fn run(arguments: &RunArguments) -> Result<ExitCode> {
    telemetry::start_logs(arguments.log_format)?;
    // Before anything else: a worker that is told to stop while it starts leaves in order too.
    let stop = stop_signal()?;
    tokio::pin!(stop);
    let hangups = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
    let engine = plugins::engine()?;
    let incarnation = Uuid::new_v4();
    let Begun { pipeline, captures, assembled, storages, ledger } = tokio::select! {
        begun = begin(arguments, &engine, incarnation) => begun?,
        () = &mut stop => {
            print("stopped before the pipeline was running: nothing was read");
            return Ok(if arguments.until_caught_up { ExitCode::from(FELL_SHORT) } else { ExitCode::SUCCESS });
        }
    };
    let metrics = Arc::new(Metrics::new(assembled.blueprint.tree.step_names()));
    let health = Arc::new(Health::new(metrics.clone()));
    let http = match pipeline.pipeline.http {
        Some(address) => Some(telemetry::serve(address.socket(), metrics.clone(), health.clone()).await?),
        None => None,
    };
    let state = StateObjects::new(stores::state_store(&pipeline)?);
    let reloader = Reloader {
        running: pipeline.clone(),
        digest: assembled.configuration.digest.clone(),
        shadows: assembled.shadow_digests(),
        engine,
        ledger: ledger.clone(),
        state: state.clone(),
        metrics: metrics.clone(),
        captures: captures.clone(),
    };
    let (ask, asked) = mpsc::channel(1);
    let (deployments, ready) = mpsc::channel(1);
    tokio::spawn(reloader.run(hangups, asked, deployments));
    let parts = WorkerParts {
        deployment: assemble::deployment(&pipeline, assembled, &ledger, &storages),
        deployments: Deployments { ready, ask },
        ledger,
        incarnation,
        state,
        metrics,
        health,
    };
    let settings = settings::worker_settings(&pipeline.pipeline, arguments.until_caught_up)?;
    let worker = Worker::start(settings, parts).await?;
    info!(pipeline = pipeline.pipeline.id, %incarnation, "running");
    let ended = worker.run(stop).await;
    // What has stopped the pipeline is what one wants to look at.
    if let Some(captures) = captures {
        captures.finish().await;
    }
    let summary = ended?;
    summary.shadows.iter().for_each(|shadow| print(shadow));
    print(&summary.to_string());
    if let Some(http) = http {
        http.stop().await;
    }
    Ok(if summary.fell_short { ExitCode::from(FELL_SHORT) } else { ExitCode::SUCCESS })
}

/// A pipeline whose configuration is in force.
struct Begun {
    pipeline: Loaded,
    captures: Option<Captures>,
    assembled: Assembled,
    storages: Vec<SinkStorage>,
    ledger: Ledger,
}

/// Puts what the pipeline file says in force. A file that says what another one has replaced is read once more: it may have
/// changed meanwhile.
async fn begin(arguments: &RunArguments, engine: &Engine, incarnation: Uuid) -> Result<Begun> {
    let mut refused: Option<String> = None;
    loop {
        let pipeline = config::load(&arguments.pipeline.file)?;
        let gathered = components::gather(&pipeline).await?;
        let captures = assemble::captures(&pipeline)?;
        let mut assembled = assemble::assemble(&pipeline, &gathered, engine, captures.as_ref())?;
        assembled.read_references().await?;
        let storages = sinks::storages(&pipeline)?;
        let known = sinks::ledger_of_marks(&pipeline, &storages).await?;
        let ledger = stores::open_ledger(&pipeline, &assembled.configuration, incarnation, known).await?;
        components::keep(&pipeline, &gathered).await?;
        let comeback = match arguments.replace_configuration {
            true => Comeback::Allowed,
            false => {
                let replaces = pipeline.lock.replaces.as_ref();
                Comeback::Only { replaces: replaces.map(|at| (at.entry, at.digest.as_str())) }
            }
        };
        match put_in_force(&ledger, &assembled.configuration, comeback).await? {
            PutInForce::InForce => {
                components::warn_of_holds(&pipeline);
                assembled.log_shadow_faults();
                return Ok(Begun { pipeline, captures, assembled, storages, ledger });
            }
            PutInForce::WasReplaced(replaced) => {
                let digest = replaced.configuration.digest;
                if refused.as_ref() == Some(&digest) {
                    bail!(
                        "entry {} of the ledger has put another configuration in the place of this one: bring the current \
                         pipeline file with its plugins and its lock file to this machine, or, to go back to this one for \
                         all workers, start with `--replace-configuration`",
                        replaced.by
                    );
                }
                refused = Some(digest);
            }
        }
    }
}

fn stop_signal() -> Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        info!("stopping: an open epoch is entered first");
    })
}
