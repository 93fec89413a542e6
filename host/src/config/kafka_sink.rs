//! A Kafka topic as a sink, as the pipeline file says it.

use std::collections::HashSet;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::DocumentPath;
use super::pipeline::{KafkaSource, Pipeline};
use super::secret::Secret;
use super::units::ByteSize;
use super::validate::{Findings, check_brokers, check_topic};

/// Settings of librdkafka on which exactly-once hangs.
const OWNED_SETTINGS: [&str; 9] = [
    "acks",
    "bootstrap.servers",
    "enable.idempotence",
    "isolation.level",
    "max.in.flight.requests.per.connection",
    "message.max.bytes",
    "metadata.broker.list",
    "request.required.acks",
    "transactional.id",
];

/// The groups of settings of the source that a sink on the same brokers takes over: how they are reached.
const SHARED_SETTINGS: [&str; 8] =
    ["broker.address.", "enable.sasl.", "enable.ssl.", "https.", "sasl.", "security.", "socket.", "ssl."];

/// A Kafka topic: a message for each row, a JSON object of the row's columns. Readers of committed messages
/// (`isolation.level=read_committed`) see each exactly once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KafkaSink {
    /// Created if it is not there.
    pub topic: String,
    /// The columns of a message's key: of one the text is the key, of several a JSON object of them. Without any,
    /// messages have no key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<String>,
    /// The columns that choose the partition, as the key does in Kafka's own clients; those of the key, unless given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partition_by: Vec<String>,
    /// The column of each header's value, by the header's name. Where it is null, the message has no such header.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub headers: IndexMap<String, String>,
    /// The largest message: key, body and headers. A row whose message is larger is rejected.
    #[serde(default = "default_max_message")]
    pub max_message: ByteSize,
    /// Partitions of the topic, if it is to be created; as many as the broker gives, unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub partitions: Option<u32>,
    /// Bootstrap servers, `host:port`, separated by commas; those of the source, unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brokers: Option<String>,
    /// Settings of librdkafka's producer, by librdkafka's names. On the source's brokers, its settings about security and
    /// sockets hold too.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub settings: IndexMap<String, Secret>,
}

fn default_max_message() -> ByteSize {
    ByteSize::kibibytes(1000)
}

impl KafkaSink {
    /// The brokers, and how they are reached. `source` is the pipeline's, if that is Kafka.
    pub fn reached<'a>(
        &'a self,
        source: Option<&'a KafkaSource>,
    ) -> (&'a str, IndexMap<&'a str, &'a Secret>) {
        let own = self.settings.iter().map(|(name, value)| (name.as_str(), value));
        match (&self.brokers, source) {
            (Some(brokers), _) => (brokers, own.collect()),
            (None, None) => ("", own.collect()),
            (None, Some(source)) => {
                let is_shared = |name: &str| {
                    // One that is longer than a transaction makes a producer impossible.
                    name != "socket.timeout.ms" && SHARED_SETTINGS.iter().any(|group| name.starts_with(group))
                };
                let shared = source.settings.iter().map(|(name, value)| (name.as_str(), value));
                (&source.brokers, shared.filter(|(name, _)| is_shared(name)).chain(own).collect())
            }
        }
    }
}

pub(super) fn check(sink: &KafkaSink, path: &DocumentPath, pipeline: &Pipeline, found: &mut Findings) {
    let topic = path.key("topic");
    check_topic(&sink.topic, topic.clone(), found);
    let source = pipeline.source.kafka.as_ref();
    let is_read = source.is_some_and(|source| {
        source.topics.contains(&sink.topic)
            && sink.brokers.as_ref().is_none_or(|brokers| *brokers == source.brokers)
    });
    let is_known = sink.brokers.is_some() || source.is_some();
    found.expect(is_known, path.clone(), "give `brokers`: the source has none");
    found.expect(
        !is_read,
        topic,
        "is a topic of the source: what is written would be read again, without end",
    );
    for (key, columns) in [("key", &sink.key), ("partition_by", &sink.partition_by)] {
        let mut seen = HashSet::new();
        for (index, column) in columns.iter().enumerate() {
            let new = !column.is_empty() && seen.insert(column);
            found.expect(new, path.key(key).index(index), "each column is named, and only once");
        }
    }
    for (name, column) in &sink.headers {
        let is_named = !name.is_empty() && !column.is_empty();
        found.expect(
            is_named,
            path.key("headers").key(name),
            "a header has a name, and the name of a column",
        );
    }
    let fits = (1 << 10..=256 << 20).contains(&sink.max_message.as_bytes());
    found.expect(fits, path.key("max_message"), "must be at least 1 KiB and at most 256 MiB");
    if let Some(partitions) = sink.partitions {
        found.above_zero(partitions, path.key("partitions"));
    }
    if let Some(brokers) = &sink.brokers {
        check_brokers(brokers, path.key("brokers"), found);
    }
    for name in sink.settings.keys() {
        found.expect(
            !OWNED_SETTINGS.contains(&name.as_str()),
            path.key("settings").key(name),
            "Sluicebox sets this itself, because exactly-once hangs on it: remove it (brokers go into `brokers`, the \
             largest message into `max_message`)",
        );
    }
}
