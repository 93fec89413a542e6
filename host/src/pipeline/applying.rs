//! Keeps every sink up with the ledger, in the background, each sink on its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tracing::warn;

use super::applier::{ApplyBounds, ApplyError, ApplyProgress, apply_sink};
use super::takeover::{Sighting, Takeover};
use crate::crash;
use crate::ledger::Ledger;
use crate::sink::{SinkApplier, SinkError};
use crate::telemetry::{Metrics, Phase};

/// How often a sink is looked at when nobody says that there is something to apply.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a worker that is not the applier waits for a mark that does not move.
const PATIENCE: Duration = Duration::from_secs(5);
const LONGEST_PATIENCE: Duration = Duration::from_secs(120);

/// The appliers of one worker. Dropping it stops them, at any await: that is safe.
pub struct Appliers {
    sinks: Vec<Following>,
    is_applier: Arc<AtomicBool>,
    /// Held so that the tasks end with it.
    _tasks: JoinSet<()>,
}

struct Following {
    name: String,
    wake: Arc<Notify>,
    progress: watch::Receiver<ApplyProgress>,
}

impl Appliers {
    pub fn spawn(
        ledger: &Ledger,
        sinks: Vec<(String, Box<dyn SinkApplier>)>,
        failures: &mpsc::UnboundedSender<ApplyError>,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let is_applier = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        let mut followings = Vec::new();
        for (name, sink) in sinks {
            let wake = Arc::new(Notify::new());
            let (sender, progress) = watch::channel(ApplyProgress::default());
            let follower = Follower {
                name: name.clone(),
                ledger: ledger.clone(),
                sink,
                wake: wake.clone(),
                is_applier: is_applier.clone(),
                progress: sender,
                takeover: Takeover::new(PATIENCE, LONGEST_PATIENCE),
                metrics: metrics.clone(),
            };
            let failures = failures.clone();
            tasks.spawn(async move {
                if let Err(error) = follower.follow().await {
                    // Without a listener the worker is ending.
                    let _ = failures.send(error);
                }
            });
            followings.push(Following { name, wake, progress });
        }
        Self { sinks: followings, is_applier, _tasks: tasks }
    }

    /// Whether this worker is the one that applies. The others take over when a mark does not move.
    pub fn set_applier(&self, is_applier: bool) {
        if self.is_applier.swap(is_applier, Ordering::Relaxed) != is_applier && is_applier {
            self.wake();
        }
    }

    /// Says that there are new entries.
    pub fn wake(&self) {
        for sink in &self.sinks {
            sink.wake.notify_one();
        }
    }

    /// How far each sink has come, as far as this worker has seen.
    pub fn progress(&self) -> impl Iterator<Item = (&str, ApplyProgress)> {
        self.sinks.iter().map(|sink| (sink.name.as_str(), sink.progress.borrow().clone()))
    }

    /// The entry up to which no sink lacks rows.
    pub fn applied_up_to(&self) -> u64 {
        self.sinks.iter().map(|sink| sink.progress.borrow().effective).min().unwrap_or(u64::MAX)
    }
}

struct Follower {
    name: String,
    ledger: Ledger,
    sink: Box<dyn SinkApplier>,
    wake: Arc<Notify>,
    is_applier: Arc<AtomicBool>,
    progress: watch::Sender<ApplyProgress>,
    takeover: Takeover,
    metrics: Arc<Metrics>,
}

impl Follower {
    /// Returns only what stops the pipeline.
    async fn follow(mut self) -> Result<(), ApplyError> {
        let bounds = ApplyBounds::default();
        loop {
            match self.turn(&bounds).await {
                Ok(()) => {}
                Err(error) if error.is_transient() => warn!(%error, "going on"),
                Err(error) => return Err(error),
            }
            tokio::select! {
                () = self.wake.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    async fn turn(&mut self, bounds: &ApplyBounds) -> Result<(), ApplyError> {
        let state = self
            .ledger
            .refresh()
            .await
            .map_err(|source| ApplyError::Ledger { sink: self.name.clone(), source })?;
        if self.progress.borrow().effective >= state.number {
            return Ok(());
        }
        if !self.is_applier.load(Ordering::Relaxed) && !self.takes_over(state.number).await? {
            return Ok(());
        }
        let started = Instant::now();
        crash::sink_point("before_apply", &self.name);
        let progress = apply_sink(&self.ledger, &self.name, &mut *self.sink, bounds).await?;
        if progress.commits > 0 {
            crash::sink_point("after_apply", &self.name);
            self.metrics.epoch_phase(Phase::Apply, started.elapsed());
        }
        self.progress.send_replace(progress);
        Ok(())
    }

    async fn takes_over(&mut self, tail: u64) -> Result<bool, ApplyError> {
        let mark = match self.sink.mark().await {
            Ok(mark) => mark.number,
            Err(SinkError::Unavailable(why)) => {
                warn!(sink = self.name, why, "the mark cannot be read; going on");
                return Ok(false);
            }
            Err(SinkError::Refused(why)) => {
                return Err(ApplyError::Refused { sink: self.name.clone(), why });
            }
        };
        self.progress.send_modify(|progress| {
            progress.effective = progress.effective.max(mark);
            progress.record.mark = mark;
        });
        let clock = self.ledger.clock();
        Ok(self.takeover.should_apply(Sighting {
            now_ms: clock.now_ms(),
            mark,
            is_behind: mark < tail,
            is_applier: false,
            chance: clock.chance(),
        }))
    }
}
