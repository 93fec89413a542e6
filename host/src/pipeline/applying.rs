//! Keeps every sink up with the ledger, in the background, each sink on its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tracing::{debug, warn};

use super::applier::{ApplyBounds, ApplyError, ApplyProgress, apply_sink};
use super::backlog::{Backlog, Backlogs};
use super::takeover::{Sighting, Takeover};
use crate::crash;
use crate::ledger::Ledger;
use crate::ledger::entry::EntryNumber;
use crate::ledger::state::SinkState;
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
    /// Of each sink.
    backlogs: watch::Receiver<Vec<Backlog>>,
    entered: Arc<Notify>,
    is_applier: Arc<AtomicBool>,
    /// Held so that the tasks end with it.
    _tasks: JoinSet<()>,
}

#[derive(Clone)]
struct Following {
    name: String,
    wake: Arc<Notify>,
    followed: watch::Receiver<Followed>,
}

/// How a sink follows.
#[derive(Debug, Clone, Default)]
struct Followed {
    progress: ApplyProgress,
    /// Why the last attempt came to nothing, if it did.
    fault: Option<String>,
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
        let state = ledger.state();
        for (name, sink) in sinks {
            let wake = Arc::new(Notify::new());
            let (sender, followed) = watch::channel(Followed::recorded(state.sinks.get(&name)));
            let follower = Follower {
                name: name.clone(),
                ledger: ledger.clone(),
                sink,
                wake: wake.clone(),
                is_applier: is_applier.clone(),
                followed: sender,
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
            followings.push(Following { name, wake, followed });
        }
        let (sender, backlogs) = watch::channel(vec![Backlog::default(); followings.len()]);
        let entered = Arc::new(Notify::new());
        tasks.spawn(watch_backlogs(ledger.clone(), followings.clone(), entered.clone(), sender));
        Self { sinks: followings, backlogs, entered, is_applier, _tasks: tasks }
    }

    /// Whether this worker is the one that applies. The others take over when a mark does not move.
    pub fn set_applier(&self, is_applier: bool) {
        if self.is_applier.swap(is_applier, Ordering::Relaxed) != is_applier && is_applier {
            self.wake();
        }
    }

    /// Says that there are new entries.
    pub fn wake(&self) {
        self.entered.notify_one();
        for sink in &self.sinks {
            sink.wake.notify_one();
        }
    }

    /// How far each sink has come, as far as this worker has seen.
    pub fn progress(&self) -> impl Iterator<Item = (&str, ApplyProgress)> {
        self.sinks.iter().map(|sink| (sink.name.as_str(), sink.followed.borrow().progress.clone()))
    }

    /// What each sink lacks, a moment ago.
    pub fn backlogs(&self) -> impl Iterator<Item = (&str, Backlog)> {
        let backlogs = self.backlogs.borrow().clone();
        self.sinks.iter().map(|sink| sink.name.as_str()).zip(backlogs)
    }

    /// Why the sink does not follow, if that is known.
    pub fn fault(&self, sink: &str) -> Option<String> {
        let sink = self.sinks.iter().find(|following| following.name == sink)?;
        sink.followed.borrow().fault.clone()
    }

    /// The entry up to which no sink lacks rows.
    pub fn applied_up_to(&self) -> EntryNumber {
        applied_up_to(&self.sinks)
    }
}

fn applied_up_to(sinks: &[Following]) -> EntryNumber {
    sinks.iter().map(|sink| sink.followed.borrow().progress.effective).min().unwrap_or(EntryNumber::MAX)
}

/// Goes on for ever: on a fault of the ledger the backlogs are as they were, and it is tried again.
async fn watch_backlogs(
    ledger: Ledger,
    sinks: Vec<Following>,
    entered: Arc<Notify>,
    told: watch::Sender<Vec<Backlog>>,
) {
    let mut backlogs = Backlogs::default();
    loop {
        match backlogs.follow(&ledger, applied_up_to(&sinks)).await {
            Ok(()) => {
                let now = Instant::now();
                let of = |sink: &Following| {
                    backlogs.of(&sink.name, sink.followed.borrow().progress.effective, now)
                };
                told.send_replace(sinks.iter().map(of).collect());
            }
            Err(error) => debug!(%error, "what the sinks lack cannot be told; trying again"),
        }
        tokio::select! {
            () = entered.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

impl Followed {
    /// What the ledger says of the sink before anybody has looked at it.
    fn recorded(sink: Option<&SinkState>) -> Self {
        let Some(sink) = sink else { return Self::default() };
        let record = sink.record.clone().unwrap_or_default();
        let effective = sink.since.max(record.mark);
        Self { progress: ApplyProgress { record, effective, ..ApplyProgress::default() }, fault: None }
    }
}

struct Follower {
    name: String,
    ledger: Ledger,
    sink: Box<dyn SinkApplier>,
    wake: Arc<Notify>,
    is_applier: Arc<AtomicBool>,
    followed: watch::Sender<Followed>,
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
                Err(error) if error.is_transient() => {
                    warn!(%error, "going on");
                    self.followed.send_modify(|followed| followed.fault = Some(error.to_string()));
                }
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
        if self.effective() >= state.number {
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
        if progress.effective < state.number {
            self.wake.notify_one();
        }
        self.followed.send_replace(Followed { progress, fault: None });
        Ok(())
    }

    fn effective(&self) -> EntryNumber {
        self.followed.borrow().progress.effective
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
        self.followed.send_modify(|Followed { progress, .. }| {
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
