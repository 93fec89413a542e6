//! Tasks from the ledger: at the start, at an assignment, after a lost epoch, under a new schema version.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tracing::{debug, info};

use super::{Worker, WorkerError, now_ms};
use crate::ledger::entry::{Body, Epoch, TaskEntry, Writer};
use crate::ledger::{Appended, Proposal, Verdict};
use crate::pipeline::applying::Appliers;
use crate::pipeline::epoch::id_of;
use crate::pipeline::lane::TaskPlan;
use crate::pipeline::task::TaskStart;
use crate::pipeline::topics::TopicError;
use crate::progress::{Accounting, OffsetRange, TopicPartition};
use crate::source::Topic;

const LONGEST_PAUSE: Duration = Duration::from_secs(30);

impl Worker {
    /// Goes on from the ledger after an epoch was lost; after several in a row with a pause before.
    pub(super) async fn recover(&mut self) -> Result<(), WorkerError> {
        if self.tasks.recoveries > 0 {
            let pause = Duration::from_millis(100).saturating_mul(1 << self.tasks.recoveries.min(16));
            tokio::time::sleep(pause.min(LONGEST_PAUSE)).await;
        }
        self.tasks.recoveries += 1;
        self.restart().await
    }

    /// Drops everything that is not in the ledger, and goes on from there.
    pub(super) async fn restart(&mut self) -> Result<(), WorkerError> {
        let state = self.writer.ledger.refresh().await?;
        let plan = self.blueprint.plan_in_force(&state)?;
        self.crew.reset(&plan);
        self.writer.layouts = plan.layouts.clone();
        self.epoch.schema_version = state.schema_version;
        self.epoch.full = false;
        self.tasks.outgrown.clear();
        self.references.try_again();
        self.follow_sinks(&plan).await?;
        let partitions = self.tasks.owned.keys().cloned().collect();
        self.open(partitions).await?;
        self.rehearse_table()
    }

    /// The partitions' tasks are this worker's from now on, wherever the ledger has them.
    pub(super) fn own(&mut self, partitions: &[TopicPartition]) {
        let state = self.writer.ledger.state();
        let entry = |partition: &TopicPartition| state.tasks.get(partition).map_or(0, |task| task.entry);
        self.tasks.owned.extend(partitions.iter().map(|partition| (partition.clone(), entry(partition))));
    }

    /// Takes on partitions that it owns.
    pub(super) async fn take_on(&mut self, partitions: Vec<TopicPartition>) -> Result<(), WorkerError> {
        let state = self.writer.ledger.refresh().await?;
        if state.schema_version == self.epoch.schema_version {
            return self.open(partitions).await;
        }
        self.recover().await
    }

    /// Opens tasks anew, from the ledger, whose plugins' memory has grown. The other tasks go on meanwhile.
    pub(super) async fn recycle(&mut self) -> Result<(), WorkerError> {
        let outgrown = std::mem::take(&mut self.tasks.outgrown).into_iter();
        let partitions: Vec<_> = outgrown.filter(|task| self.tasks.owned.contains_key(task)).collect();
        info!(
            partitions = partitions.len(),
            "the memory of plugins has grown: restoring their state into new instances"
        );
        let generation = self.tasks.generation;
        self.crew.retire(&partitions);
        self.close_and_enter(None).await?;
        if self.tasks.generation != generation {
            debug!("a recovery meanwhile has started all tasks anew");
            return Ok(());
        }
        self.crew.drop_tasks(&partitions);
        self.take_on(partitions).await
    }

    /// Gives partitions back: what was done for them is entered first, unless they are lost already.
    pub(super) async fn give_up(
        &mut self,
        partitions: Vec<TopicPartition>,
        lost: bool,
    ) -> Result<(), WorkerError> {
        let generation = self.tasks.generation;
        let entered = if lost {
            self.settle().await
        } else {
            self.crew.retire(&partitions);
            self.close_and_enter(None).await
        };
        // A recovery meanwhile has started the partitions anew.
        let is_open = lost || self.tasks.generation != generation;
        for partition in &partitions {
            self.tasks.owned.remove(partition);
            self.tasks.suspects.remove(partition);
            self.metrics.partition_revoked(partition);
        }
        self.crew.drop_tasks(&partitions);
        let released = self.intake.release(partitions).await;
        self.or_source_failure(released)?;
        entered?;
        if is_open {
            // The open epoch may hold rows of theirs.
            self.recover().await?;
        }
        Ok(())
    }

