//! One sink's place in a Kafka cluster.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

use super::cluster::{Cluster, ClusterError, Look};
use super::mark::Mark;
use super::marks::{Reader, Wanted};
use super::producer::Producer;
use super::topics;
use crate::kafka::refused_setting;

/// How a topic is reached. Plain data.
#[derive(Debug, Clone)]
pub struct Connection {
    pub brokers: String,
    /// librdkafka's own settings, under librdkafka's names.
    pub overrides: BTreeMap<String, String>,
    /// The pipeline's id and the sink's name: they name the marks, and who writes.
    pub pipeline: String,
    pub sink: String,
    pub topic: String,
    /// How many partitions the topic gets if it is not there yet; the broker's own number, unless given.
    pub partitions: Option<i32>,
    /// Bytes of the largest message.
    pub max_message_bytes: usize,
}

impl Connection {
    /// The topic of the sink's marks: one partition, compacted.
    pub fn marks_topic(&self) -> String {
        format!("sluicebox.{}.{}.marks", self.pipeline, self.sink)
    }

    pub(super) fn transactional_id(&self) -> String {
        format!("sluicebox/{}/{}", self.pipeline, self.sink)
    }

    /// What the brokers let a transaction take, and we with it.
    pub(super) fn transaction_timeout(&self) -> Duration {
        let given = self.overrides.get("transaction.timeout.ms").and_then(|given| given.parse().ok());
        given.map_or(Duration::from_secs(60), Duration::from_millis)
    }

    pub(super) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        for (name, value) in &self.overrides {
            config.set(name, value);
        }
        // Nobody listens to statistics here: they would pile up.
        config.set("bootstrap.servers", &self.brokers).set("statistics.interval.ms", "0");
        if !self.overrides.contains_key("reconnect.backoff.max.ms") {
            config.set("reconnect.backoff.max.ms", "1000");
        }
        config
    }

    pub(super) fn refused_settings(error: &KafkaError) -> ClusterError {
        let what = refused_setting(error);
        ClusterError::Refused(format!("Kafka refuses the sink's settings: {what}; correct `settings`"))
    }

    /// What an error of librdkafka means, in the middle of `doing`.
    pub(super) fn failed(&self, doing: &str, error: &KafkaError) -> ClusterError {
        use RDKafkaErrorCode as Code;
        let told = match error {
            KafkaError::Transaction(error) => error.string(),
            error => error.to_string(),
        };
        let at = format!("{doing} at {}: {told}", self.brokers);
        match error.rdkafka_error_code() {
            Some(Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch) => ClusterError::Fenced,
            Some(Code::MessageSizeTooLarge) => ClusterError::Refused(format!(
                "{at}: the broker takes smaller messages than `max_message` allows: raise the topic's `max.message.bytes`, \
                 and the broker's `message.max.bytes`"
            )),
            Some(
                Code::TopicAuthorizationFailed
                | Code::ClusterAuthorizationFailed
                | Code::TransactionalIdAuthorizationFailed,
            ) => ClusterError::Refused(format!(
                "{at}: allow the pipeline's principal to describe and write to `{}` and `{}` (and to create them, or create \
                 them yourself), to read the latter, and to write under the transactional id `{}`",
                self.topic,
                self.marks_topic(),
                self.transactional_id()
            )),
            Some(Code::InvalidTransactionTimeout) => ClusterError::Refused(format!(
                "{at}: lower `transaction.timeout.ms` in the sink's `settings`, or raise the broker's \
                 `transaction.max.timeout.ms`"
            )),
            _ => ClusterError::Unavailable(at),
        }
    }
}

/// What a Kafka cluster holds of a sink, by rdkafka. Its calls block, so they run on threads of their own; a call whose
/// future is dropped goes on, and harms nobody: whoever takes over next shuts it out.
pub struct KafkaCluster {
    connection: Arc<Connection>,
    reader: Arc<Mutex<Reader>>,
    /// Since the last time that the sink was taken over.
    producer: Option<Arc<Producer>>,
}

impl KafkaCluster {
    /// Finds the topics, or creates them.
    pub async fn connect(connection: Connection) -> Result<Self, ClusterError> {
        let reader = Arc::new(Mutex::new(Reader::new(&connection)?));
        topics::ensure(&connection, &reader).await?;
        Ok(Self { connection: Arc::new(connection), reader, producer: None })
    }

    async fn produce(
        &self,
        doing: impl FnOnce(&Producer) -> Result<(), ClusterError> + Send + 'static,
    ) -> Result<(), ClusterError> {
        // Only after an error, or before it was taken over.
        let Some(producer) = self.producer.clone() else { return Err(ClusterError::Fenced) };
        blocking(move || doing(&producer)).await
    }
}

/// What is there, without beginning anything; `None` where the topic is not there.
pub async fn inspect(connection: &Connection) -> Result<Option<Look>, ClusterError> {
    let mut reader = Reader::new(connection)?;
    blocking(move || reader.look(Wanted::Glance)).await
}

pub(super) async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, ClusterError> + Send + 'static,
) -> Result<T, ClusterError> {
    let done = tokio::task::spawn_blocking(call).await;
    done.unwrap_or_else(|error| Err(ClusterError::Unavailable(format!("the call was cut off: {error}"))))
}

#[async_trait]
impl Cluster for KafkaCluster {
    async fn look(&mut self) -> Result<Look, ClusterError> {
        let reader = self.reader.clone();
        let wanted = if self.producer.is_some() { Wanted::All } else { Wanted::Look };
        let look = blocking(move || reader.lock().unwrap_or_else(PoisonError::into_inner).look(wanted));
        let look = look.await?;
        look.ok_or_else(|| {
            ClusterError::Refused(
                "it was deleted: its messages are gone. Create it again and give the sink another name, under which it \
                 starts at the ledger's newest entry"
                    .to_owned(),
            )
        })
    }

    async fn take_over(&mut self) -> Result<(), ClusterError> {
        let (connection, before) = (self.connection.clone(), self.producer.take());
        let producer = blocking(move || {
            // Here, for it waits.
            drop(before);
            Producer::take_over(connection)
        });
        self.producer = Some(Arc::new(producer.await?));
        Ok(())
    }

    async fn begin(&mut self) -> Result<(), ClusterError> {
        self.produce(Producer::begin).await
    }

    async fn send(&mut self, messages: RecordBatch) -> Result<(), ClusterError> {
        self.produce(move |producer| producer.send(&messages)).await
    }

    async fn commit(&mut self, mark: &Mark) -> Result<(), ClusterError> {
        let mark = mark.clone();
        self.produce(move |producer| producer.commit(&mark)).await
    }
}
