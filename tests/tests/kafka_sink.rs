//! The sink of messages does what every sink must do, against Kafka itself.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use async_trait::async_trait;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use serde_json::Value;
use sluicebox::ledger::entry::{Body, Entry, EntryNumber, Epoch, SinkEntry, SinkRecord, Writer};
use sluicebox::sink::kafka::{
    Connection, KafkaApplier, KafkaCluster, KafkaSinkSettings, MESSAGE_SCHEMA, MessageEncoder,
    MessageSettings,
};
use sluicebox::sink::rows::{FileFormat, Partitioning, RowWriter, WriterSettings, upload};
use sluicebox::sink::{Applied, SinkApplier, SinkError};
use sluicebox_tests::broker::Broker;
use sluicebox_tests::line::{Cut, Line};
use sluicebox_tests::messages::committed;
use uuid::Uuid;

#[path = "../../host/src/sink/conformance.rs"]
mod conformance;

use conformance::{Fault, Trial, conforms};

const PIPELINE: &str = "p";
const PARTITIONS: i32 = 3;
/// Of a transaction. A line that was cut comes back later.
const TIMEOUT: Duration = Duration::from_secs(4);
const DEAD_FOR: Duration = Duration::from_secs(6);

struct Kafka {
    broker: Broker,
    line: Line,
}

/// `None` where all tests use somebody else's broker.
fn kafka() -> Option<&'static Kafka> {
    static KAFKA: OnceLock<Option<Kafka>> = OnceLock::new();
    let kafka = KAFKA.get_or_init(|| {
        let line = Line::start().expect("a line");
        let broker = Broker::behind(&line).expect("a broker")?;
        Some(Kafka { broker, line })
    });
    kafka.as_ref()
}

/// A sink of its own on the one broker.
struct Place {
    kafka: &'static Kafka,
    sink: String,
    store: Arc<dyn ObjectStore>,
    ledger: Uuid,
    bootstrap_servers: String,
}

impl Place {
    fn new() -> Self {
        static PLACES: AtomicU32 = AtomicU32::new(0);
        let kafka = kafka().expect("a broker of one's own");
        Self {
            kafka,
            sink: format!("sink-{}", PLACES.fetch_add(1, Ordering::Relaxed)),
            store: Arc::new(InMemory::new()),
            ledger: Uuid::new_v4(),
            bootstrap_servers: kafka.broker.bootstrap_servers().to_owned(),
        }
    }

    /// One that is reached by the line, which is cut for it alone.
    fn by_the_line() -> Self {
        let place = Self::new();
        let bootstrap_servers = format!("127.0.0.1:{}", place.kafka.line.port());
        Self { bootstrap_servers, ..place }
    }

    fn connection(&self) -> Connection {
        let settings = [("transaction.timeout.ms", TIMEOUT.as_millis().to_string())];
        Connection {
            brokers: self.bootstrap_servers.clone(),
            overrides: settings.map(|(name, value)| (name.to_owned(), value)).into(),
            pipeline: PIPELINE.to_owned(),
            sink: self.sink.clone(),
            topic: format!("topic-of-{}", self.sink),
            partitions: Some(PARTITIONS),
            max_message_bytes: 1 << 19,
        }
    }
}

#[async_trait]
impl Trial for Place {
    async fn open(&self) -> Result<Box<dyn SinkApplier>, SinkError> {
        let settings = KafkaSinkSettings {
            pipeline: PIPELINE.to_owned(),
            sink: self.sink.clone(),
            topic: self.connection().topic,
            ledger: self.ledger,
            start: 3,
            max_message_bytes: 1 << 19,
            record: None,
        };
        let cluster = KafkaCluster::connect(self.connection()).await;
        let cluster = cluster.map_err(|error| settings.failed(error))?;
        Ok(Box::new(KafkaApplier::open(settings, self.store.clone(), Box::new(cluster)).await?))
    }

    async fn entry(&self, number: EntryNumber, ids: Range<i64>) -> Arc<Entry> {
        let writer = Writer { incarnation: Uuid::new_v4(), epoch: number };
        let settings = WriterSettings {
            incarnation: writer.incarnation,
            thread: 0,
            file_size: 1 << 20,
            max_partitions: 1,
            format: FileFormat::TABLE,
        };
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(ids));
        let rows = RecordBatch::try_from_iter([("id", ids)]).expect("rows");
        let of_messages = MessageSettings {
            key: vec!["id".to_owned()],
            partition_by: Vec::new(),
            headers: Vec::new(),
            max_bytes: 1000,
        };
        let encoder = MessageEncoder::new(rows.schema_ref(), |_| true, of_messages).expect("an encoder");
        let messages = encoder.encode(&rows).expect("messages").messages;
        let staging = Partitioning::staging(&MESSAGE_SCHEMA).expect("a layout");
        let mut files = RowWriter::new(settings, MESSAGE_SCHEMA.clone(), staging);
        files.write(&messages).expect("messages are written");
        let files = upload(&self.store, files.finish(number).expect("files")).await.expect("uploaded");
        let epoch = Epoch {
            configuration: String::new(),
            schema_version: 0,
            proposes_schema: None,
            tasks: Vec::new(),
            sinks: BTreeMap::from([(self.sink.clone(), SinkEntry { files, schema: None })]),
            seen: BTreeMap::new(),
            references: BTreeMap::new(),
        };
        let body = Body::Epoch(epoch);
        Arc::new(Entry { format: 1, ledger: self.ledger, number, writer, written_at_ms: 0, body })
    }

    async fn visible(&self) -> Vec<i64> {
        let (servers, topic) = (self.kafka.broker.bootstrap_servers().to_owned(), self.connection().topic);
        let messages = tokio::task::spawn_blocking(move || committed(&servers, &topic)).await;
        let messages = messages.expect("read").expect("messages");
        let mut ids: Vec<i64> = messages
            .iter()
            .map(|message| {
                let body: Value = serde_json::from_str(&message.value).expect("JSON");
                assert_eq!(message.key, body["id"].as_i64().map(|id| id.to_string()));
                body["id"].as_i64().expect("an id")
            })
            .collect();
        ids.sort_unstable();
        ids
    }

    fn fail_next(&self, fault: Fault) {
        let cut = match fault {
            Fault::BeforeEffect => Cut::Request,
            Fault::AfterEffect => Cut::Answer,
        };
        self.kafka.line.cut_next(cut, DEAD_FOR);
    }

    fn has_failed(&self) -> bool {
        self.kafka.line.was_cut()
    }

    async fn go_back(&self) {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.kafka.broker.bootstrap_servers());
        let admin: AdminClient<DefaultClientContext> = config.create().expect("a client");
        let marks = self.connection().marks_topic();
        let deleted = admin.delete_topics(&[&marks], &AdminOptions::new()).await.expect("an answer");
        assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
    }
}

conforms!(Place::new, Place::by_the_line);
