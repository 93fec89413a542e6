//! The source's thread: it polls, routes batches to lanes, and keeps within the budget.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tracing::warn;

use super::budget::Budget;
use super::lane::LaneCommand;
use crate::progress::TopicPartition;
use crate::source::{EndOffsets, Generation, Source, SourceError, SourceEvent, SourceSettings, Topic};

/// How long a command may wait behind a poll.
const POLL_TIMEOUT: Duration = Duration::from_millis(20);
/// How long a broker that does not answer is asked again.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long a topic may be missing: a broker that has just started does not know it yet.
const TOPIC_PATIENCE: Duration = Duration::from_secs(10);
const BETWEEN_QUESTIONS: Duration = Duration::from_millis(500);

/// Which of `lanes` owns a partition. The partitions of a topic are spread evenly.
pub fn lane_of(partition: &TopicPartition, lanes: usize) -> usize {
    let topic =
        partition.topic.bytes().fold(0usize, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
    topic.wrapping_add(usize::try_from(partition.partition).unwrap_or(0)) % lanes.max(1)
}

type Reply<T> = oneshot::Sender<Result<T, SourceError>>;

enum IntakeCommand {
    Topics { reply: Reply<Vec<Topic>> },
    FirstPositions { partitions: Vec<TopicPartition>, reply: Reply<Vec<(TopicPartition, i64)>> },
    EndPositions { reply: Reply<Vec<(TopicPartition, i64)>> },
    Start { positions: Vec<(TopicPartition, i64)>, generation: Generation, reply: Reply<()> },
    Release { partitions: Vec<TopicPartition>, reply: Reply<()> },
    Commit(Vec<(TopicPartition, i64)>),
}

/// What the group, or the source's end, asks of the worker.
pub enum IntakeEvent {
    Assigned(Vec<TopicPartition>),
    Revoked { partitions: Vec<TopicPartition>, lost: bool },
    Failed(SourceError),
}

/// The worker's side of the source's thread. Dropping it leaves the group.
pub struct Intake {
    handle: IntakeHandle,
    thread: Option<JoinHandle<()>>,
    flags: Arc<Flags>,
    ends: EndOffsets,
}

/// Asks the source's thread. It may outlive the thread: then there is no answer.
#[derive(Clone)]
pub struct IntakeHandle {
    commands: Sender<IntakeCommand>,
}

#[derive(Default)]
struct Flags {
    ended: AtomicBool,
    hold: AtomicBool,
    paused: AtomicBool,
    connected: AtomicBool,
}

impl Intake {
    /// Connects on the new thread; a failure comes as [`IntakeEvent::Failed`].
    pub fn spawn(
        settings: SourceSettings,
        lanes: Vec<Sender<LaneCommand>>,
        budget: Budget,
        events: mpsc::UnboundedSender<IntakeEvent>,
    ) -> std::io::Result<Self> {
        let (commands, inbox) = channel();
        let (flags, ends) = (Arc::<Flags>::default(), EndOffsets::default());
        let (poller_flags, poller_ends) = (flags.clone(), ends.clone());
        let thread = std::thread::Builder::new().name("source".to_owned()).spawn(move || {
            let run = || -> Result<(), SourceError> {
                let source = settings.open(poller_ends)?;
                Poller { source, lanes, budget, inbox, events: events.clone(), flags: poller_flags }.run()
            };
            if let Err(error) = run() {
                // Without a listener the worker is gone already.
                let _ = events.send(IntakeEvent::Failed(error));
            }
        })?;
        Ok(Self { handle: IntakeHandle { commands }, thread: Some(thread), flags, ends })
    }

    pub fn handle(&self) -> IntakeHandle {
        self.handle.clone()
    }

    /// Stops fetching, or goes on, for reasons other than the budget.
    pub fn hold(&self, hold: bool) {
        self.flags.hold.store(hold, Ordering::Relaxed);
    }

    pub fn connected(&self) -> bool {
        self.flags.connected.load(Ordering::Relaxed)
    }

    pub fn is_paused(&self) -> bool {
        self.flags.paused.load(Ordering::Relaxed)
    }

    /// The end of each partition that is being read, as of some moments ago.
    pub fn end_offsets(&self) -> Vec<(TopicPartition, i64)> {
        self.ends.get()
    }

    /// Where partitions of topics start that the ledger does not know.
    pub async fn first_positions(
        &self,
        partitions: Vec<TopicPartition>,
    ) -> Result<Vec<(TopicPartition, i64)>, SourceError> {
        self.handle.ask(|reply| IntakeCommand::FirstPositions { partitions: partitions.clone(), reply }).await
    }

    /// The ends of all partitions of all topics that hold anything.
    pub async fn end_positions(&self) -> Result<Vec<(TopicPartition, i64)>, SourceError> {
        self.handle.ask(|reply| IntakeCommand::EndPositions { reply }).await
    }

    pub async fn start(
        &self,
        positions: Vec<(TopicPartition, i64)>,
        generation: Generation,
    ) -> Result<(), SourceError> {
        self.handle
            .ask(|reply| IntakeCommand::Start { positions: positions.clone(), generation, reply })
            .await
    }

    pub async fn release(&self, partitions: Vec<TopicPartition>) -> Result<(), SourceError> {
        self.handle.ask(|reply| IntakeCommand::Release { partitions: partitions.clone(), reply }).await
    }

    pub fn commit(&self, positions: Vec<(TopicPartition, i64)>) {
        // If the thread has ended, its event says why.
        let _ = self.handle.commands.send(IntakeCommand::Commit(positions));
    }
}

impl IntakeHandle {
    /// The topics of the source, as they are now.
    pub async fn topics(&self) -> Result<Vec<Topic>, SourceError> {
        self.ask(|reply| IntakeCommand::Topics { reply }).await
    }

    /// Asks, and asks again while the broker does not answer: brokers restart.
    async fn ask<T>(&self, command: impl Fn(Reply<T>) -> IntakeCommand) -> Result<T, SourceError> {
        let asked = Instant::now();
        loop {
            let (reply, answer) = oneshot::channel();
            let ended = || SourceError::Broken("the source has ended".to_owned());
            self.commands.send(command(reply)).map_err(|_| ended())?;
            let error = match answer.await.map_err(|_| ended())? {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let patience = match error {
                SourceError::Unreachable { .. } => PATIENCE,
                SourceError::NoTopic { .. } => TOPIC_PATIENCE,
                _ => return Err(error),
            };
            if asked.elapsed() > patience {
                return Err(error);
            }
            warn!(%error, "asking again");
            tokio::time::sleep(BETWEEN_QUESTIONS).await;
        }
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.flags.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the source's thread panicked");
        }
    }
}

struct Poller {
    source: Box<dyn Source>,
    lanes: Vec<Sender<LaneCommand>>,
    budget: Budget,
    inbox: Receiver<IntakeCommand>,
    events: mpsc::UnboundedSender<IntakeEvent>,
    flags: Arc<Flags>,
}

impl Poller {
    fn run(mut self) -> Result<(), SourceError> {
        loop {
            if self.flags.ended.load(Ordering::Relaxed) {
                return Ok(());
            }
            while let Ok(command) = self.inbox.try_recv() {
                self.obey(command);
            }
            if self.flags.hold.load(Ordering::Relaxed) || self.budget.is_exhausted() {
                self.source.pause()?;
                self.flags.paused.store(true, Ordering::Relaxed);
            } else if self.budget.is_relaxed() {
                self.source.resume()?;
                self.flags.paused.store(false, Ordering::Relaxed);
            }
            if let Some(event) = self.source.poll(POLL_TIMEOUT)? {
                self.hand_over(event);
            }
            self.flags.connected.store(self.source.connected(), Ordering::Relaxed);
        }
    }

    fn obey(&mut self, command: IntakeCommand) {
        // A reply that nobody waits for any more is no fault of the source.
        match command {
            IntakeCommand::Topics { reply } => {
                let _ = reply.send(self.source.topics());
            }
            IntakeCommand::FirstPositions { partitions, reply } => {
                let positions = partitions
                    .into_iter()
                    .map(|partition| self.source.first_position(&partition).map(|offset| (partition, offset)))
                    .collect();
                let _ = reply.send(positions);
            }
            IntakeCommand::EndPositions { reply } => {
                let _ = reply.send(self.end_positions());
            }
            IntakeCommand::Start { positions, generation, reply } => {
                let _ = reply.send(self.source.start(&positions, generation));
            }
            IntakeCommand::Release { partitions, reply } => {
                let _ = reply.send(self.source.release(&partitions));
            }
            IntakeCommand::Commit(positions) => self.source.commit(&positions),
        }
    }

    fn end_positions(&self) -> Result<Vec<(TopicPartition, i64)>, SourceError> {
        let mut ends = Vec::new();
        for partition in self.source.partitions()? {
            let (low, high) = self.source.watermarks(&partition)?;
            if low < high {
                ends.push((partition, high));
            }
        }
        Ok(ends)
    }

    fn hand_over(&mut self, event: SourceEvent) {
        match event {
            SourceEvent::Batch { batch, generation } => {
                let lane = lane_of(&batch.partition, self.lanes.len());
                let size = batch.size();
                self.budget.take(size);
                let sent =
                    self.lanes.get(lane).map(|lane| lane.send(LaneCommand::Batch { batch, generation }));
                if !matches!(sent, Some(Ok(()))) {
                    self.budget.give_back(size);
                }
            }
            SourceEvent::Assigned(partitions) => self.tell(IntakeEvent::Assigned(partitions)),
            SourceEvent::Revoked { partitions, lost } => self.tell(IntakeEvent::Revoked { partitions, lost }),
        }
    }

    fn tell(&self, event: IntakeEvent) {
        // Without a listener the worker is ending, and drops the source next.
        let _ = self.events.send(event);
    }
}
