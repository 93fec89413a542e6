//! A real Kafka broker: Apache Kafka from its jars, one node, on free loopback ports.

use std::fs::{self, File};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use iot_sensors::events::Stream;
use iot_sensors::feed::Feed;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication, TopicResult};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use tempfile::TempDir;

use crate::line::Line;
use crate::security::Security;

/// Names an external broker (`host:port`) that is used instead of a fresh one.
const EXTERNAL: &str = "SLUICEBOX_TEST_KAFKA";
/// The folder of Apache Kafka's jars; `cargo xtask test` sets it.
const LIBS: &str = "SLUICEBOX_KAFKA_LIBS";

const START_TIMEOUT: Duration = Duration::from_secs(90);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

pub struct Broker {
    bootstrap_servers: String,
    /// What a consumer group's `session.timeout.ms` may be at least.
    min_session_timeout_ms: u32,
    process: Option<Process>,
}

impl Broker {
    /// The one broker of this test process. It stops when the process ends, however that happens.
    pub fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<Result<Broker>> = OnceLock::new();
        SHARED
            .get_or_init(|| Self::start(None))
            .as_ref()
            .map_err(|error| anyhow!("no Kafka broker: {error:#}"))
    }

    fn start(listener: Option<Listener>) -> Result<Self> {
        if let Ok(bootstrap_servers) = std::env::var(EXTERNAL) {
            return Ok(Self { bootstrap_servers, min_session_timeout_ms: 6000, process: None });
        }
        let libs = std::env::var(LIBS)
            .with_context(|| format!("neither {EXTERNAL} nor {LIBS} is set: run `cargo xtask test`"))?;
        let process = Process::start(Path::new(&libs), listener)?;
        let broker = Self {
            bootstrap_servers: format!("127.0.0.1:{}", process.port),
            min_session_timeout_ms: 2000,
            process: Some(process),
        };
        broker.wait_until_ready()?;
        Ok(broker)
    }

    /// A broker that [`crash`](Self::crash) may be asked of; `None` where all tests use somebody else's.
    pub fn own() -> Result<Option<Self>> {
        if std::env::var_os(EXTERNAL).is_some() {
            return Ok(None);
        }
        Self::start(None).map(Some)
    }

    /// A broker that can be reached by TLS with a password too; `None` where all tests use somebody else's.
    pub fn secured(security: &Security) -> Result<Option<Self>> {
        if std::env::var_os(EXTERNAL).is_some() {
            return Ok(None);
        }
        Self::start(Some(security.listener())).map(Some)
    }

    /// A broker that can be reached by the line too; `None` where all tests use somebody else's.
    pub fn behind(line: &Line) -> Result<Option<Self>> {
        if std::env::var_os(EXTERNAL).is_some() {
            return Ok(None);
        }
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        line.lead_to(port);
        let properties =
            "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,LINE:PLAINTEXT\n";
        let properties = properties.to_owned();
        Self::start(Some(Listener { name: "LINE", port, advertised: line.port(), properties })).map(Some)
    }

    /// `kill -9`. Returns when nobody listens any more.
    pub fn crash(&mut self) -> Result<()> {
        let process = self.process.as_mut().context("somebody else's broker")?;
        process.order("crash")?;
        let deadline = Instant::now() + REQUEST_TIMEOUT;
        while TcpStream::connect(("127.0.0.1", process.port)).is_ok() {
            ensure!(Instant::now() < deadline, "the broker does not die");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Starts the crashed broker again, on the same port and data.
    pub fn restart(&mut self) -> Result<()> {
        self.process.as_mut().context("somebody else's broker")?.order("start")?;
        self.wait_until_ready()
    }

    pub fn bootstrap_servers(&self) -> &str {
        &self.bootstrap_servers
    }

    /// The shortest `session.timeout.ms` that the broker accepts.
    pub fn min_session_timeout_ms(&self) -> u32 {
        self.min_session_timeout_ms
    }

    /// A new topic that no other test, process or earlier run knows.
    pub fn create_topic(&self, name: &str, partitions: usize) -> Result<String> {
        static TOPICS: AtomicU32 = AtomicU32::new(0);
        let number = TOPICS.fetch_add(1, Ordering::Relaxed);
        let started = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis();
        let topic = format!("{name}-{started}-{}-{number}", std::process::id());
        self.create_topic_named(&topic, partitions)?;
        Ok(topic)
    }

    /// A topic of this very name, which must be free.
    pub fn create_topic_named(&self, topic: &str, partitions: usize) -> Result<()> {
        let new = NewTopic::new(topic, partitions as i32, TopicReplication::Fixed(1));
        let results = self.administrate(async |admin, options| admin.create_topics([&new], options).await)?;
        succeeded(results)
    }

    pub fn delete_topic(&self, topic: &str) -> Result<()> {
        let results =
            self.administrate(async |admin, options| admin.delete_topics(&[topic], options).await)?;
        succeeded(results)
    }

    /// Adds partitions, so that the topic has so many.
    pub fn add_partitions(&self, topic: &str, partitions: usize) -> Result<()> {
        let new = NewPartitions::new(topic, partitions);
        let results =
            self.administrate(async |admin, options| admin.create_partitions([&new], options).await)?;
        succeeded(results)
    }

    /// Deletes the records before `offset`, as retention does.
    pub fn delete_records(&self, topic: &str, partition: i32, offset: i64) -> Result<()> {
        let mut before = TopicPartitionList::new();
        before.add_partition_offset(topic, partition, Offset::Offset(offset))?;
        let deleted =
            self.administrate(async |admin, options| admin.delete_records(&before, options).await)?;
        for element in deleted.elements() {
            element.error()?;
        }
        Ok(())
    }

    fn administrate<T>(
        &self,
        request: impl AsyncFnOnce(&AdminClient<DefaultClientContext>, &AdminOptions) -> KafkaResult<T>,
    ) -> Result<T> {
        let admin: AdminClient<DefaultClientContext> = self.client().create()?;
        let options = AdminOptions::new().operation_timeout(Some(REQUEST_TIMEOUT));
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        Ok(runtime.block_on(request(&admin, &options))?)
    }

    /// A new topic holding the first `records` events of `stream`, spread evenly. Returns its name and
    /// each partition's end offset.
    pub fn topic_with(
        &self,
        name: &str,
        partitions: usize,
        stream: &Stream,
        records: u64,
    ) -> Result<(String, Vec<i64>)> {
        let topic = self.create_topic(name, partitions)?;
        let mut feed = Feed::open(&self.bootstrap_servers, &topic, partitions, stream.clone())?;
        feed.send(records)?;
        let ends = feed.flush()?;
        Ok((topic, ends))
    }

    /// Appends records with these payloads to a partition.
    pub fn send<'a>(
        &self,
        topic: &str,
        partition: i32,
        payloads: impl IntoIterator<Item = &'a str>,
    ) -> Result<()> {
        let producer: BaseProducer = self.client().set("enable.idempotence", "true").create()?;
        for payload in payloads {
            let record = BaseRecord::<(), str>::to(topic).partition(partition).payload(payload);
            producer.send(record).map_err(|(error, _)| error)?;
        }
        producer.flush(REQUEST_TIMEOUT).context("the broker took too long to take the records")
    }

    /// Each partition's end offset.
    pub fn end_offsets(&self, topic: &str) -> Result<Vec<i64>> {
        let consumer: BaseConsumer = self.client().create()?;
        let metadata = consumer.fetch_metadata(Some(topic), REQUEST_TIMEOUT)?;
        let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
        let mut ends: Vec<_> = partitions.map(|partition| (partition.id(), 0)).collect();
        ends.sort_unstable();
        for (partition, end) in &mut ends {
            *end = consumer.fetch_watermarks(topic, *partition, REQUEST_TIMEOUT)?.1;
        }
        Ok(ends.into_iter().map(|(_, end)| end).collect())
    }

    fn wait_until_ready(&self) -> Result<()> {
        let consumer: BaseConsumer = self.client().create()?;
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            // Waits inside librdkafka until the broker answers, at most a second.
            match consumer.fetch_metadata(None, Duration::from_secs(1)) {
                Ok(metadata) if !metadata.brokers().is_empty() => return Ok(()),
                _ if Instant::now() < deadline => {}
                Ok(_) => bail!("{} names no broker", self.bootstrap_servers),
                Err(error) => {
                    return Err(error).with_context(|| format!("{} is silent", self.bootstrap_servers));
                }
            }
        }
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap_servers);
        // While the broker starts, refused connections are expected.
        config.set("log_level", "0").set("reconnect.backoff.max.ms", "200");
        config
    }
}

