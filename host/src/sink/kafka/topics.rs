//! The topics of a sink, created where they are not there.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use tracing::info;

use super::cluster::ClusterError;
use super::connection::{Connection, blocking};
use super::marks::Reader;
use super::producer::BATCH_FRAMING;

const TIMEOUT: Duration = Duration::from_secs(15);

/// The broker's own number, of partitions or of replicas.
const BROKERS_CHOICE: i32 = -1;
const REPLICAS: TopicReplication<'static> = TopicReplication::Fixed(BROKERS_CHOICE);

/// Creates what is missing, and refuses what would lose messages or marks.
pub(super) async fn ensure(connection: &Connection, reader: &Arc<Mutex<Reader>>) -> Result<(), ClusterError> {
    let admin = connection.client().create();
    let admin = admin.map_err(|error| Connection::refused_settings(&error))?;
    let topics = Topics { connection, reader, admin };
    let partitions = connection.partitions.unwrap_or(BROKERS_CHOICE);
    topics.create(&NewTopic::new(&connection.topic, partitions, REPLICAS)).await?;
    let wanted = connection.max_message_bytes + BATCH_FRAMING;
    if let Some(most) = topics.setting(&connection.topic, "max.message.bytes").await?
        && most.parse::<usize>().is_ok_and(|most| most < wanted)
    {
        return Err(ClusterError::Refused(format!(
            "its `max.message.bytes` is {most}, and messages may have up to {wanted} bytes: raise it, or lower the sink's \
             `max_message`"
        )));
    }
    let marks = connection.marks_topic();
    let topic = NewTopic::new(&marks, 1, REPLICAS).set("cleanup.policy", "compact");
    // One mark an epoch: a segment that is closed soon is cleaned soon.
    topics.create(&topic.set("segment.ms", "3600000")).await?;
    match topics.setting(&marks, "cleanup.policy").await?.as_deref() {
        None | Some("compact") => Ok(()),
        Some(policy) => Err(ClusterError::Refused(format!(
            "the topic of its marks, `{marks}`, has `cleanup.policy` {policy}, which would remove the mark: set it to \
             `compact`"
        ))),
    }
}

struct Topics<'a> {
    connection: &'a Connection,
    reader: &'a Arc<Mutex<Reader>>,
    admin: AdminClient<DefaultClientContext>,
}

impl Topics<'_> {
    /// Creates the topic, unless it is there, and waits until the brokers know it.
    async fn create(&self, topic: &NewTopic<'_>) -> Result<(), ClusterError> {
        if self.is_there(topic.name).await? {
            return Ok(());
        }
        let failed =
            |error: KafkaError| self.connection.failed(&format!("creating topic `{}`", topic.name), &error);
        let created = self.admin.create_topics([topic], &options()).await.map_err(failed)?;
        for created in created {
            match created {
                Ok(_) => info!(topic = topic.name, "created"),
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((_, code)) => return Err(failed(KafkaError::AdminOp(code))),
            }
        }
        let deadline = Instant::now() + TIMEOUT;
        while !self.is_there(topic.name).await? {
            if Instant::now() > deadline {
                return Err(ClusterError::Unavailable(format!(
                    "topic `{}` was created, and {} does not know it",
                    topic.name, self.connection.brokers
                )));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    async fn is_there(&self, topic: &str) -> Result<bool, ClusterError> {
        let (reader, topic) = (self.reader.clone(), topic.to_owned());
        blocking(move || reader.lock().unwrap_or_else(PoisonError::into_inner).has(&topic)).await
    }

    /// `None` where it may not be seen.
    async fn setting(&self, topic: &str, name: &str) -> Result<Option<String>, ClusterError> {
        let described =
            self.admin.describe_configs([&ResourceSpecifier::Topic(topic)], &options()).await.map_err(
                |error| self.connection.failed(&format!("asking for the settings of `{topic}`"), &error),
            )?;
        let entries = described.into_iter().flatten().flat_map(|resource| resource.entries);
        let entry = entries.into_iter().find(|entry| entry.name == name);
        Ok(entry.and_then(|entry| entry.value))
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT))
}
