//! Reading what is there: which topic it is, and the newest mark.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use tracing::debug;

use super::cluster::{ClusterError, Look};
use super::connection::Connection;
use super::mark::Mark;
use crate::kafka::{TopicAnswer, describe_topic};

const TIMEOUT: Duration = Duration::from_secs(15);

/// Marks that are read at first from the end of the topic. Each has one record, and one that commits it.
const LAST: i64 = 64;

/// How long a transaction is waited for that is being ended. One whose writer has died stays open for longer.
const PATIENCE: Duration = Duration::from_millis(500);
/// The same where nobody else can have one open.
const OWNERS_PATIENCE: Duration = Duration::from_secs(10);
/// How long a topic may be missing: a broker that has just started does not know it yet.
const TOPIC_PATIENCE: Duration = Duration::from_secs(10);

/// What is asked of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Whatever is there at once.
    Glance,
    /// What may lack the last moments. A topic is not given up before it was missed for some time.
    Look,
    /// All that is committed: nobody else writes.
    All,
}

/// What goes wrong is told by the call that it goes wrong for.
struct Quiet;

impl ClientContext for Quiet {
    fn error(&self, error: KafkaError, reason: &str) {
        debug!(%error, reason, "Kafka client");
    }
}

impl ConsumerContext for Quiet {}

/// Reads committed marks. Every call blocks.
pub(super) struct Reader {
    connection: Connection,
    marks: String,
    consumer: BaseConsumer<Quiet>,
    /// Sees what is not committed too.
    ends: BaseConsumer<Quiet>,
    /// Who is asked about topics.
    broker: Option<i32>,
    /// With its offset.
    newest: Option<(i64, Mark)>,
}

impl Reader {
    pub fn new(connection: &Connection) -> Result<Self, ClusterError> {
        let mut config = connection.client();
        config
            .set("group.id", connection.transactional_id())
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("fetch.wait.max.ms", "10");
        // A replica nearby may not have everything that is committed.
        config.remove("client.rack");
        let consumer =
            config.create_with_context(Quiet).map_err(|error| Connection::refused_settings(&error))?;
        let ends = config.set("isolation.level", "read_uncommitted").create_with_context(Quiet);
        let ends = ends.map_err(|error| Connection::refused_settings(&error))?;
        Ok(Self {
            marks: connection.marks_topic(),
            connection: connection.clone(),
            consumer,
            ends,
            broker: None,
            newest: None,
        })
    }

    /// `None` where there is no topic for the messages.
    pub fn look(&mut self, wanted: Wanted) -> Result<Option<Look>, ClusterError> {
        let (topic, marks) = (self.connection.topic.clone(), self.marks.clone());
        let Some(found) = self.find(&topic, wanted)? else { return Ok(None) };
        let mark = match self.find(&marks, wanted)? {
            Some(_) => self.read(wanted)?,
            None => None,
        };
        Ok(Some(Look { topic: found.id, mark }))
    }

    fn find(&mut self, topic: &str, wanted: Wanted) -> Result<Option<TopicAnswer>, ClusterError> {
        let deadline = Instant::now() + TOPIC_PATIENCE;
        loop {
            let found = self.describe(topic)?;
            if found.is_some() || wanted == Wanted::Glance || Instant::now() > deadline {
                return Ok(found);
            }
            // Perhaps another broker knows it.
            self.broker = None;
            std::thread::sleep(PATIENCE);
        }
    }

    pub fn has(&mut self, topic: &str) -> Result<bool, ClusterError> {
        Ok(self.describe(topic)?.is_some())
    }

    fn describe(&mut self, topic: &str) -> Result<Option<TopicAnswer>, ClusterError> {
        let doing = format!("asking for topic `{topic}`");
        let broker = match self.broker {
            Some(broker) => broker,
            None => {
                let metadata = self.consumer.fetch_metadata(Some(topic), TIMEOUT);
                metadata.map_err(|error| self.connection.failed(&doing, &error))?.orig_broker_id()
            }
        };
        self.broker = None;
        let failed = |code| self.connection.failed(&doing, &KafkaError::MetadataFetch(code));
        let answer = describe_topic(self.consumer.client(), topic, broker, TIMEOUT).map_err(failed)?;
        let found = match answer.error {
            None => Some(answer),
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => None,
            Some(code) => return Err(failed(code)),
        };
        self.broker = Some(broker);
        Ok(found)
    }

