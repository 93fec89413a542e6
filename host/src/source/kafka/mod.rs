//! The Kafka source: a group member that yields batches, assignments and revocations.

mod context;
mod open_batch;
mod positions;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tracing::{debug, warn};

pub use self::context::EndOffsets;
use self::context::{GroupChange, GroupContext};
use self::open_batch::OpenBatch;
use self::positions::partitions;
use super::{Generation, SourceError, SourceEvent, StartPosition};
use crate::progress::TopicPartition;

/// Everything that a [`KafkaSource`] needs to know. Plain data.
#[derive(Debug, Clone)]
pub struct KafkaSettings {
    pub brokers: String,
    pub topics: Vec<String>,
    pub group_id: String,
    pub start: StartPosition,
    /// Whether a position that the broker no longer has is skipped (and logged), or stops the pipeline.
    pub skip_lost_offsets: bool,
    /// librdkafka's own settings, under librdkafka's names.
    pub overrides: BTreeMap<String, String>,
    pub batch: BatchLimits,
    /// Bytes that librdkafka may hold ready for us.
    pub prefetch_bytes: usize,
}

/// A batch closes at whichever limit it reaches first.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    pub rows: usize,
    pub bytes: usize,
    pub time: Duration,
}

/// How long one question to the broker may take.
const BROKER_TIMEOUT: Duration = Duration::from_secs(15);

pub struct KafkaSource {
    settings: KafkaSettings,
    consumer: BaseConsumer<GroupContext>,
    /// Partitions that were started, with the batch that is being filled.
    open: HashMap<TopicPartition, OpenBatch>,
    /// The partition of the last message: the next one is mostly of the same.
    last: Option<TopicPartition>,
    ready: VecDeque<SourceEvent>,
    paused: bool,
}

impl KafkaSource {
    /// Joins the group. Fails if the broker cannot be reached or a topic does not exist.
    pub fn connect(settings: KafkaSettings, ends: EndOffsets) -> Result<Self, SourceError> {
        let consumer = client(&settings, ends)?;
        let source = Self {
            consumer,
            open: HashMap::new(),
            last: None,
            ready: VecDeque::new(),
            paused: false,
            settings,
        };
        source.partitions()?;
        let topics: Vec<&str> = source.settings.topics.iter().map(String::as_str).collect();
        source.consumer.subscribe(&topics).map_err(|error| SourceError::Broken(error.to_string()))?;
        Ok(source)
    }

    /// Every partition of the topics, without joining the group: whether Kafka can be reached.
    pub fn look_up(settings: &KafkaSettings) -> Result<Vec<TopicPartition>, SourceError> {
        partitions(&client(settings, EndOffsets::default())?, settings)
    }

