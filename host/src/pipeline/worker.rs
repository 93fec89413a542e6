//! A worker: it owns the tasks of the partitions that the group gave it, closes epochs and enters them.
//!
//! There is one way to (re)start tasks: from the ledger. It serves the start of the worker, an assignment,
//! a lost epoch and a new schema version alike.

mod closing;
mod deploying;
mod error;
mod recovery;
mod references;
mod reporting;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{info, warn};
use uuid::Uuid;

use super::applier::ApplyError;
use super::applying::Appliers;
use super::backlog::BacklogLimits;
use super::blueprint::Blueprint;
use super::budget::Budget;
use super::crew::Crew;
use super::deployment::{Deployment, Deployments};
use super::epoch::{EpochError, EpochWriter};
use super::intake::{Intake, IntakeEvent};
use super::lane::{EpochLimits, LaneEvent, LaneReport, TaskPlan};
use super::share_limit::ShareLimit;
use super::state_objects::StateObjects;
use super::summary::Summary;
use super::suspect::Suspect;
use super::sweeping::{Files, sweep};
use super::topics::{TopicError, TopicLooks, TopicWatch};
use crate::ledger::entry::{EntryNumber, SinkRecord};
use crate::ledger::{Appended, Ledger, Verdict};
use crate::progress::{Accounting, TopicPartition};
use crate::sink::SinkApplier;
use crate::source::{Generation, SourceError, SourceSettings};
use crate::telemetry::{Health, Metrics, Stage};

pub use self::error::WorkerError;
use self::references::{References, rehearsed};

/// How often the worker looks at what needs no event: back-pressure, who applies, whether it is done.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often the applier removes what nothing reaches.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);
/// How long leaving tries to enter the open epoch.
const LAST_ENTRY: Duration = Duration::from_secs(60);
/// How long leaving waits for the sinks to follow.
const LAST_APPLICATION: Duration = Duration::from_secs(60);

/// Plain data.
pub struct WorkerSettings {
    pub source: SourceSettings,
    pub threads: usize,
    /// Bytes that may be fetched and not yet processed.
    pub in_flight_bytes: usize,
    pub epoch_interval: Duration,
    pub epoch_limits: EpochLimits,
    /// Stop once everything is applied that was in the topics at the start.
    pub until_caught_up: bool,
    pub backlog: BacklogLimits,
    /// How many rows may break a step.
    pub failures: ShareLimit,
}

/// The parts that a worker is made of.
pub struct WorkerParts {
    pub ledger: Ledger,
    pub incarnation: Uuid,
    /// Is in force.
    pub deployment: Deployment,
    pub deployments: Deployments,
    pub state: StateObjects,
    pub metrics: Arc<Metrics>,
    pub health: Arc<Health>,
}

/// Opens the sinks' appliers once the layout of their rows is known.
#[async_trait::async_trait]
pub trait OpenSinks: Send {
    async fn open(&mut self, plan: &TaskPlan) -> Result<Vec<(String, Box<dyn SinkApplier>)>, WorkerError>;
}

pub struct Worker {
    settings: WorkerSettings,
    blueprint: Blueprint,
    writer: EpochWriter,
    open_sinks: Box<dyn OpenSinks>,
    deployments: Deployments,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    /// Declared before the crew: the source holds the lanes' senders, and must go first.
    intake: Intake,
    crew: Crew,
    topics: TopicLooks,
    /// Absent until the records' schema is known.
    appliers: Option<Appliers>,
    events: Events,
    tasks: Tasks,
    epoch: OpenEpoch,
    references: References,
    in_flight: Option<JoinHandle<Result<Appended, EpochError>>>,
    sweep: Sweeping,
    summary: Summary,
    /// What was entered under the configuration in force.
    under_configuration: Accounting,
}

/// What comes to the worker by itself.
struct Events {
    intake: UnboundedReceiver<IntakeEvent>,
    lanes: UnboundedReceiver<LaneReport>,
    appliers: UnboundedReceiver<ApplyError>,
    applier_failures: UnboundedSender<ApplyError>,
}

