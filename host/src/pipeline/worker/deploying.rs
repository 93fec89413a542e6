//! Another configuration under a running worker: the epoch closes under the old one, and the tasks go on from the
//! ledger under the new one.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use tracing::{error, info};

use super::{Worker, WorkerError};
use crate::pipeline::deployment::{Comeback, Deployment, put_in_force};
use crate::pipeline::share_limit;
use crate::pipeline::topics::{TopicLooks, TopicWatch};
use crate::progress::Accounting;

/// How long the pipeline file may take to become what another worker has put in force, its compilation and rehearsal
/// included; and how long a sink may take to follow that a change leaves out.
const PATIENCE: Duration = Duration::from_secs(120);
const ASK_EVERY: Duration = Duration::from_secs(1);

impl Worker {
    /// Puts a deployment in force, and goes on under it. One that the sinks cannot follow is left.
    pub(super) async fn deploy(&mut self, next: Deployment) -> Result<(), WorkerError> {
        let state = self.writer.ledger.refresh().await?;
        // The schema may have grown since the rehearsal.
        let fits = match next.blueprint.plan_in_force(&state) {
            Ok(plan) => self.refuse_what_tables_cannot_hold(&plan),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = fits {
            error!("the change is not taken up, and the pipeline goes on as before: {error}");
            return Ok(());
        }
        match self.close_and_enter(None).await {
            // Somebody else was first, perhaps with the same.
            Ok(()) | Err(WorkerError::OtherConfiguration { .. }) => {}
            Err(error) => return Err(error),
        }
        if let Some(sink) = self.abandoned_sink(&next.configuration.sinks).await {
            error!(
                sink,
                "the change is not taken up, and the pipeline goes on as before: it leaves out a sink that lacks entries"
            );
            return Ok(());
        }
        put_in_force(&self.writer.ledger, &next.configuration, Comeback::Allowed).await?;
        self.adopt(next).await
    }

    /// Another worker has put another configuration in force: what this worker's file says once it says the same, or once
    /// it has changed yet again. May be dropped while it waits.
    pub(super) async fn next_configuration(&mut self) -> Result<Deployment, WorkerError> {
        info!("another configuration is in force; reading the pipeline file again");
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            // A request that waits already serves as well.
            let _ = self.deployments.ask.try_send(());
            let next = timeout(ASK_EVERY, self.deployments.ready.recv()).await;
            let next = match next {
                Ok(Some(next)) => next,
                // Nobody reads the file any more.
                Ok(None) => break,
                Err(_) => continue,
            };
            self.writer.ledger.refresh().await?;
            if self.is_in_force(&next) || next.configuration.digest != self.writer.configuration {
                return Ok(next);
            }
        }
        let in_force = self.writer.ledger.state().configuration.digest.clone();
        Err(WorkerError::OtherConfiguration { in_force })
    }

    /// Goes on under what [`next_configuration`](Self::next_configuration) found.
    pub(super) async fn follow_configuration(&mut self, next: Deployment) -> Result<(), WorkerError> {
        if self.is_in_force(&next) { self.adopt(next).await } else { self.deploy(next).await }
    }

    fn is_in_force(&self, deployment: &Deployment) -> bool {
        deployment.configuration.digest == self.writer.ledger.state().configuration.digest
    }

    /// A sink that the change leaves out, and that has not followed the ledger although it was waited for.
    async fn abandoned_sink(&self, kept: &[String]) -> Option<String> {
        let last = self.writer.ledger.state().number;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut sinks = self.appliers.iter().flat_map(|appliers| appliers.progress());
            let (sink, _) = sinks.find(|(sink, progress)| {
                !kept.iter().any(|kept| kept == sink) && progress.effective < last
            })?;
            if Instant::now() > deadline {
                return Some(sink.to_owned());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn adopt(&mut self, next: Deployment) -> Result<(), WorkerError> {
        let Deployment { configuration, blueprint, tables, open_sinks, references } = next;
        for plugin in &configuration.plugins {
            info!(
                layer = plugin.layer,
                step = plugin.step,
                plugin = plugin.name,
                version = plugin.version,
                sha256 = plugin.digest,
                "goes on with"
            );
        }
        let is_judged_alike = self.writer.configuration == configuration.digest
            && share_limit::limits(&self.blueprint.tree) == share_limit::limits(&blueprint.tree);
        if !is_judged_alike {
            self.under_configuration = Accounting::default();
        }
        self.metrics.set_steps(blueprint.tree.step_names());
        let topics = TopicWatch::new(self.intake.handle(), self.writer.ledger.clone(), &blueprint.tree);
        self.topics = TopicLooks::new(topics.clone());
        self.writer.topics = topics;
        self.writer.configuration = configuration.digest;
        self.writer.tables = tables;
        self.references.replace(&references, &blueprint.tree, &self.metrics);
        self.blueprint = blueprint;
        self.open_sinks = open_sinks;
        self.appliers = None;
        self.tasks.suspects.clear();
        self.restart().await
    }
}
