//! A lane: one thread that owns tasks, their plugin instances and the writers of their sinks.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};
use tracing::{debug, debug_span};
use uuid::Uuid;

use super::budget::Budget;
use super::event_clock::{EventClock, EventTimePlan};
use super::outputs::{Outputs, SinkFiles, SinkLayout};
use super::references::TableSwitch;
use super::task::{Processed, Task, TaskCut, TaskError, TaskFault, TaskStart};
use super::tree::LayerTree;
use crate::batch::RawBatch;
use crate::decode::{DecodeSettings, Decoder};
use crate::progress::TopicPartition;
use crate::schema::RecordSchema;
use crate::source::Generation;
use crate::telemetry::Metrics;

/// What a lane needs to open tasks under one schema version.
#[derive(Clone)]
pub struct TaskPlan {
    pub tree: Arc<LayerTree>,
    pub decode: DecodeSettings,
    pub event_time: Option<Arc<EventTimePlan>>,
    pub records: RecordSchema,
    pub layouts: Arc<[SinkLayout]>,
}

/// How much an open epoch may hold, in each lane.
#[derive(Debug, Clone, Copy)]
pub struct EpochLimits {
    pub rows: u64,
    pub bytes: usize,
}

pub enum LaneCommand {
    Batch {
        batch: RawBatch,
        generation: Generation,
    },
    /// Drops all tasks and everything since the last cut, and works under this plan from now on.
    Reset(Box<TaskPlan>),
    Open(Vec<TaskStart>),
    /// The tasks take no more batches, so that the next cut holds all that they did.
    Retire(Vec<TopicPartition>),
    /// Drops tasks that were retired and cut.
    Drop(Vec<TopicPartition>),
    /// Hands over what was done since the last cut. Batches that wait stay for the next epoch, which has another version
    /// of a reference table if one is given.
    Cut {
        epoch: u64,
        switch: Option<TableSwitch>,
        reply: oneshot::Sender<Result<LaneCut, LaneError>>,
    },
}

/// What a lane says without being asked.
pub struct LaneReport {
    /// How often the lane had been reset: what it said before the last time is out of date.
    pub resets: u64,
    pub event: LaneEvent,
}

pub enum LaneEvent {
    /// The open epoch has reached its limit: the lane waits to be cut.
    Full,
    /// Records ask for this schema: the lane waits to be reset.
    SchemaChange(RecordSchema),
    /// The lane's epoch is lost: the next cut says why, and then it waits to be reset.
    Failed,
}