/// The tasks that are this worker's.
#[derive(Default)]
struct Tasks {
    /// With the entry that each goes on from.
    owned: HashMap<TopicPartition, EntryNumber>,
    /// Records among which one breaks a stateful step.
    suspects: HashMap<TopicPartition, Suspect>,
    /// Those to be opened anew because the memory of their plugins has grown.
    outgrown: Vec<TopicPartition>,
    generation: Generation,
    /// Recoveries in a row without an entry between them.
    recoveries: u32,
}

/// The sweep in the background. Dropping it stops it, which is safe.
struct Sweeping {
    last: Instant,
    task: JoinSet<()>,
}

struct OpenEpoch {
    number: u64,
    opened_at_ms: i64,
    schema_version: u64,
    /// What was last recorded of the sinks.
    seen: BTreeMap<String, SinkRecord>,
    /// A lane waits for the cut.
    full: bool,
}

impl Worker {
    /// Starts the threads and joins the group.
    pub async fn start(settings: WorkerSettings, parts: WorkerParts) -> Result<Self, WorkerError> {
        let WorkerParts { ledger, incarnation, .. } = parts;
        let Deployment { configuration, blueprint, tables, open_sinks, references } = parts.deployment;
        let state = ledger.refresh().await?;
        let plan = blueprint.plan_in_force(&state)?;
        let budget = Budget::new(settings.in_flight_bytes);
        let (lane_reports, lanes) = unbounded_channel();
        let (intake_events, intake) = unbounded_channel();
        let (applier_failures, appliers) = unbounded_channel();
        let crew = Crew::spawn(
            settings.threads,
            incarnation,
            &plan,
            settings.epoch_limits,
            &budget,
            &lane_reports,
            &parts.metrics,
        )?;
        let intake_thread = Intake::spawn(settings.source.clone(), crew.commands(), budget, intake_events)?;
        let topics = TopicWatch::new(intake_thread.handle(), ledger.clone(), &blueprint.tree);
        let mut worker = Self {
            intake: intake_thread,
            crew,
            topics: TopicLooks::new(topics.clone()),
            writer: EpochWriter {
                ledger,
                incarnation,
                configuration: configuration.digest,
                state: parts.state,
                topics,
                tables,
                layouts: plan.layouts.clone(),
                metrics: parts.metrics.clone(),
            },
            references: References::new(&references, &blueprint.tree, &parts.metrics),
            blueprint,
            open_sinks,
            deployments: parts.deployments,
            metrics: parts.metrics,
            health: parts.health,
            appliers: None,
            events: Events { intake, lanes, appliers, applier_failures },
            tasks: Tasks::default(),
            epoch: OpenEpoch {
                number: 0,
                opened_at_ms: now_ms(),
                schema_version: state.schema_version,
                seen: BTreeMap::new(),
                full: false,
            },
            in_flight: None,
            sweep: Sweeping { last: Instant::now(), task: JoinSet::new() },
            summary: Summary::default(),
            under_configuration: Accounting::default(),
            settings,
        };
        worker.follow_sinks(&plan).await?;
        Ok(worker)
    }

