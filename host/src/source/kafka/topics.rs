//! The topics of the source, as the broker has them.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::types::RDKafkaErrorCode;

use super::context::GroupContext;
use super::{KafkaSettings, KafkaSource};
use crate::kafka::describe_topic;
use crate::source::{SourceError, Topic};

/// The source's thread waits so long for an answer; who asks may ask again.
const TIMEOUT: Duration = Duration::from_secs(5);

impl KafkaSource {
    /// The topics of the source, as they are now. Fails if one of them is not the one that it was when
    /// this source first asked.
    pub(super) fn described_topics(&mut self) -> Result<Vec<Topic>, SourceError> {
        let broker = self.asked_broker()?;
        let topics = self.settings.topics.iter();
        let topics = topics.map(|topic| describe(&self.consumer, &self.settings, topic, broker));
        let topics = topics.collect::<Result<Vec<_>, _>>();
        // It may be the broker that is gone.
        self.asked_broker = self.asked_broker.filter(|_| topics.is_ok());
        let topics = topics?;
        for topic in &topics {
            let Some(id) = &topic.id else { continue };
            let first = self.topic_ids.entry(topic.name.clone()).or_insert_with(|| id.clone());
            if first != id {
                return Err(SourceError::Recreated {
                    topic: topic.name.clone(),
                    was: first.clone(),
                    is: id.clone(),
                });
            }
        }
        Ok(topics)
    }

    /// Any broker that answers. Left alone librdkafka asks the controller, of which it may never learn.
    fn asked_broker(&mut self) -> Result<i32, SourceError> {
        if let Some(broker) = self.asked_broker {
            return Ok(broker);
        }
        let topic = self.settings.topics.first().map(String::as_str);
        let metadata = self.consumer.fetch_metadata(topic, TIMEOUT);
        let metadata = metadata.map_err(|error| unreachable(&self.settings, error.to_string()))?;
        Ok(*self.asked_broker.insert(metadata.orig_broker_id()))
    }
}

fn unreachable(settings: &KafkaSettings, reason: String) -> SourceError {
    SourceError::Unreachable { brokers: settings.brokers.clone(), reason }
}

fn describe(
    consumer: &BaseConsumer<GroupContext>,
    settings: &KafkaSettings,
    topic: &str,
    broker: i32,
) -> Result<Topic, SourceError> {
    let failed = |code: RDKafkaErrorCode| unreachable(settings, format!("topic `{topic}`: {code}"));
    let answer = describe_topic(consumer.client(), topic, broker, TIMEOUT).map_err(failed)?;
    match answer.error {
        None => Ok(Topic { name: topic.into(), id: answer.id, partitions: answer.partitions }),
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
            Err(SourceError::NoTopic { topic: topic.to_owned(), brokers: settings.brokers.clone() })
        }
        Some(code) => Err(failed(code)),
    }
}
