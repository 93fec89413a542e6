//! Transactions of one producer. Every call blocks.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int32Type;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use rdkafka::{ClientConfig, ClientContext};
use tracing::debug;

use super::cluster::ClusterError;
use super::connection::Connection;
use super::mark::{self, Mark};

/// For one question to the broker.
const TIMEOUT: Duration = Duration::from_secs(15);
/// To end what the producer before has begun.
const TAKE_OVER_TIMEOUT: Duration = Duration::from_secs(30);
/// Messages after which deliveries are looked at.
const LOOK_AFTER: usize = 1000;
/// Bytes that a broker counts to a message beside those that we count: of a batch of one.
pub(super) const BATCH_FRAMING: usize = 512;

pub(super) struct Producer {
    connection: Arc<Connection>,
    marks: String,
    inner: BaseProducer<Deliveries>,
    /// Of the topic, as the transaction found it.
    partitions: AtomicI32,
    begun: Mutex<Instant>,
}

/// Keeps why the first message was not delivered.
#[derive(Default)]
struct Deliveries(Mutex<Option<KafkaError>>);

impl ClientContext for Deliveries {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        debug!(facility, message, "Kafka producer");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // What it means for a transaction the transaction's calls say.
        debug!(%error, reason, "Kafka producer");
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let Err((error, _)) = result else { return };
        // These are given up for something else, which their transaction will say.
        let purged = [RDKafkaErrorCode::PurgeQueue, RDKafkaErrorCode::PurgeInflight];
        if !error.rdkafka_error_code().is_some_and(|code| purged.contains(&code)) {
            let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert_with(|| error.clone());
        }
    }
}

impl Producer {
    /// Shuts out whoever was the sink's producer before.
    pub fn take_over(connection: Arc<Connection>) -> Result<Self, ClusterError> {
        let inner: BaseProducer<Deliveries> = config(&connection)
            .create_with_context(Deliveries::default())
            .map_err(|error| Connection::refused_settings(&error))?;
        let begun = inner.init_transactions(TAKE_OVER_TIMEOUT);
        begun.map_err(|error| connection.failed("taking the sink over", &error))?;
        let (marks, partitions) = (connection.marks_topic(), AtomicI32::new(0));
        Ok(Self { marks, connection, inner, partitions, begun: Mutex::new(Instant::now()) })
    }

    pub fn begin(&self) -> Result<(), ClusterError> {
        let topic = &self.connection.topic;
        let metadata = self.inner.client().fetch_metadata(Some(topic), TIMEOUT);
        let metadata = metadata.map_err(|error| self.failed("asking for the partitions", &error))?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        let count = found.map_or(0, |found| found.partitions().len());
        if count == 0 {
            return Err(ClusterError::Unavailable(format!("{} knows no partition", self.connection.brokers)));
        }
        self.partitions.store(i32::try_from(count).unwrap_or(i32::MAX), Ordering::Relaxed);
        *self.begun.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.inner.begin_transaction().map_err(|error| self.failed("beginning a transaction", &error))
    }

    /// Messages as [`MESSAGE_SCHEMA`](super::MESSAGE_SCHEMA) has them.
    pub fn send(&self, messages: &RecordBatch) -> Result<(), ClusterError> {
        let (hashes, keys, values, headers) = (
            messages["hash"].as_primitive::<Int32Type>(),
            messages["key"].as_binary::<i32>(),
            messages["value"].as_binary::<i32>(),
            messages["headers"].as_map(),
        );
        let partitions = self.partitions.load(Ordering::Relaxed).max(1);
        for row in 0..messages.num_rows() {
            let mut record = BaseRecord::<[u8], [u8]>::to(&self.connection.topic);
            if hashes.is_valid(row) {
                record = record.partition(hashes.value(row) % partitions);
            }
            if keys.is_valid(row) {
                record = record.key(keys.value(row));
            }
            if values.is_valid(row) {
                record = record.payload(values.value(row));
            }
            if headers.value_length(row) > 0 {
                let entries = headers.value(row);
                let (names, values) =
                    (entries.column(0).as_string::<i32>(), entries.column(1).as_binary::<i32>());
                let all = OwnedHeaders::new_with_capacity(entries.len());
                let all = (0..entries.len()).fold(all, |all, header| {
                    all.insert(Header { key: names.value(header), value: Some(values.value(header)) })
                });
                record = record.headers(all);
            }
            self.enqueue(record)?;
            if row % LOOK_AFTER == 0 {
                self.inner.poll(Duration::ZERO);
                self.delivered()?;
            }
        }
        Ok(())
    }

