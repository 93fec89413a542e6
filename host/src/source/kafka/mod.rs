//! The Kafka source: a group member that yields batches, assignments and revocations.

mod context;
mod open_batch;
mod positions;
mod queue;
mod topics;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tracing::{debug, warn};

use self::context::{GroupChange, GroupContext};
use self::open_batch::OpenBatch;
use self::positions::partitions;
use self::queue::{Content, RecordQueue};
use super::{EndOffsets, Generation, Source, SourceError, SourceEvent, StartPosition, Topic};
use crate::kafka::refused_setting;
use crate::progress::TopicPartition;

/// Everything that a [`KafkaSource`] needs to know. Plain data.
#[derive(Debug, Clone)]
pub struct KafkaSettings {
    pub brokers: String,
    pub topics: Vec<String>,
    pub group_id: String,
    pub start: StartPosition,
    /// Whether a position that the broker no longer has is skipped and counted, or stops the pipeline.
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

/// How often the queue of a started partition is asked for again.
const RECEIVE_EVERY: Duration = Duration::from_millis(100);

/// How long one question to the broker may take.
const BROKER_TIMEOUT: Duration = Duration::from_secs(15);

pub struct KafkaSource {
    settings: KafkaSettings,
    consumer: Arc<BaseConsumer<GroupContext>>,
    records: RecordQueue,
    /// Partitions that were started, with the batch that is being filled.
    open: HashMap<TopicPartition, OpenBatch>,
    /// Partitions that are not fetched any more, for the broker does not hold their position.
    out_of_range: BTreeSet<TopicPartition>,
    /// The ids of the topics, when they were first looked at.
    topic_ids: HashMap<Arc<str>, String>,
    /// Who is asked about topics.
    asked_broker: Option<i32>,
    ready: VecDeque<SourceEvent>,
    paused: bool,
    received_at: Instant,
}

impl KafkaSource {
    /// Joins the group. Fails if the broker cannot be reached or a topic does not exist.
    pub fn connect(settings: KafkaSettings, ends: EndOffsets) -> Result<Self, SourceError> {
        let consumer = Arc::new(client(&settings, ends)?);
        let source = Self {
            records: RecordQueue::new(consumer.clone()).map_err(broken)?,
            consumer,
            open: HashMap::new(),
            out_of_range: BTreeSet::new(),
            topic_ids: HashMap::new(),
            asked_broker: None,
            ready: VecDeque::new(),
            paused: false,
            received_at: Instant::now(),
            settings,
        };
        source.partitions()?;
        let topics: Vec<&str> = source.settings.topics.iter().map(String::as_str).collect();
        source.consumer.subscribe(&topics).map_err(broken)?;
        Ok(source)
    }

    /// Every partition of the topics, without joining the group: whether Kafka can be reached.
    pub fn look_up(settings: &KafkaSettings) -> Result<Vec<TopicPartition>, SourceError> {
        partitions(&client(settings, EndOffsets::default())?, settings)
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

    fn assign(&self, positions: &[(TopicPartition, i64)]) -> Result<(), SourceError> {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in positions {
            self.records.receive(partition).map_err(broken)?;
            list.add_partition_offset(&partition.topic, partition.partition, Offset::Offset(*offset))
                .map_err(broken)?;
        }
        self.consumer.incremental_assign(&list).map_err(broken)?;
        if self.paused {
            self.consumer.pause(&list).map_err(broken)?;
        }
        Ok(())
    }

    fn unassign(&mut self, partitions: &[TopicPartition]) -> Result<(), SourceError> {
        for partition in partitions {
            self.open.remove(partition);
            self.out_of_range.remove(partition);
        }
        // A partition that was paused when it was revoked would still be when it comes back.
        self.consumer.resume(&list_of(partitions)).map_err(broken)?;
        // Also for an empty list: the group waits for the answer.
        self.consumer.incremental_unassign(&list_of(partitions)).map_err(broken)
    }

    /// Takes what is not of one partition: group changes, statistics, faults of the client.
    fn serve_client(&mut self) -> Result<(), SourceError> {
        while let Some(event) = self.consumer.poll(Duration::ZERO) {
            match event {
                Ok(message) => {
                    // Its order among the others is not known any more.
                    let partition = TopicPartition::new(message.topic(), message.partition());
                    return Err(SourceError::Broken(format!("a record of {partition} missed its queue")));
                }
                Err(error @ KafkaError::MessageConsumptionFatal(_)) => return Err(broken(error)),
                // The client's context has told it.
                Err(error) => debug!(%error, "going on"),
            }
        }
        self.group_changes();
        Ok(())
    }

    /// An unassignment is carried out late, and takes the queue of a partition away that was assigned anew
    /// meanwhile. Its records wait in librdkafka then, in order.
    fn receive_again(&mut self) -> Result<(), SourceError> {
        if self.received_at.elapsed() < RECEIVE_EVERY {
            return Ok(());
        }
        self.received_at = Instant::now();
        self.open.keys().try_for_each(|partition| self.records.receive(partition)).map_err(broken)
    }

    fn take_records(&mut self, timeout: Duration) {
        let Self { records, open, out_of_range, ready, settings, .. } = self;
        records.take(timeout, |partition, messages| {
            // Fetched for an earlier start.
            let Some(batch) = open.get_mut(partition) else { return };
            for message in messages {
                match message.content() {
                    Content::Record(record) => batch.push(&record),
                    Content::End(offset) => batch.advance(offset),
                    Content::Fault(RDKafkaErrorCode::AutoOffsetReset) => {
                        out_of_range.insert(partition.clone());
                    }
                    Content::Fault(error) => warn!(%partition, %error, "Kafka reports a fault; going on"),
                }
                if batch.is_full(&settings.batch) {
                    ready.extend(batch.flush());
                }
            }
        });
    }

    /// Goes on with the partitions whose position the broker did not hold.
    fn find_ranges(&mut self) -> Result<(), SourceError> {
        while let Some(partition) = self.out_of_range.first().cloned() {
            let Some(next) = self.open.get(&partition).map(OpenBatch::next_offset) else {
                self.out_of_range.remove(&partition);
                continue;
            };
            let held = match self.held_position(&partition, next) {
                Err(error) if error.is_transient() => {
                    warn!(%partition, %error, "a position is outside what the broker holds; asking again");
                    return Ok(());
                }
                held => held?,
            };
            self.out_of_range.remove(&partition);
            if let Some(batch) = self.open.get_mut(&partition) {
                self.ready.extend(batch.lose_up_to(held));
            }
            self.consumer.incremental_unassign(&list_of([&partition])).map_err(broken)?;
            self.assign(&[(partition, held)])?;
        }
        Ok(())
    }
}

impl Source for KafkaSource {
    fn poll(&mut self, timeout: Duration) -> Result<Option<SourceEvent>, SourceError> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            self.serve_client()?;
            self.find_ranges()?;
            self.receive_again()?;
            if self.ready.is_empty() {
                let until = self.next_flush().map_or(deadline, |flush| flush.min(deadline));
                self.take_records(until.saturating_duration_since(Instant::now()));
                self.flush_overdue();
            }
            if self.ready.is_empty() && Instant::now() >= deadline {
                return Ok(None);
            }
        }
    }