#[derive(Debug, thiserror::Error)]
pub enum LaneError {
    #[error(transparent)]
    Task(#[from] TaskError),
    #[error("{0}")]
    Decoder(String),
    #[error(transparent)]
    Write(#[from] super::outputs::WriteError),
    #[error("the lane's epoch is lost")]
    Lost,
    #[error("a lane's thread has ended")]
    Gone,
}

impl LaneError {
    /// Whether a task cannot go on with another version of a reference table.
    pub fn is_refused_table(&self) -> bool {
        matches!(self, Self::Task(error) if matches!(*error.fault, TaskFault::Reference(_)))
    }
}

#[derive(Default)]
pub struct LaneCut {
    pub tasks: Vec<TaskCut>,
    pub files: Vec<SinkFiles>,
}

pub struct LaneHandle {
    commands: Sender<LaneCommand>,
    thread: Option<JoinHandle<()>>,
}

impl LaneHandle {
    pub fn spawn(
        index: usize,
        incarnation: Uuid,
        plan: TaskPlan,
        limits: EpochLimits,
        budget: Budget,
        reports: mpsc::UnboundedSender<LaneReport>,
        metrics: Arc<Metrics>,
    ) -> std::io::Result<Self> {
        let (commands, inbox) = channel();
        let lane = Lane {
            index,
            incarnation,
            outputs: Outputs::new(&plan.layouts, incarnation, index),
            plan,
            limits,
            budget,
            reports,
            metrics,
            inbox,
            tasks: HashMap::new(),
            waiting: VecDeque::new(),
            held: None,
            resets: 0,
            open_rows: 0,
        };
        let thread = std::thread::Builder::new().name(format!("lane-{index}")).spawn(move || lane.run())?;
        Ok(Self { commands, thread: Some(thread) })
    }

    /// A lane that has ended takes nothing; its report says why.
    pub fn send(&self, command: LaneCommand) {
        if self.commands.send(command).is_err() {
            debug!("a command for a lane that has ended");
        }
    }

    pub fn commands(&self) -> Sender<LaneCommand> {
        self.commands.clone()
    }

    pub async fn cut(&self, epoch: u64, switch: Option<TableSwitch>) -> Result<LaneCut, LaneError> {
        let (reply, answer) = oneshot::channel();
        self.send(LaneCommand::Cut { epoch, switch, reply });
        answer.await.map_err(|_| LaneError::Gone)?
    }
}

impl Drop for LaneHandle {
    fn drop(&mut self) {
        // The source's senders are gone by now, so replacing ours ends the lane.
        let (closed, _) = channel();
        self.commands = closed;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("a lane panicked");
        }
    }
}

/// Why a lane processes nothing until it gets a command.
enum Held {
    /// Until the next cut.
    Full,
    /// Until the next reset; what was done before can still be cut.
    Schema,
    /// Until the next reset: the open epoch is lost, for this reason.
    Lost(LaneError),
}

struct Lane {
    index: usize,
    incarnation: Uuid,
    plan: TaskPlan,
    limits: EpochLimits,
    budget: Budget,
    reports: mpsc::UnboundedSender<LaneReport>,
    metrics: Arc<Metrics>,
    inbox: Receiver<LaneCommand>,
    tasks: HashMap<TopicPartition, Task>,
    outputs: Outputs,
    waiting: VecDeque<(RawBatch, Generation)>,
    held: Option<Held>,
    resets: u64,
    open_rows: u64,
}

impl Lane {
    fn run(mut self) {
        let _span = debug_span!("lane", index = self.index).entered();
        loop {
            // Commands overtake batches, so that a cut does not wait for what was fetched ahead.
            let command = if self.held.is_none() && !self.waiting.is_empty() {
                match self.inbox.try_recv() {
                    Ok(command) => Some(command),
                    Err(TryRecvError::Empty) => None,
                    Err(TryRecvError::Disconnected) => return,
                }
            } else {
                match self.inbox.recv() {
                    Ok(command) => Some(command),
                    Err(_) => return,
                }
            };
            match command {
                Some(command) => self.obey(command),
                None => self.process_next(),
            }
        }
    }

    fn obey(&mut self, command: LaneCommand) {
        match command {
            LaneCommand::Batch { batch, generation } => self.waiting.push_back((batch, generation)),
            LaneCommand::Reset(plan) => self.reset(*plan),
            LaneCommand::Open(starts) => {
                for start in starts {
                    if let Err(error) = self.open(start) {
                        self.fail(error);
                    }
                }
            }
            LaneCommand::Retire(partitions) => {
                for partition in partitions {
                    if let Some(task) = self.tasks.get_mut(&partition) {
                        task.retire();
                    }
                }
            }
            LaneCommand::Drop(partitions) => {
                for partition in partitions {
                    self.tasks.remove(&partition);
                }
            }
            LaneCommand::Cut { epoch, switch, reply } => {
                let cut = self.cut(epoch, switch);
                if cut.is_err() {
                    self.held = Some(Held::Lost(LaneError::Lost));
                }
                if reply.send(cut).is_err() {
                    debug!("nobody waits for the cut any more");
                }
            }
        }
    }

    fn open(&mut self, start: TaskStart) -> Result<(), LaneError> {
        let decoder = Decoder::new(self.plan.decode.clone(), self.plan.records.clone())
            .map_err(|error| LaneError::Decoder(error.to_string()))?;
        let partition = start.partition.clone();
        let clock = EventClock::new(self.plan.event_time.clone(), start.max_event_time, now_us());
        let task = Task::open(self.plan.tree.clone(), decoder, clock, self.metrics.clone(), start)?;
        self.tasks.insert(partition, task);
        Ok(())
    }