    /// Commits the transaction with the mark.
    pub fn commit(&self, mark: &Mark) -> Result<(), ClusterError> {
        let payload = serde_json::to_vec(mark)
            .map_err(|error| ClusterError::Refused(format!("the mark cannot be written: {error}")))?;
        let record = BaseRecord::to(&self.marks).partition(0).key(mark::KEY.as_bytes()).payload(&payload[..]);
        self.enqueue(record)?;
        let committed = self.inner.commit_transaction(self.connection.transaction_timeout());
        // Why a message was not delivered says more than that the transaction cannot be committed for it.
        self.delivered()?;
        committed.map_err(|error| self.failed("committing", &error))
    }

    /// Waits for room where there is none.
    fn enqueue(&self, mut record: BaseRecord<'_, [u8], [u8]>) -> Result<(), ClusterError> {
        let deadline = Instant::now() + self.connection.transaction_timeout();
        loop {
            match self.inner.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if Instant::now() < deadline =>
                {
                    record = back;
                    self.inner.poll(Duration::from_millis(50));
                    self.delivered()?;
                }
                Err((error, _)) => {
                    self.delivered()?;
                    return Err(self.failed("sending", &error));
                }
            }
        }
    }

    fn delivered(&self) -> Result<(), ClusterError> {
        let first = self.inner.context().0.lock().unwrap_or_else(PoisonError::into_inner);
        first.as_ref().map_or(Ok(()), |error| Err(self.failed("sending", error)))
    }

    fn failed(&self, doing: &str, error: &KafkaError) -> ClusterError {
        let failed = match self.inner.client().fatal_error() {
            // Every call fails from then on, and says only that.
            Some((code, _)) => self.connection.failed(doing, &KafkaError::Global(code)),
            None => self.connection.failed(doing, error),
        };
        let (took, most) = (
            self.begun.lock().unwrap_or_else(PoisonError::into_inner).elapsed(),
            self.connection.transaction_timeout(),
        );
        match failed {
            // The brokers shut out whoever takes too long, as if another had come.
            ClusterError::Fenced if took >= most => ClusterError::Unavailable(format!(
                "the transaction took {} s, and brokers end it after {} s: raise `transaction.timeout.ms` in the sink's \
                 `settings`, or lower `epoch.rows` and `epoch.bytes`",
                took.as_secs(),
                most.as_secs()
            )),
            failed => failed,
        }
    }
}

fn config(connection: &Connection) -> ClientConfig {
    let mut config = connection.client();
    let largest = (connection.max_message_bytes + BATCH_FRAMING).to_string();
    config
        .set("transactional.id", connection.transactional_id())
        .set("enable.idempotence", "true")
        .set("message.max.bytes", largest);
    // Room for the largest message, and for some of the usual ones.
    let queue = (2 * connection.max_message_bytes / 1024).max(64 << 10).to_string();
    for (names, value) in [
        (["compression.type", "compression.codec"], "lz4"),
        (["linger.ms", "queue.buffering.max.ms"], "20"),
        (["queue.buffering.max.kbytes", "queue.buffering.max.kbytes"], &queue),
    ] {
        if !names.iter().any(|name| connection.overrides.contains_key(*name)) {
            config.set(names[0], value);
        }
    }
    config
}