    /// Fails if the broker no longer holds an offset, unless lost offsets are to be skipped: then the first
    /// batch's range starts at the offset all the same.
    fn start(
        &mut self,
        positions: &[(TopicPartition, i64)],
        generation: Generation,
    ) -> Result<(), SourceError> {
        let mut fetch_from = Vec::with_capacity(positions.len());
        for (partition, offset) in positions {
            fetch_from.push((partition.clone(), self.held_position(partition, *offset)?));
        }
        let again: Vec<TopicPartition> = positions
            .iter()
            .filter(|(partition, _)| self.open.contains_key(partition))
            .map(|(partition, _)| partition.clone())
            .collect();
        if !again.is_empty() {
            self.unassign(&again)?;
        }
        for ((partition, offset), (_, held)) in positions.iter().zip(&fetch_from) {
            let mut batch = OpenBatch::new(partition.clone(), *offset, generation);
            self.ready.extend(batch.lose_up_to(*held));
            self.open.insert(partition.clone(), batch);
        }
        self.assign(&fetch_from)
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), SourceError> {
        self.unassign(partitions)
    }

    fn pause(&mut self) -> Result<(), SourceError> {
        if !self.paused {
            self.paused = true;
            self.consumer.pause(&self.started()).map_err(broken)?;
        }
        Ok(())
    }

    fn resume(&mut self) -> Result<(), SourceError> {
        if self.paused {
            self.paused = false;
            self.consumer.resume(&self.started()).map_err(broken)?;
        }
        Ok(())
    }

    fn commit(&self, positions: &[(TopicPartition, i64)]) {
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

    fn connected(&self) -> bool {
        self.consumer.context().connected.load(Ordering::Relaxed)
    }

    fn topics(&mut self) -> Result<Vec<Topic>, SourceError> {
        self.described_topics()
    }

    fn partitions(&self) -> Result<Vec<TopicPartition>, SourceError> {
        partitions(&self.consumer, &self.settings)
    }

    fn watermarks(&self, partition: &TopicPartition) -> Result<(i64, i64), SourceError> {
        self.held_offsets(partition)
    }

    fn first_position(&self, partition: &TopicPartition) -> Result<i64, SourceError> {
        self.resolved_start(partition)
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
        // Tells how far there is nothing to read, where no record is the last.
        .set("enable.partition.eof", "true")
        .set("partition.assignment.strategy", "cooperative-sticky");
    for (name, value) in [
        ("queued.max.messages.kbytes", (settings.prefetch_bytes / 1024).clamp(1, 2_097_151).to_string()),
        ("fetch.wait.max.ms", "50".to_owned()),
        ("statistics.interval.ms", "1000".to_owned()),
        ("topic.metadata.refresh.interval.ms", "30000".to_owned()),
        ("reconnect.backoff.max.ms", "1000".to_owned()),
    ] {
        if !settings.overrides.contains_key(name) {
            config.set(name, value);
        }
    }
    config
        .create_with_context(GroupContext::new(ends))
        .map_err(|error| SourceError::Settings(refused_setting(&error)))
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
