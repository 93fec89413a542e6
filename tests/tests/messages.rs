//! Messages in Kafka are what tables of the same rows are: each once, whatever dies on the way.

use std::collections::HashMap;
use std::fs;

use anyhow::{Context, Result, ensure};
use iot_sensors::events::Stream;
use rdkafka::ClientConfig;
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use serde_json::Value;
use sluicebox_tests::broker::Broker;
use sluicebox_tests::load::{Load, mixed_stream};
use sluicebox_tests::messages::{Message, committed};
use sluicebox_tests::pipeline::{Pipeline, SENSORS, Settings};
use sluicebox_tests::program::assert_says;
use sluicebox_tests::python;
use sluicebox_tests::turns::two_at_a_time;

const MESSAGES: &str = include_str!("../pipelines/messages.yaml");
const TOPICS: [&str; 2] = ["silver", "gold"];
const PARTITIONS: usize = 2;
const RECORDS: u64 = 6_000;
const SETTINGS: Settings = Settings { batch_rows: 500, epoch_ms: 200, epoch_rows: 1000 };

/// The tables are as they must be, and the topics hold what the tables hold.
fn verify(broker: &Broker, topic: &str, pipeline: &Pipeline, stream: &Stream, ends: &[i64]) -> Result<()> {
    pipeline.verify(stream, ends)?;
    for name in TOPICS {
        let messages = committed(broker.bootstrap_servers(), &format!("{topic}-{name}"))?;
        let lines: String = messages.iter().map(|message| format!("{}\n", message.value)).collect();
        let file = format!("{name}_sent.jsonl");
        fs::write(pipeline.lake().join(&file), lines)?;
        python::check_lines(&pipeline.lake(), &file, name)?;
    }
    Ok(())
}

/// A worker dies around each step of a transaction; another one goes on.
#[test]
fn a_crash_around_a_transaction_loses_nothing_and_repeats_nothing() -> Result<()> {
    let broker = Broker::shared()?;
    let stream = mixed_stream(5, RECORDS as i64 / 4);
    let file = format!("{SENSORS}{MESSAGES}");
    let points = TOPICS.iter().flat_map(|topic| {
        let sink = format!("{topic}_sent");
        [
            format!("before_commit:{sink}"),
            format!("before_commit:{sink}#2"),
            format!("after_commit:{sink}"),
            format!("before_apply:{sink}"),
        ]
    });
    two_at_a_time(points.collect(), |point: String| {
        let id = format!("messages-{}", point.replace([':', '_', '#'], "-"));
        // What it sends is told by the topic that it reads.
        let (topic, ends) = broker.topic_with(&id, PARTITIONS, &stream, RECORDS)?;
        let pipeline = Pipeline::with_file(&file, &id, broker, &topic, SETTINGS)?;
        pipeline.worker("worker")?.until_caught_up().crash_at(&point).start()?.expect_crash()?;
        pipeline.catch_up("worker").with_context(|| format!("after the crash at {point}"))?;
        verify(broker, &topic, &pipeline, &stream, &ends)
            .with_context(|| format!("after the crash at {point}"))?;
        pipeline.close()
    })
}

/// Two workers under load, one or the other killed with `kill -9`.
#[test]
fn killed_workers_send_each_message_once() -> Result<()> {
    let broker = Broker::shared()?;
    let stream = mixed_stream(6, 3000);
    let topic = broker.create_topic("message-kills", 4)?;
    let load = Load::start(broker, &topic, 4, stream.clone(), 2000)?;
    let file = format!("{SENSORS}{MESSAGES}");
    let pipeline = Pipeline::with_file(&file, "message-kills", broker, &topic, SETTINGS)?;
    let mut workers = vec![pipeline.worker("one")?.start()?, pipeline.worker("two")?.start()?];
    for name in ["one", "two", "one"] {
        pipeline.wait_for_commit_after("bronze", pipeline.version("bronze")?)?;
        workers.remove(0).kill()?;
        workers.push(pipeline.worker(name)?.start()?);
    }
    let ends = load.stop()?;
    for worker in workers {
        worker.stop()?;
    }
    pipeline.catch_up("one")?;
    verify(broker, &topic, &pipeline, &stream, &ends)?;

    let sent = committed(broker.bootstrap_servers(), &format!("{topic}-silver"))?;
    check_placement(broker, &sent)?;
    for message in &sent {
        let body: Value = serde_json::from_str(&message.value)?;
        assert_eq!(message.key.as_deref(), body["machine_id"].as_str());
        let state = message.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let expected = body["status"].as_str().map(|status| ("state", status));
        assert_eq!(Vec::from_iter(state), Vec::from_iter(expected));
    }
    for message in committed(broker.bootstrap_servers(), &format!("{topic}-gold"))? {
        let (key, body): (Value, Value) =
            (serde_json::from_str(&message.key.context("a key")?)?, serde_json::from_str(&message.value)?);
        assert_eq!(key["machine_id"], body["machine_id"]);
        assert_eq!(key["window_start"], body["window_start"]);
    }

    assert_says(&pipeline.sluicebox(&["tables"])?.success()?, "silver_sent: messages of all entries up to");
    assert_says(&pipeline.sluicebox(&["ledger", "show"])?.success()?, "gold_sent: mark");
    assert_says(&pipeline.check()?, "topic silver_sent: mark");

    // The messages of a topic that was deleted are gone, whatever is there now.
    broker.delete_topic(&format!("{topic}-silver"))?;
    broker.create_topic_named(&format!("{topic}-silver"), 3)?;
    assert_says(&pipeline.fail("late")?, "was deleted and created again");
    pipeline.close()
}