    /// Runs until `stop` resolves, or until caught up; then enters the open epoch and leaves the group.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Result<Summary, WorkerError> {
        let started = Instant::now();
        tokio::pin!(stop);
        self.verify_topics().await?;
        let mut targets = None;
        if self.settings.until_caught_up {
            let ends = self.intake.end_positions().await;
            targets = Some(self.or_source_failure(ends)?);
        }
        self.health.set_stage(Stage::Running);
        let mut close = interval(self.settings.epoch_interval);
        close.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let done = tokio::select! {
                () = &mut stop => {
                    self.summary.fell_short = targets.is_some();
                    break;
                }
                Some(event) = self.events.intake.recv() => self.on_intake(event).await,
                Some(report) = self.events.lanes.recv() => self.on_report(report).await,
                Some(error) = self.events.appliers.recv() => Err(error.into()),
                error = self.topics.fault() => Err(error.into()),
                entered = finished(&mut self.in_flight) => self.on_entered(entered).await,
                Some(next) = self.deployments.ready.recv() => self.deploy(next).await,
                Some(fresh) = self.references.refreshing.fresh.recv() => self.on_fresh_table(fresh),
                (fresh, tried) = rehearsed(&mut self.references.rehearsal) => self.on_rehearsed(fresh, tried),
                _ = close.tick() => self.close_epoch().await,
                _ = look.tick() => {
                    if targets.as_ref().is_some_and(|targets| self.has_reached(targets)) {
                        break;
                    }
                    self.look()
                }
            };
            let done = match done {
                Ok(()) => self.close_or_recycle().await,
                error => error,
            };
            match done {
                Err(WorkerError::OtherConfiguration { .. }) => {
                    let next = tokio::select! {
                        () = &mut stop => {
                            self.summary.fell_short = targets.is_some();
                            break;
                        }
                        next = self.next_configuration() => next?,
                    };
                    self.follow_configuration(next).await?;
                }
                done => done?,
            }
        }
        self.leave().await?;
        let shadows: Vec<_> = self.blueprint.tree.shadows().cloned().collect();
        self.summary.shadows = shadows.iter().map(|shadow| shadow.summary()).collect();
        // Samples that cannot be written are told of by who writes them.
        let _ = tokio::task::spawn_blocking(move || shadows.iter().for_each(|shadow| shadow.finish())).await;
        self.summary.elapsed = started.elapsed();
        Ok(self.summary)
    }

    /// What the last event asked for.
    async fn close_or_recycle(&mut self) -> Result<(), WorkerError> {
        if self.epoch.full {
            self.close_epoch().await?;
        }
        if !self.tasks.outgrown.is_empty() {
            self.recycle().await?;
        }
        Ok(())
    }

    async fn on_intake(&mut self, event: IntakeEvent) -> Result<(), WorkerError> {
        match event {
            IntakeEvent::Failed(error) => Err(error.into()),
            IntakeEvent::Assigned(partitions) => {
                info!(partitions = partitions.len(), "assigned");
                // Whatever becomes of the epoch on its way, the next restart opens them.
                self.own(&partitions);
                self.settle().await?;
                self.take_on(partitions).await?;
                // With their own steps among those that are ready, as far as there is room.
                self.references.try_again();
                self.rehearse_table()
            }
            IntakeEvent::Revoked { partitions, lost } => {
                info!(partitions = partitions.len(), lost, "revoked");
                self.give_up(partitions, lost).await
            }
        }
    }

    async fn on_report(&mut self, report: LaneReport) -> Result<(), WorkerError> {
        if matches!(report.event, LaneEvent::Failed) {
            self.settle().await?;
        }
        if !self.crew.is_current(&report) {
            return Ok(());
        }
        match report.event {
            LaneEvent::Full => {
                self.epoch.full = true;
                Ok(())
            }
            LaneEvent::SchemaChange(schema) => self.change_schema(schema).await,
            LaneEvent::Failed => self.close_epoch().await,
        }
    }

    /// What became of the epoch that was being entered.
    async fn on_entered(&mut self, entered: Result<Appended, EpochError>) -> Result<(), WorkerError> {
        match entered {
            Ok(Appended::Entered(entry)) => self.note_entry(&entry),
            Ok(Appended::Lost(Verdict::ConfigurationMoved { in_force })) => {
                Err(WorkerError::OtherConfiguration { in_force })
            }
            Ok(Appended::Lost(Verdict::Refused(what))) => Err(WorkerError::Refused(what)),
            Ok(Appended::Lost(verdict)) => {
                warn!(?verdict, "the epoch is lost; recovering its tasks");
                self.recover().await
            }
            Ok(Appended::Expired) => {
                warn!("the epoch took too long to enter; recovering its tasks");
                self.recover().await
            }
            // If the source has ended, its own event says why.
            Err(EpochError::Topics(TopicError::Source(error))) if !error.is_transient() => {
                self.or_source_failure(Err(error))
            }
            Err(error) if error.is_transient() => {
                warn!(%error, "the epoch is not entered; recovering its tasks");
                self.recover().await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for the epoch that is being entered, if there is one. Afterwards none is.
    async fn settle(&mut self) -> Result<(), WorkerError> {
        if self.in_flight.is_some() {
            let entered = finished(&mut self.in_flight).await;
            self.on_entered(entered).await?;
        }
        Ok(())
    }

    fn look(&mut self) -> Result<(), WorkerError> {
        let state = self.writer.ledger.state();
        let applies = state.tasks.keys().next().is_some_and(|lowest| self.tasks.owned.contains_key(lowest));
        if let Some(appliers) = &self.appliers {
            appliers.set_applier(applies);
            let behind = is_behind(appliers, &self.settings.backlog)?;
            self.intake.hold(behind);
            self.health.set_behind(behind);
        }
        self.topics.look_if_due();
        if applies && self.sweep.last.elapsed() >= SWEEP_EVERY {
            self.start_sweep();
        }
        self.health.set_failing(self.tasks.recoveries > 0);
        self.report();
        Ok(())
    }

    fn start_sweep(&mut self) {
        self.sweep.last = Instant::now();
        self.sweep.task.abort_all();
        let ledger = self.writer.ledger.clone();
        let files = Files { tables: self.writer.tables.clone(), state: self.writer.state.store().clone() };
        let progress = self.appliers.iter().flat_map(|appliers| appliers.progress());
        let marks: BTreeMap<String, EntryNumber> =
            progress.map(|(sink, progress)| (sink.to_owned(), progress.record.mark)).collect();
        self.sweep.task.spawn(async move { sweep(&ledger, &files, &marks).await });
    }

    fn has_reached(&self, targets: &[(TopicPartition, i64)]) -> bool {
        let state = self.writer.ledger.state();
        let is_read = |(partition, end): &(TopicPartition, i64)| {
            state.tasks.get(partition).is_some_and(|task| task.position >= *end)
        };
        targets.iter().all(is_read) && self.is_applied(state.number)
    }

    fn is_applied(&self, number: EntryNumber) -> bool {
        self.appliers.as_ref().is_none_or(|appliers| appliers.applied_up_to() >= number)
    }

    /// Enters what is open, lets the sinks follow, and leaves.
    async fn leave(&mut self) -> Result<(), WorkerError> {
        self.health.set_stage(Stage::Stopping);
        self.intake.hold(true);
        match timeout(LAST_ENTRY, self.close_and_enter(None)).await {
            Ok(Err(WorkerError::OtherConfiguration { .. })) => {
                warn!("leaving under another configuration; the next worker reads the open epoch again");
            }
            Ok(entered) => entered?,
            Err(_) => warn!("leaving before the open epoch could be entered; the next worker reads it again"),
        }
        if let Some(appliers) = &self.appliers {
            appliers.set_applier(true);
        }
        let deadline = Instant::now() + LAST_APPLICATION;
        let last = self.writer.ledger.state().number;
        while !self.is_applied(last) {
            if let Ok(error) = self.events.appliers.try_recv() {
                return Err(error.into());
            }
            if Instant::now() > deadline {
                warn!(
                    "leaving before the sinks hold everything that was entered; the next worker applies it"
                );
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// If the source ended, its own error says more than that nobody answers.
    fn or_source_failure<T>(&mut self, answer: Result<T, SourceError>) -> Result<T, WorkerError> {
        answer.map_err(|error| {
            loop {
                match self.events.intake.try_recv() {
                    Ok(IntakeEvent::Failed(cause)) => return cause.into(),
                    Ok(_) => {}
                    Err(_) => return error.into(),
                }
            }
        })
    }
}

/// Whether the source is to be held until the sinks have followed.
fn is_behind(appliers: &Appliers, limits: &BacklogLimits) -> Result<bool, WorkerError> {
    let mut behind = false;
    for (sink, backlog) in appliers.backlogs() {
        if limits.stop(&backlog) {
            let why = appliers.fault(sink).map_or_else(String::new, |fault| format!(" ({fault})"));
            return Err(WorkerError::Backlog { sink: sink.to_owned(), backlog, why });
        }
        behind |= limits.hold(&backlog);
    }
    Ok(behind)
}

/// The outcome of the epoch in flight; waits for ever where there is none.
async fn finished(
    in_flight: &mut Option<JoinHandle<Result<Appended, EpochError>>>,
) -> Result<Appended, EpochError> {
    match in_flight {
        Some(handle) => {
            let outcome = handle.await;
            *in_flight = None;
            outcome.unwrap_or_else(|error| Err(EpochError::Task(error.to_string())))
        }
        None => std::future::pending().await,
    }
}

fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}