    /// The next event, or `None` after `timeout` without one.
    ///
    /// Must be called at least every `max.poll.interval.ms`, or the group takes the partitions away.
    pub fn poll(&mut self, timeout: Duration) -> Result<Option<SourceEvent>, SourceError> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            let wait = self.next_flush().map_or(deadline, |flush| flush.min(deadline));
            // The message borrows the consumer, so it is taken in place.
            let Self { consumer, open, last, ready, settings, .. } = self;
            match consumer.poll(wait.saturating_duration_since(Instant::now())) {
                Some(Ok(message)) => take(&message, open, last, ready, settings),
                Some(Err(error)) => self.judge(error)?,
                None => {}
            }
            self.group_changes();
            self.flush_overdue();
            if self.ready.is_empty() && Instant::now() >= deadline {
                return Ok(None);
            }
        }
    }

    /// Starts assigned partitions at these offsets, or starts them anew elsewhere.
    ///
    /// Fails if the broker no longer holds an offset, unless lost offsets are to be skipped: then the first
    /// batch's range starts at the offset all the same.
    pub fn start(
        &mut self,
        positions: &[(TopicPartition, i64)],
        generation: Generation,
    ) -> Result<(), SourceError> {
        let again: Vec<TopicPartition> = positions
            .iter()
            .filter(|(partition, _)| self.open.contains_key(partition))
            .map(|(partition, _)| partition.clone())
            .collect();
        if !again.is_empty() {
            self.unassign(&again)?;
        }
        let mut list = TopicPartitionList::new();
        for (partition, offset) in positions {
            self.open.insert(partition.clone(), OpenBatch::new(partition.clone(), *offset, generation));
            let fetch_from = self.checked_position(partition, *offset)?;
            list.add_partition_offset(&partition.topic, partition.partition, Offset::Offset(fetch_from))
                .map_err(broken)?;
        }
        self.consumer.incremental_assign(&list).map_err(broken)?;
        if self.paused {
            self.consumer.pause(&list).map_err(broken)?;
        }
        Ok(())
    }

    /// Lets revoked partitions go: the group waits for this.
    pub fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), SourceError> {
        self.unassign(partitions)
    }

    /// Stops fetching. Events of the group still come.
    pub fn pause(&mut self) -> Result<(), SourceError> {
        if !self.paused {
            self.paused = true;
            self.consumer.pause(&self.started()).map_err(broken)?;
        }
        Ok(())
    }

    pub fn resume(&mut self) -> Result<(), SourceError> {
        if self.paused {
            self.paused = false;
            self.consumer.resume(&self.started()).map_err(broken)?;
        }
        Ok(())
    }

    /// Tells the group how far the ledger has come: advice for lag tools, never the truth.
    pub fn commit(&self, positions: &[(TopicPartition, i64)]) {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in positions {
            if let Err(error) =
                list.add_partition_offset(&partition.topic, partition.partition, Offset::Offset(*offset))
            {
                debug!(%partition, %error, "offset is not committed");
            }
        }
        if list.count() > 0
            && let Err(error) = self.consumer.commit(&list, CommitMode::Async)
        {
            debug!(%error, "offsets are not committed");
        }
    }

    /// Whether a broker has answered lately.
    pub fn connected(&self) -> bool {
        self.consumer.context().connected.load(Ordering::Relaxed)
    }

    fn started(&self) -> TopicPartitionList {
        list_of(self.open.keys())
    }

    /// Hands over group changes that the last poll brought.
    fn group_changes(&mut self) {
        for change in self.consumer.context().take_changes() {
            match change {
                GroupChange::Assigned(partitions) => self.ready.push_back(SourceEvent::Assigned(partitions)),
                GroupChange::Revoked(partitions) => {
                    let lost = self.consumer.assignment_lost();
                    for partition in &partitions {
                        if let Some(batch) = self.open.get_mut(partition).and_then(OpenBatch::flush) {
                            self.ready.push_back(batch);
                        }
                    }
                    if let Err(error) = self.consumer.pause(&list_of(&partitions)) {
                        debug!(%error, "revoked partitions are not paused");
                    }
                    self.ready.push_back(SourceEvent::Revoked { partitions, lost });
                }
            }
        }
    }

    fn next_flush(&self) -> Option<Instant> {
        self.open
            .values()
            .filter_map(OpenBatch::opened_at)
            .min()
            .map(|opened| opened + self.settings.batch.time)
    }

    fn flush_overdue(&mut self) {
        let now = Instant::now();
        for batch in self.open.values_mut() {
            if batch.opened_at().is_some_and(|opened| now >= opened + self.settings.batch.time) {
                self.ready.extend(batch.flush());
            }
        }
    }

    fn unassign(&mut self, partitions: &[TopicPartition]) -> Result<(), SourceError> {
        for partition in partitions {
            self.open.remove(partition);
        }
        // Also for an empty list: the group waits for the answer.
        self.consumer.incremental_unassign(&list_of(partitions)).map_err(broken)
    }

    fn judge(&mut self, error: KafkaError) -> Result<(), SourceError> {
        match error {
            KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset) => {
                Err(self.explain_lost_offsets())
            }
            KafkaError::MessageConsumption(code @ RDKafkaErrorCode::UnknownTopicOrPartition) => {
                Err(SourceError::Broken(format!("{code}: a topic or partition is gone")))
            }
            KafkaError::MessageConsumptionFatal(_) => Err(broken(error)),
            error => {
                warn!(%error, "Kafka reports a fault; going on");
                Ok(())
            }
        }
    }

    /// The source keeps no list of what failed: the partition whose position lies outside what the
    /// broker holds is the one.
    fn explain_lost_offsets(&self) -> SourceError {
        for (partition, batch) in &self.open {
            match self.watermarks(partition) {
                Ok((low, high)) if batch.next_offset() < low || batch.next_offset() > high => {
                    return positions::lost(partition, batch.next_offset(), low, high);
                }
                _ => {}
            }
        }
        SourceError::Broken("a position is outside what the broker holds".to_owned())
    }
}

fn client(settings: &KafkaSettings, ends: EndOffsets) -> Result<BaseConsumer<GroupContext>, SourceError> {
    let mut config = ClientConfig::new();
    for (name, value) in &settings.overrides {
        config.set(name, value);
    }
    config
        .set("bootstrap.servers", &settings.brokers)
        .set("group.id", &settings.group_id)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // A position that the broker no longer has is ours to judge, never librdkafka's.
        .set("auto.offset.reset", "error")
        .set("partition.assignment.strategy", "cooperative-sticky");
    for (name, value) in [
        ("queued.max.messages.kbytes", (settings.prefetch_bytes / 1024).clamp(1, 2_097_151).to_string()),
        ("fetch.wait.max.ms", "50".to_owned()),
        ("statistics.interval.ms", "1000".to_owned()),
    ] {
        if !settings.overrides.contains_key(name) {
            config.set(name, value);
        }
    }
    config
        .create_with_context(GroupContext::new(ends))
        .map_err(|error| SourceError::Settings(error.to_string()))
}

/// Copies one message into its partition's open batch. A message of a partition that was not started, or
/// from before its position, is left out: it was fetched for an earlier start.
fn take(
    message: &BorrowedMessage<'_>,
    open: &mut HashMap<TopicPartition, OpenBatch>,
    last: &mut Option<TopicPartition>,
    ready: &mut VecDeque<SourceEvent>,
    settings: &KafkaSettings,
) {
    let same = last
        .as_ref()
        .is_some_and(|last| last.partition == message.partition() && *last.topic == *message.topic());
    if !same {
        *last = Some(TopicPartition::new(Arc::from(message.topic()), message.partition()));
    }
    let Some(batch) = last.as_ref().and_then(|partition| open.get_mut(partition)) else { return };
    batch.push(message);
    if batch.is_full(&settings.batch) {
        ready.extend(batch.flush());
    }
}

fn list_of<'a>(partitions: impl IntoIterator<Item = &'a TopicPartition>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition(&partition.topic, partition.partition);
    }
    list
}

fn broken(error: KafkaError) -> SourceError {
    SourceError::Broken(error.to_string())
}

impl Drop for KafkaSource {
    fn drop(&mut self) {
        // Leaving the group revokes what is left; nobody answers that any more.
        self.consumer.context().closing.store(true, Ordering::Relaxed);
    }
}