fn succeeded(results: Vec<TopicResult>) -> Result<()> {
    for result in results {
        result.map_err(|(topic, code)| anyhow!("topic {topic}: {code}"))?;
    }
    Ok(())
}

/// The broker's process, under a shell that outlives nothing: when this end of the shell's standard
/// input closes, be it by a drop, a panic or a `kill -9` of the test, the broker and its data go.
struct Process {
    port: u16,
    shell: Child,
}

const SUPERVISE: &str = r#"
trap '' INT
start() {
    java -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$1/*" kafka.Kafka "$2/server.properties" </dev/null &
    broker=$!
}
start "$1" "$2"
while read -r order; do
    case "$order" in
        crash) kill -9 "$broker"; wait "$broker" ;;
        start) start "$1" "$2" ;;
    esac
done
kill -9 "$broker"
rm -rf "$2"
"#;

impl Process {
    fn start(libs: &Path, listener: Option<Listener>) -> Result<Self> {
        let dir = TempDir::with_prefix("sluicebox-kafka-")?;
        let (port, controller_port) = free_ports()?;
        let properties = dir.path().join("server.properties");
        let data = dir.path().join("data");
        fs::write(&properties, server_properties(port, controller_port, &data, listener))?;

        let format = Command::new("java")
            .args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"])
            .arg(libs.join("*"))
            .args(["kafka.tools.StorageTool", "format", "-t", "c2x1aWNlYm94LXRlc3RzIQ", "-c"])
            .arg(&properties)
            .output()
            .context("cannot run `java`: install a Java runtime, 17 or newer")?;
        if !format.status.success() {
            let (out, err) =
                (String::from_utf8_lossy(&format.stdout), String::from_utf8_lossy(&format.stderr));
            bail!("Kafka's storage was not formatted with the jars in {}: {out}{err}", libs.display());
        }

        let log = File::create(dir.path().join("kafka.log"))?;
        let shell = Command::new("sh")
            .args(["-c", SUPERVISE, "sh"])
            .arg(libs)
            .arg(dir.path())
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        // From here on the shell removes the folder.
        let _: PathBuf = dir.keep();
        Ok(Self { port, shell })
    }
}

impl Process {
    fn order(&mut self, order: &str) -> Result<()> {
        let shell = self.shell.stdin.as_mut().context("the shell's input is piped")?;
        Ok(writeln!(shell, "{order}")?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

fn free_ports() -> Result<(u16, u16)> {
    let (one, other) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
    Ok((one.local_addr()?.port(), other.local_addr()?.port()))
}

/// Where a broker listens besides.
pub struct Listener {
    pub name: &'static str,
    pub port: u16,
    /// The port that clients are told.
    pub advertised: u16,
    /// What the broker's properties say of it, in whole lines.
    pub properties: String,
}

fn server_properties(port: u16, controller_port: u16, data: &Path, other: Option<Listener>) -> String {
    let address = |name: &str, port: u16| format!(",{name}://127.0.0.1:{port}");
    let listener = other.as_ref().map(|other| address(other.name, other.port)).unwrap_or_default();
    let advertised = other.as_ref().map(|other| address(other.name, other.advertised)).unwrap_or_default();
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}{listener}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}{advertised}
controller.listener.names=CONTROLLER
log.dirs={}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
auto.create.topics.enable=false
{}",
        data.display(),
        other.map(|other| other.properties).unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use iot_sensors::events::Rates;

    #[test]
    fn a_topic_holds_what_was_sent() -> Result<()> {
        let broker = Broker::shared()?;
        let stream = Stream {
            seed: 1,
            start_ms: 1_767_225_600_000,
            step_ms: 1000,
            machines: 5,
            rates: Rates { malformed: 10, late: 10, duplicate: 10, implausible: 10 },
            new_fields_from: 500,
        };
        let (topic, ends) = broker.topic_with("sent", 3, &stream, 1000)?;
        assert_eq!(ends, [334, 333, 333]);
        assert_eq!(broker.end_offsets(&topic)?, ends);
        Ok(())
    }

    #[test]
    fn an_event_that_lands_elsewhere_is_noticed() -> Result<()> {
        let broker = Broker::shared()?;
        let stream = Stream {
            seed: 1,
            start_ms: 0,
            step_ms: 1000,
            machines: 1,
            rates: Rates { malformed: 0, late: 0, duplicate: 0, implausible: 0 },
            new_fields_from: 0,
        };
        let (topic, _) = broker.topic_with("shared-by-mistake", 1, &stream, 10)?;
        let mut second = Feed::open(broker.bootstrap_servers(), &topic, 1, stream)?;
        second.send(1)?;
        let error = second.flush().expect_err("offset 0 is taken").to_string();
        assert!(error.contains("landed at 10"), "{error}");
        Ok(())
    }
}