    /// Follows the sinks as soon as the layout of their rows is known.
    pub(super) async fn follow_sinks(&mut self, plan: &TaskPlan) -> Result<(), WorkerError> {
        if self.appliers.is_none() && !plan.tree.layers.is_empty() {
            let sinks = self.open_sinks.open(plan).await?;
            self.appliers = Some(Appliers::spawn(
                &self.writer.ledger,
                sinks,
                &self.events.applier_failures,
                &self.metrics,
            ));
        }
        Ok(())
    }

    /// Opens tasks where the ledger says, and starts reading.
    async fn open(&mut self, partitions: Vec<TopicPartition>) -> Result<(), WorkerError> {
        self.enter_first_positions(&partitions).await?;
        let state = self.writer.ledger.state();
        self.tasks.generation += 1;
        let mut starts = Vec::with_capacity(partitions.len());
        let mut positions = Vec::with_capacity(partitions.len());
        for partition in partitions {
            let Some(task) = state.tasks.get(&partition) else { continue };
            debug!(%partition, position = task.position, entry = task.entry, "going on");
            self.tasks.owned.insert(partition.clone(), task.entry);
            positions.push((partition.clone(), task.position));
            starts.push(TaskStart {
                suspect: self.tasks.suspects.get(&partition).cloned(),
                partition,
                generation: self.tasks.generation,
                position: task.position,
                max_event_time: task.max_event_time,
                state: self.writer.state.restore(&task.state).await?,
            });
        }
        self.crew.open(starts);
        let started = self.intake.start(positions, self.tasks.generation).await;
        self.or_source_failure(started)
    }

    /// The topics as they are now, if they are those that the ledger knows.
    pub(super) async fn verify_topics(&mut self) -> Result<Vec<Topic>, WorkerError> {
        self.writer.topics.verify().await.or_else(|error| match error {
            TopicError::Source(error) => self.or_source_failure(Err(error)),
            error => Err(error.into()),
        })
    }

    /// Where a topic starts is decided once, by an entry for all its partitions. One that is added later is wanted
    /// from its beginning.
    async fn enter_first_positions(&mut self, assigned: &[TopicPartition]) -> Result<(), WorkerError> {
        loop {
            let state = self.writer.ledger.refresh().await?;
            let topics = self.verify_topics().await?;
            let found = topics.iter().flat_map(|topic| {
                (0..topic.partitions).map(|partition| TopicPartition::new(topic.name.clone(), partition))
            });
            let unknown: BTreeSet<TopicPartition> = found
                .chain(assigned.iter().cloned())
                .filter(|partition| !state.tasks.contains_key(partition))
                .collect();
            if unknown.is_empty() {
                return Ok(());
            }
            info!(partitions = unknown.len(), "the ledger does not know these partitions yet");
            let (added, new): (Vec<_>, Vec<_>) = unknown
                .into_iter()
                .partition(|partition| state.tasks.keys().any(|task| task.topic == partition.topic));
            let first = self.intake.first_positions(new).await;
            let first = self.or_source_failure(first)?;
            let first = first.into_iter().chain(added.into_iter().map(|partition| (partition, 0)));
            self.epoch.number += 1;
            let writer = Writer { incarnation: self.writer.incarnation, epoch: self.epoch.number };
            let body = Body::Epoch(Epoch {
                configuration: self.writer.configuration.clone(),
                schema_version: state.schema_version,
                proposes_schema: None,
                tasks: first.map(|(partition, offset)| first_entry(partition, offset, &topics)).collect(),
                sinks: BTreeMap::new(),
                seen: BTreeMap::new(),
                references: BTreeMap::new(),
            });
            let proposal = Proposal { writer, opened_at_ms: now_ms(), body };
            match self.writer.ledger.append(proposal).await? {
                Appended::Entered(_) => return Ok(()),
                Appended::Lost(Verdict::ConfigurationMoved { in_force }) => {
                    return Err(WorkerError::OtherConfiguration { in_force });
                }
                Appended::Lost(Verdict::Refused(what)) => return Err(WorkerError::Refused(what)),
                lost => debug!(?lost, "somebody else was first"),
            }
        }
    }
}

fn first_entry(partition: TopicPartition, offset: i64, topics: &[Topic]) -> TaskEntry {
    TaskEntry {
        topic_id: id_of(&partition, topics),
        partition,
        builds_on: None,
        range: OffsetRange::empty_at(offset),
        accounting: Accounting::default(),
        max_event_time: None,
        watermark: None,
        state: Vec::new(),
    }
}
