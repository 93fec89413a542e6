//! `sluicebox run`.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tracing::info;
use uuid::Uuid;

use super::reload::Reloader;
use super::{RunArguments, assemble, plugins, print};
use crate::config;
use crate::pipeline::deployment::{Deployments, put_in_force};
use crate::pipeline::state_objects::StateObjects;
use crate::pipeline::worker::{Worker, WorkerParts};
use crate::telemetry::{self, Health, Metrics};

/// `--until-caught-up`, and stopped before.
const FELL_SHORT: u8 = 3;

pub async fn run(arguments: &RunArguments) -> Result<ExitCode> {
    telemetry::start_logs(arguments.log_format)?;
    // Before anything else: a worker that is told to stop while it starts leaves in order too.
    let stop = stop_signal()?;
    let hangups = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
    let pipeline = config::load(&arguments.pipeline.file)?;
    let engine = plugins::engine()?;
    let assembled = assemble::assemble(&pipeline, &engine)?;
    let incarnation = Uuid::new_v4();
    let storages = assemble::table_storages(&pipeline)?;
    let known = assemble::ledger_of_marks(&pipeline, &storages).await?;
    let ledger = assemble::open_ledger(&pipeline, &assembled.configuration, incarnation, known).await?;
    put_in_force(&ledger, &assembled.configuration).await?;
    let metrics = Arc::new(Metrics::new(assembled.blueprint.tree.step_names()));
    let health = Arc::new(Health::new(metrics.clone()));
    let http = match pipeline.pipeline.http {
        Some(address) => Some(telemetry::serve(address.socket(), metrics.clone(), health.clone()).await?),
        None => None,
    };
    let state = StateObjects::new(assemble::state_store(&pipeline)?);
    let reloader = Reloader {
        running: pipeline.clone(),
        digest: assembled.configuration.digest.clone(),
        engine,
        ledger: ledger.clone(),
        state: state.clone(),
        metrics: metrics.clone(),
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
    let settings = assemble::worker_settings(&pipeline.pipeline, arguments.until_caught_up);
    let worker = Worker::start(settings, parts).await?;
    info!(pipeline = pipeline.pipeline.id, %incarnation, "running");
    let summary = worker.run(stop).await?;
    print(&summary.to_string());
    if let Some(http) = http {
        http.stop().await;
    }
    Ok(if summary.fell_short { ExitCode::from(FELL_SHORT) } else { ExitCode::SUCCESS })
}

fn stop_signal() -> Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        info!("stopping: the open epoch is entered first");
    })
}