    /// The newest mark up to the end of what is committed.
    fn read(&mut self, wanted: Wanted) -> Result<Option<Mark>, ClusterError> {
        let (low, high) = self.committed_range(wanted)?;
        let known = self.newest.as_ref().map(|(offset, _)| *offset);
        if known.is_some_and(|offset| offset >= high) {
            // Another topic under the same name.
            self.newest = None;
        }
        // Behind a mark there is the record that commits it.
        if known.is_none_or(|offset| offset + 2 != high) {
            let from = self.newest.as_ref().map_or(low, |(offset, _)| offset + 1);
            let mut found = self.read_from(from.max(high - LAST))?;
            if found.is_none() && from < high - LAST {
                found = self.read_from(from)?;
            }
            self.newest = found.or(self.newest.take());
        }
        Ok(self.newest.as_ref().map(|(_, mark)| mark.clone()))
    }

    /// From the first record to the end of what is committed.
    fn committed_range(&self, wanted: Wanted) -> Result<(i64, i64), ClusterError> {
        let range_of = |consumer: &BaseConsumer<Quiet>| {
            consumer.fetch_watermarks(&self.marks, 0, TIMEOUT).map_err(|error| self.failed(&error))
        };
        // What it has to say is nobody's business, and must not pile up.
        drop(self.ends.poll(Duration::ZERO));
        let (_, end) = range_of(&self.ends)?;
        let patience = if wanted == Wanted::All { OWNERS_PATIENCE } else { PATIENCE };
        let deadline = Instant::now() + patience;
        loop {
            let range = range_of(&self.consumer)?;
            if range.1 >= end {
                return Ok(range);
            }
            if Instant::now() > deadline {
                return match wanted {
                    Wanted::All => Err(ClusterError::Unavailable(format!(
                        "a transaction in `{}` at {} has not ended within {} s",
                        self.marks,
                        self.connection.brokers,
                        patience.as_secs()
                    ))),
                    _ => Ok(range),
                };
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn read_from(&self, from: i64) -> Result<Option<(i64, Mark)>, ClusterError> {
        let mut at = TopicPartitionList::new();
        at.add_partition_offset(&self.marks, 0, Offset::Offset(from)).map_err(|error| self.failed(&error))?;
        self.consumer.assign(&at).map_err(|error| self.failed(&error))?;
        let read = self.read_to_the_end();
        self.consumer.unassign().map_err(|error| self.failed(&error))?;
        read
    }

    fn read_to_the_end(&self) -> Result<Option<(i64, Mark)>, ClusterError> {
        let deadline = Instant::now() + TIMEOUT;
        let mut newest = None;
        while Instant::now() < deadline {
            match self.consumer.poll(Duration::from_millis(100)) {
                Some(Ok(record)) => {
                    let mark = serde_json::from_slice(record.payload().unwrap_or_default());
                    let mark = mark.map_err(|error| {
                        ClusterError::Refused(format!(
                            "the record at offset {} of `{}` is no mark ({error}): somebody else has written to it",
                            record.offset(),
                            self.marks
                        ))
                    })?;
                    newest = Some((record.offset(), mark));
                }
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(newest),
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => return Err(self.failed(&error)),
                // librdkafka tries again.
                Some(Err(_)) | None => {}
            }
        }
        Err(ClusterError::Unavailable(format!(
            "the end of `{}` at {} was not reached within {} s",
            self.marks,
            self.connection.brokers,
            TIMEOUT.as_secs()
        )))
    }

    fn failed(&self, error: &KafkaError) -> ClusterError {
        self.connection.failed(&format!("reading `{}`", self.marks), error)
    }
}
