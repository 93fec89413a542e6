//! The messages of a topic, as a reader of committed ones sees them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers, Message as _};
use rdkafka::{Offset, TopicPartitionList};

const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub partition: i32,
    pub key: Option<String>,
    pub value: String,
    pub headers: Vec<(String, String)>,
}

/// All of them, partition by partition, in their order; nothing of a topic that is not there.
pub fn committed(bootstrap_servers: &str, topic: &str) -> Result<Vec<Message>> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap_servers)
        .set("group.id", "reads-everything")
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("fetch.wait.max.ms", "10");
    let consumer: BaseConsumer = config.create()?;
    let ends: BaseConsumer = config.set("isolation.level", "read_uncommitted").create()?;
    let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT)?;
    let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
    let mut messages = Vec::new();
    for partition in partitions {
        let mut from = TopicPartitionList::new();
        from.add_partition_offset(topic, partition.id(), Offset::Beginning)?;
        consumer.assign(&from)?;
        let deadline = Instant::now() + TIMEOUT;
        // A transaction that was committed just now is not seen at once.
        let (_, end) = ends.fetch_watermarks(topic, partition.id(), TIMEOUT)?;
        while consumer.fetch_watermarks(topic, partition.id(), TIMEOUT)?.1 < end {
            ensure!(Instant::now() < deadline, "a transaction in {topic} is not ended");
            std::thread::sleep(Duration::from_millis(10));
        }
        loop {
            ensure!(Instant::now() < deadline, "the end of {topic} is not reached");
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => messages.push(read(&message)?),
                Some(Err(KafkaError::PartitionEOF(_))) => break,
                Some(Err(error)) => return Err(error.into()),
                None => {}
            }
        }
    }
    Ok(messages)
}

fn read(message: &rdkafka::message::BorrowedMessage<'_>) -> Result<Message> {
    let text = |bytes: &[u8]| Ok::<_, anyhow::Error>(std::str::from_utf8(bytes)?.to_owned());
    let headers = message.headers().map(|headers| headers.iter()).into_iter().flatten();
    let headers = headers
        .map(|header| Ok((header.key.to_owned(), text(header.value.context("a header has a value")?)?)));
    Ok(Message {
        partition: message.partition(),
        key: message.key().map(text).transpose()?,
        value: text(message.payload().context("a message has a body")?)?,
        headers: headers.collect::<Result<_>>()?,
    })
}
