//! Making an epoch durable: upload, then one entry in the ledger.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use futures::future::try_join_all;
use object_store::ObjectStore;
use tracing::warn;
use uuid::Uuid;

use super::lane::LaneCut;
use super::outputs::SinkLayout;
use super::state_objects::{StateError, StateObjects};
use super::task::TaskCut;
use super::topics::{TopicError, TopicWatch};
use crate::crash;
use crate::ledger::entry::{
    Body, DataFile, EntryNumber, Epoch, SinkEntry, SinkRecord, StateSegment, TaskEntry, Writer,
};
use crate::ledger::{Appended, Ledger, LedgerError, Proposal};
use crate::progress::TopicPartition;
use crate::schema::RecordSchema;
use crate::sink::rows::{self, EncodedFile, RowsError};
use crate::source::Topic;
use crate::telemetry::{Metrics, Phase};

/// Enters the epochs of one worker, one at a time.
#[derive(Clone)]
pub struct EpochWriter {
    pub ledger: Ledger,
    pub incarnation: Uuid,
    /// The digest of the configuration that the worker runs under.
    pub configuration: String,
    pub state: StateObjects,
    pub topics: TopicWatch,
    /// For each sink, where its files go.
    pub tables: Arc<[Arc<dyn ObjectStore>]>,
    pub layouts: Arc<[SinkLayout]>,
    pub metrics: Arc<Metrics>,
}

/// An epoch as the lanes handed it over.
pub struct EpochCut {
    pub epoch: u64,
    /// Milliseconds since the Unix epoch.
    pub opened_at_ms: i64,
    pub schema_version: u64,
    pub proposes_schema: Option<RecordSchema>,
    pub lanes: Vec<LaneCut>,
    /// For each task, the entry that it goes on from.
    pub builds_on: HashMap<TopicPartition, EntryNumber>,
    pub seen: BTreeMap<String, SinkRecord>,
    /// The versions of the reference tables that its rows were looked up in.
    pub references: BTreeMap<String, String>,
}

/// Faults of the moment and broken ledgers alike: the epoch is dropped, and its tasks are recovered.
#[derive(Debug, thiserror::Error)]
pub enum EpochError {
    #[error("sink `{sink}`: {error}")]
    Upload { sink: String, error: RowsError },
    #[error(transparent)]
    Topics(#[from] TopicError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("the task that enters epochs failed: {0}")]
    Task(String),
}

impl EpochError {
    /// Whether reading the epoch again can help. All other errors stop the pipeline.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Upload { error, .. } => matches!(error, RowsError::Store { .. }),
            Self::Topics(error) => error.is_transient(),
            Self::State(error) => error.is_transient(),
            Self::Ledger(error) => error.is_transient(),
            Self::Task(_) => false,
        }
    }
}

impl EpochCut {
    /// Whether there is nothing in it that an entry would record.
    pub fn is_empty(&self) -> bool {
        self.proposes_schema.is_none() && self.lanes.iter().all(|lane| lane.tasks.is_empty())
    }
}

impl EpochWriter {
    pub async fn enter(&self, cut: EpochCut) -> Result<Appended, EpochError> {
        let writer = Writer { incarnation: self.incarnation, epoch: cut.epoch };
        let mut tasks = Vec::new();
        let mut files: BTreeMap<usize, Vec<EncodedFile>> = BTreeMap::new();
        for lane in cut.lanes {
            tasks.extend(lane.tasks);
            for sink in lane.files {
                files.entry(sink.sink).or_default().extend(sink.files);
            }
        }
        let started = Instant::now();
        crash::point("before_upload");
        let verified = async { Ok(self.topics.verify().await?) };
        let (sinks, topics) = tokio::try_join!(self.upload(files), verified)?;
        crash::point("after_upload");
        let known = self.ledger.state();
        crash::point("before_state_upload");
        let segments = self.state.put(writer, &known, &mut tasks).await?;
        crash::point("after_state_upload");
        self.metrics.epoch_phase(Phase::Upload, started.elapsed());
        let tasks = tasks
            .into_iter()
            .zip(segments)
            .map(|(task, state)| task_entry(task, state, &cut.builds_on, &topics))
            .collect();
        let body = Body::Epoch(Epoch {
            configuration: self.configuration.clone(),
            schema_version: cut.schema_version,
            proposes_schema: cut.proposes_schema,
            tasks,
            sinks,
            seen: cut.seen,
            references: cut.references,
        });
        let started = Instant::now();
        crash::point("before_entry");
        let appended = self.ledger.append(Proposal { writer, opened_at_ms: cut.opened_at_ms, body }).await?;
        crash::point("after_entry");
        self.metrics.epoch_phase(Phase::Entry, started.elapsed());
        if let Err(error) = self.ledger.snapshot_if_due().await {
            warn!(%error, "no snapshot of the ledger; the next epoch tries again");
        }
        Ok(appended)
    }

    async fn upload(
        &self,
        files: BTreeMap<usize, Vec<EncodedFile>>,
    ) -> Result<BTreeMap<String, SinkEntry>, EpochError> {
        let uploads = files.into_iter().filter_map(|(sink, files)| {
            let (table, layout) = (self.tables.get(sink)?, self.layouts.get(sink)?);
            Some(async move {
                let files: Vec<DataFile> = rows::upload(table, files)
                    .await
                    .map_err(|error| EpochError::Upload { sink: layout.name.clone(), error })?;
                Ok::<_, EpochError>((
                    layout.name.clone(),
                    SinkEntry { files, schema: Some(layout.table.clone()) },
                ))
            })
        });
        Ok(try_join_all(uploads).await?.into_iter().collect())
    }
}

fn task_entry(
    task: TaskCut,
    state: Vec<StateSegment>,
    builds_on: &HashMap<TopicPartition, EntryNumber>,
    topics: &[Topic],
) -> TaskEntry {
    TaskEntry {
        builds_on: builds_on.get(&task.partition).copied(),
        topic_id: id_of(&task.partition, topics),
        partition: task.partition,
        range: task.range,
        accounting: task.accounting,
        max_event_time: task.max_event_time,
        watermark: task.watermark,
        state,
    }
}

/// The id of a partition's topic.
pub fn id_of(partition: &TopicPartition, topics: &[Topic]) -> Option<String> {
    topics.iter().find(|topic| topic.name == partition.topic)?.id.clone()
}
