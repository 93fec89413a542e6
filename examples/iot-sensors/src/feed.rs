//! Sends a stream so that every event lands at the very offset it was made for.

use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};

use crate::events::Stream;

/// A producer of one stream into one topic that nobody else writes to.
pub struct Feed {
    producer: ThreadedProducer<Deliveries>,
    topic: String,
    stream: Stream,
    /// For each partition the offset of the next event.
    next: Vec<i64>,
    turn: usize,
}

impl Feed {
    /// `topic` must exist with `partitions` partitions, and be empty.
    pub fn open(bootstrap_servers: &str, topic: &str, partitions: usize, stream: Stream) -> Result<Self> {
        Self::open_with(bootstrap_servers, topic, partitions, stream, &[])
    }

    /// [`open`](Self::open) with settings of librdkafka.
    pub fn open_with(
        bootstrap_servers: &str,
        topic: &str,
        partitions: usize,
        stream: Stream,
        settings: &[(&str, &str)],
    ) -> Result<Self> {
        ensure!(partitions > 0, "a feed needs at least one partition");
        let mut config = ClientConfig::new();
        for (name, value) in settings {
            config.set(*name, *value);
        }
        let producer = config
            .set("bootstrap.servers", bootstrap_servers)
            // Without it a retry could reorder or repeat records, and offsets would mean other events.
            .set("enable.idempotence", "true")
            .set("compression.type", "zstd")
            .set("linger.ms", "20")
            .create_with_context(Deliveries::default())
            .with_context(|| format!("cannot produce to {bootstrap_servers}"))?;
        Ok(Self { producer, topic: topic.to_owned(), stream, next: vec![0; partitions], turn: 0 })
    }

    /// Hands over the next `records` events, partition by partition in turn; waits while the producer's
    /// queue is full.
    pub fn send(&mut self, records: u64) -> Result<()> {
        for _ in 0..records {
            let partition = self.turn;
            self.turn = (self.turn + 1) % self.next.len();
            let offset = self.next[partition];
            self.next[partition] += 1;
            self.send_one(partition as i32, offset)?;
        }
        Ok(())
    }

    /// Waits for all deliveries and returns each partition's end offset. It fails if a record was not
    /// delivered, or landed at another offset than its own.
    pub fn flush(&self) -> Result<Vec<i64>> {
        self.producer
            .flush(Duration::from_secs(60))
            .context("the broker took too long to take the records")?;
        let fault = self.producer.context().fault.lock().map_or(None, |fault| fault.clone());
        match fault {
            Some(fault) => bail!("topic {}: {fault}", self.topic),
            None => Ok(self.next.clone()),
        }
    }

    /// Records handed over so far.
    pub fn sent(&self) -> u64 {
        self.next.iter().sum::<i64>() as u64
    }

    fn send_one(&self, partition: i32, offset: i64) -> Result<()> {
        let event = self.stream.event(partition, offset);
        let mut record = BaseRecord::with_opaque_to(&self.topic, offset as usize)
            .partition(partition)
            .key(&event.key)
            .payload(&event.payload);
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => {
                    record = refused;
                    self.producer.poll(Duration::from_millis(50));
                }
                Err((error, _)) => {
                    return Err(error).with_context(|| format!("cannot send to topic {}", self.topic));
                }
            }
        }
    }
}

/// Remembers the first record that was lost or misplaced.
#[derive(Default)]
struct Deliveries {
    fault: Mutex<Option<String>>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    /// The offset that the record was made for.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, made_for: usize) {
        let fault = match result {
            Ok(message) if message.offset() == made_for as i64 => return,
            Ok(message) => format!(
                "the record for offset {made_for} of partition {} landed at {}",
                message.partition(),
                message.offset()
            ),
            Err((error, message)) => {
                format!(
                    "the record for offset {made_for} of partition {} was lost: {error}",
                    message.partition()
                )
            }
        };
        if let Ok(mut first) = self.fault.lock() {
            first.get_or_insert(fault);
        }
    }
}
