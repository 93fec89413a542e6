//! All lanes of a worker.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use futures::future::try_join_all;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::budget::Budget;
use super::intake::lane_of;
use super::lane::{EpochLimits, LaneCommand, LaneCut, LaneError, LaneHandle, LaneReport, TaskPlan};
use super::references::TableSwitch;
use super::task::TaskStart;
use crate::progress::TopicPartition;
use crate::telemetry::Metrics;

pub struct Crew {
    lanes: Vec<LaneHandle>,
    resets: u64,
}

impl Crew {
    /// `limits` are the whole worker's.
    pub fn spawn(
        threads: usize,
        incarnation: Uuid,
        plan: &TaskPlan,
        limits: EpochLimits,
        budget: &Budget,
        reports: &mpsc::UnboundedSender<LaneReport>,
        metrics: &Arc<Metrics>,
    ) -> std::io::Result<Self> {
        let threads = threads.max(1);
        let limits = EpochLimits {
            rows: (limits.rows / threads as u64).max(1),
            bytes: (limits.bytes / threads).max(1),
        };
        let lanes = (0..threads)
            .map(|index| {
                LaneHandle::spawn(
                    index,
                    incarnation,
                    plan.clone(),
                    limits,
                    budget.clone(),
                    reports.clone(),
                    metrics.clone(),
                )
            })
            .collect::<std::io::Result<_>>()?;
        Ok(Self { lanes, resets: 0 })
    }

    /// For the source, which sends batches to the lanes directly.
    pub fn commands(&self) -> Vec<Sender<LaneCommand>> {
        self.lanes.iter().map(LaneHandle::commands).collect()
    }

    /// Drops all tasks and everything since the last cut.
    pub fn reset(&mut self, plan: &TaskPlan) {
        self.resets += 1;
        for lane in &self.lanes {
            lane.send(LaneCommand::Reset(Box::new(plan.clone())));
        }
    }

    /// Whether a report was sent since the last reset.
    pub fn is_current(&self, report: &LaneReport) -> bool {
        report.resets == self.resets
    }

    pub fn open(&self, starts: Vec<TaskStart>) {
        let mut by_lane: HashMap<usize, Vec<TaskStart>> = HashMap::new();
        for start in starts {
            by_lane.entry(lane_of(&start.partition, self.lanes.len())).or_default().push(start);
        }
        for (lane, starts) in by_lane {
            self.lanes[lane].send(LaneCommand::Open(starts));
        }
    }

    pub fn retire(&self, partitions: &[TopicPartition]) {
        for lane in &self.lanes {
            lane.send(LaneCommand::Retire(partitions.to_vec()));
        }
    }

    pub fn drop_tasks(&self, partitions: &[TopicPartition]) {
        for lane in &self.lanes {
            lane.send(LaneCommand::Drop(partitions.to_vec()));
        }
    }

    /// A cut through all tasks, each at a batch boundary. What comes after it has another version of a reference table if
    /// one is given; after an error, some tasks may have it and others not.
    pub async fn cut(&self, epoch: u64, switch: Option<TableSwitch>) -> Result<Vec<LaneCut>, LaneError> {
        let mut switches = self.divide(switch).into_iter();
        let cuts = self.lanes.iter().map(|lane| lane.cut(epoch, switches.next().flatten()));
        try_join_all(cuts).await
    }

    /// For each lane its part.
    fn divide(&self, switch: Option<TableSwitch>) -> Vec<Option<TableSwitch>> {
        let Some(TableSwitch { place, tree, ready }) = switch else { return Vec::new() };
        let part = |_| TableSwitch { place, tree: tree.clone(), ready: HashMap::new() };
        let mut parts: Vec<TableSwitch> = self.lanes.iter().map(part).collect();
        for (partition, step) in ready {
            parts[lane_of(&partition, self.lanes.len())].ready.insert(partition, step);
        }
        parts.into_iter().map(Some).collect()
    }
}
