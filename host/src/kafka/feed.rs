//! Records to a topic, each at the offset that it was made for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::{ClientConfig, ClientContext};

use super::refused_setting;

const TIMEOUT: Duration = Duration::from_secs(15);
const FLUSH_TIMEOUT: Duration = Duration::from_secs(120);

/// Where a feed goes to. Plain data.
#[derive(Debug, Clone)]
pub struct FeedSettings {
    pub brokers: String,
    pub topic: String,
    pub partitions: i32,
    /// librdkafka's own settings, under librdkafka's names.
    pub overrides: BTreeMap<String, String>,
}

#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    #[error("{doing} at {brokers}: {what}. Check `kafka.brokers` and `kafka.settings`")]
    Kafka { doing: &'static str, brokers: String, what: String },
    #[error(
        "topic `{topic}` has {is} partitions, and {wanted} are generated: give `generate.partitions` as it has them"
    )]
    Partitions { topic: String, is: usize, wanted: i32 },
    #[error(
        "topic `{topic}`: the record for offset {wanted} of partition {partition} landed at {is}: somebody else writes to it, \
         too"
    )]
    Elsewhere { topic: String, partition: i32, wanted: i64, is: i64 },
}

/// A producer for a topic that nobody else writes to. Every call blocks.
pub struct Feed {
    settings: FeedSettings,
    producer: BaseProducer<Deliveries>,
}

/// The first record that was lost, or landed elsewhere.
#[derive(Default)]
struct Deliveries(Mutex<Option<Fault>>);

#[derive(Clone)]
enum Fault {
    Lost(KafkaError),
    Elsewhere { partition: i32, wanted: i64, is: i64 },
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    /// The offset that the record was made for.
    type DeliveryOpaque = Arc<i64>;

    fn delivery(&self, result: &DeliveryResult<'_>, made_for: Arc<i64>) {
        let fault = match result {
            Ok(message) if message.offset() == *made_for => return,
            Ok(message) => {
                let (partition, wanted, is) = (message.partition(), *made_for, message.offset());
                Fault::Elsewhere { partition, wanted, is }
            }
            Err((error, _)) => Fault::Lost(error.clone()),
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(fault);
    }
}

impl Feed {
    /// Finds the topic, or creates it.
    pub async fn open(settings: FeedSettings) -> Result<Self, FeedError> {
        let mut config = ClientConfig::new();
        config.set("compression.type", "lz4").set("linger.ms", "20");
        for (name, value) in &settings.overrides {
            config.set(name, value);
        }
        // Without it a retry could reorder or repeat records.
        config.set("bootstrap.servers", &settings.brokers).set("enable.idempotence", "true");
        let failed = |doing| {
            let brokers = settings.brokers.clone();
            move |error: KafkaError| FeedError::Kafka { doing, brokers, what: refused_setting(&error) }
        };
        let admin: AdminClient<DefaultClientContext> = config.create().map_err(failed("connecting"))?;
        let producer = config.create_with_context(Deliveries::default()).map_err(failed("connecting"))?;
        let feed = Self { settings: settings.clone(), producer };
        if feed.partitions()? == 0 {
            let topic = NewTopic::new(&settings.topic, settings.partitions, TopicReplication::Fixed(-1));
            let options = AdminOptions::new().operation_timeout(Some(TIMEOUT)).request_timeout(Some(TIMEOUT));
            let created = admin.create_topics([&topic], &options).await;
            for created in created.map_err(failed("creating the topic"))? {
                match created {
                    Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                    Err((_, code)) => return Err(failed("creating the topic")(KafkaError::AdminOp(code))),
                }
            }
        }
        Ok(feed)
    }

    /// None where the brokers do not know the topic.
    fn partitions(&self) -> Result<usize, FeedError> {
        let failed = |error| self.failed("asking for the topic", error);
        let client = self.producer.client();
        // Of all topics: who asks for one by name may have it created.
        let metadata = client.fetch_metadata(None, TIMEOUT).map_err(failed)?;
        let found = metadata.topics().iter().find(|found| found.name() == self.settings.topic);
        Ok(found.map_or(0, |found| found.partitions().len()))
    }

    /// The end of each partition: the feed goes on there.
    pub fn ends(&self) -> Result<Vec<i64>, FeedError> {
        let FeedSettings { topic, partitions: wanted, .. } = &self.settings;
        let deadline = Instant::now() + TIMEOUT;
        let mut is = self.partitions()?;
        // One that was created just now comes to be known.
        while is == 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(100));
            is = self.partitions()?;
        }
        if usize::try_from(*wanted) != Ok(is) {
            return Err(FeedError::Partitions { topic: topic.clone(), is, wanted: *wanted });
        }
        let end = |partition| {
            let range = self.producer.client().fetch_watermarks(topic, partition, TIMEOUT);
            range.map(|(_, end)| end).map_err(|error| self.failed("asking for the end", error))
        };
        (0..*wanted).map(end).collect()
    }

    /// Hands over a record; waits while the producer's queue is full.
    pub fn send(
        &self,
        (partition, offset): (i32, i64),
        timestamp_ms: i64,
        key: Option<&[u8]>,
        payload: &[u8],
    ) -> Result<(), FeedError> {
        let mut record = BaseRecord::<[u8], [u8], _>::with_opaque_to(&self.settings.topic, Arc::new(offset))
            .partition(partition)
            .timestamp(timestamp_ms)
            .payload(payload);
        if let Some(key) = key {
            record = record.key(key);
        }
        loop {
            match self.producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    self.producer.poll(Duration::from_millis(50));
                    self.delivered()?;
                }
                Err((error, _)) => return Err(self.failed("sending", error)),
            }
        }
        if offset % 1000 == 0 {
            self.producer.poll(Duration::ZERO);
            self.delivered()?;
        }
        Ok(())
    }

    /// Waits until everything was delivered.
    pub fn flush(&self) -> Result<(), FeedError> {
        let flushed = self.producer.flush(FLUSH_TIMEOUT);
        self.delivered()?;
        flushed.map_err(|error| self.failed("sending", error))
    }

    fn delivered(&self) -> Result<(), FeedError> {
        let fault = self.producer.context().0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match fault {
            None => Ok(()),
            Some(Fault::Lost(error)) => Err(self.failed("sending", error)),
            Some(Fault::Elsewhere { partition, wanted, is }) => {
                Err(FeedError::Elsewhere { topic: self.settings.topic.clone(), partition, wanted, is })
            }
        }
    }

    fn failed(&self, doing: &'static str, error: KafkaError) -> FeedError {
        FeedError::Kafka { doing, brokers: self.settings.brokers.clone(), what: error.to_string() }
    }
}