/// Each key is in the partition in which Kafka's own clients put it.
fn check_placement(broker: &Broker, messages: &[Message]) -> Result<()> {
    let keys: HashMap<&str, i32> =
        messages.iter().filter_map(|message| Some((message.key.as_deref()?, message.partition))).collect();
    ensure!(keys.len() > 3, "only {} keys", keys.len());
    let topic = broker.create_topic("placed-by-librdkafka", 3)?;
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.bootstrap_servers()).set("partitioner", "murmur2_random");
    let producer: ThreadedProducer<Placement> = config.create_with_context(Placement::default())?;
    for key in keys.keys() {
        let sent = producer.send(BaseRecord::to(&topic).key(*key).payload("x"));
        sent.map_err(|(error, _)| error)?;
    }
    producer.flush(std::time::Duration::from_secs(10))?;
    let placed = producer.context().0.lock().map_err(|_| anyhow::anyhow!("a panic"))?;
    for message in messages {
        let key = message.key.as_deref().context("a key")?;
        assert_eq!(placed.get(key), Some(&message.partition), "{key}");
    }
    Ok(())
}

/// Where librdkafka put each key.
#[derive(Default)]
struct Placement(std::sync::Mutex<HashMap<String, i32>>);

impl rdkafka::ClientContext for Placement {}

impl rdkafka::producer::ProducerContext for Placement {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &rdkafka::message::DeliveryResult<'_>, (): ()) {
        if let (Ok(message), Ok(mut placed)) = (result, self.0.lock()) {
            let key = String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned();
            placed.insert(key, message.partition());
        }
    }
}

const LARGE: &str = r#"
id: ${PIPELINE}
source:
  kafka: { brokers: "${BOOTSTRAP_SERVERS}", topics: ["${TOPIC}"] }
decode:
  schema: { note: utf8 }
state: ./lake/_sluicebox
dead_letters: { delta: ./lake/dead_letters }
layers:
  sent:
    quarantine: { delta: ./lake/quarantine }
    sink: { kafka: { topic: "${TOPIC}-sent", partitions: 1, max_message: 1KiB } }
"#;

/// A row whose message is too large is rejected before it is entered, with a reason, and counted.
#[test]
fn a_message_that_is_too_large_is_a_row_in_the_quarantine() -> Result<()> {
    let broker = Broker::shared()?;
    let topic = broker.create_topic("large-messages", 1)?;
    let notes = ["short".to_owned(), "x".repeat(1200), "short too".to_owned()];
    let payloads: Vec<String> = notes.iter().map(|note| format!(r#"{{"note": "{note}"}}"#)).collect();
    broker.send(&topic, 0, payloads.iter().map(String::as_str))?;
    let pipeline = Pipeline::with_file(LARGE, "large-messages", broker, &topic, Settings::default())?;
    pipeline.catch_up("worker")?;
    pipeline.audit()?;
    let sent = committed(broker.bootstrap_servers(), &format!("{topic}-sent"))?;
    let notes: Vec<Value> = sent
        .iter()
        .map(|message| Ok(serde_json::from_str::<Value>(&message.value)?["note"].take()))
        .collect::<Result<_>>()?;
    assert_eq!(notes, ["short", "short too"]);
    assert!(sent.iter().all(|message| message.key.is_none() && message.headers.is_empty()));
    let shown = pipeline.sluicebox(&["tables", "--rows", "3"])?.success()?;
    assert_says(&shown, "too_large");
    assert_says(&shown, "above `max_message` (1024)");
    pipeline.close()
}