    fn process_next(&mut self) {
        let Some((mut batch, generation)) = self.waiting.pop_front() else { return };
        let task = self.tasks.get_mut(&batch.partition).filter(|task| task.expects(&batch, generation));
        let Some(task) = task else {
            debug!(partition = %batch.partition, range = %batch.range, "a batch of an earlier start is left out");
            return self.budget.give_back(batch.size());
        };
        if let Some(offset) = task.divides(&batch) {
            self.waiting.push_front((batch.split_off(offset), generation));
        }
        if task.must_cut_before(&batch) {
            self.waiting.push_front((batch, generation));
            return self.hold(Held::Full, LaneEvent::Full);
        }
        let processed = task.process(&batch, now_us(), &mut self.outputs);
        if let Ok(Processed::SchemaChange(schema)) = processed {
            self.waiting.push_front((batch, generation));
            return self.hold(Held::Schema, LaneEvent::SchemaChange(schema));
        }
        self.budget.give_back(batch.size());
        self.open_rows += batch.records.len() as u64;
        match processed {
            Err(error) => self.fail(error.into()),
            Ok(processed) if matches!(processed, Processed::Tried) || self.is_full() => {
                self.hold(Held::Full, LaneEvent::Full);
            }
            Ok(_) => {}
        }
    }

    fn is_full(&self) -> bool {
        self.open_rows >= self.limits.rows || self.outputs.buffered_bytes() >= self.limits.bytes
    }

    fn cut(&mut self, epoch: u64, switch: Option<TableSwitch>) -> Result<LaneCut, LaneError> {
        if let Some(Held::Lost(error)) = &mut self.held {
            return Err(std::mem::replace(error, LaneError::Lost));
        }
        let mut tasks = Vec::new();
        for task in self.tasks.values_mut() {
            task.advance_idle(now_us(), &mut self.outputs)?;
            tasks.extend(task.cut()?);
        }
        self.open_rows = 0;
        self.held.take_if(|held| matches!(held, Held::Full));
        let files = self.outputs.cut(epoch)?;
        if let Some(switch) = switch {
            self.switch(switch)?;
        }
        Ok(LaneCut { tasks, files })
    }

    fn switch(&mut self, switch: TableSwitch) -> Result<(), LaneError> {
        let TableSwitch { place, tree, mut ready } = switch;
        for (partition, task) in &mut self.tasks {
            task.switch(place, &tree, ready.remove(partition))?;
        }
        self.plan.tree = tree;
        Ok(())
    }

    fn reset(&mut self, plan: TaskPlan) {
        self.tasks.clear();
        for (batch, _) in self.waiting.drain(..) {
            self.budget.give_back(batch.size());
        }
        self.outputs = Outputs::new(&plan.layouts, self.incarnation, self.index);
        self.plan = plan;
        self.open_rows = 0;
        self.resets += 1;
        self.held = None;
    }

    fn fail(&mut self, error: LaneError) {
        self.hold(Held::Lost(error), LaneEvent::Failed);
    }

    fn hold(&mut self, held: Held, event: LaneEvent) {
        self.held = Some(held);
        if self.reports.send(LaneReport { resets: self.resets, event }).is_err() {
            debug!("nobody hears the lane any more");
        }
    }
}

/// Wall clock, microseconds since the Unix epoch. Only idleness is judged by it.
fn now_us() -> i64 {
    chrono::Utc::now().timestamp_micros()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::references::RefusedTable;
    use crate::progress::OffsetRange;

    /// The worker goes on under the version before after these, and after no others.
    #[test]
    fn a_table_that_a_task_refuses_is_told_from_other_faults() {
        let failed = |fault: TaskFault| {
            let (partition, range) = (TopicPartition::new("events", 0), OffsetRange::empty_at(0));
            LaneError::from(TaskError { partition, range, fault: Box::new(fault) })
        };
        assert!(failed(RefusedTable::OtherPlan.into()).is_refused_table());
        let (layer, step, what) = ("gold".to_owned(), "sum".to_owned(), String::new());
        assert!(!failed(TaskFault::Restore { layer, step, what }).is_refused_table());
        assert!(!LaneError::Lost.is_refused_table());
    }
}
