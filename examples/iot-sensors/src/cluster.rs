//! The embedded Kafka: librdkafka's mock cluster, kept within what it can hold.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

/// The mock cluster keeps 5 MB of a partition and drops what is older without a word. The demo plans with half.
const BYTES_PER_PARTITION: u64 = 2_500_000;
/// What an event takes in the log, compressed. Measured: about 75 bytes in batches of 20 ms.
const BYTES_PER_EVENT: u64 = 100;
const FEWEST_PARTITIONS: u64 = 4;
const MOST_PARTITIONS: u64 = 64;

const TIMEOUT: Duration = Duration::from_secs(10);

pub struct Cluster {
    mock: MockCluster<'static, DefaultProducerContext>,
    topic: String,
    partitions: usize,
}

impl Cluster {
    /// A cluster with one topic, of so many partitions that it can hold all `events`.
    pub fn start(topic: &str, events: u64) -> Result<Self> {
        let partitions = (events * BYTES_PER_EVENT).div_ceil(BYTES_PER_PARTITION).max(FEWEST_PARTITIONS);
        let most = MOST_PARTITIONS * BYTES_PER_PARTITION / BYTES_PER_EVENT;
        ensure!(
            partitions <= MOST_PARTITIONS,
            "the embedded Kafka holds at most {most} events, not {events}: lower --rate or --seconds"
        );
        let mock = MockCluster::new(1)?;
        mock.create_topic(topic, partitions as i32, 1)?;
        Ok(Self { mock, topic: topic.to_owned(), partitions: partitions as usize })
    }

    pub fn bootstrap_servers(&self) -> String {
        self.mock.bootstrap_servers()
    }

    pub fn partitions(&self) -> usize {
        self.partitions
    }

    /// Whether every partition still starts at its first record.
    pub fn check_nothing_dropped(&self) -> Result<()> {
        let consumer: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", self.bootstrap_servers()).create()?;
        for partition in 0..self.partitions as i32 {
            let (first, _) = consumer.fetch_watermarks(&self.topic, partition, TIMEOUT)?;
            if first > 0 {
                bail!(
                    "the embedded Kafka has dropped {first} records of partition {partition}: \
                     lower --rate or --seconds"
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use iot_sensors::events::{Rates, Stream};
    use iot_sensors::feed::Feed;

    /// Fills one partition with batches of the size that the demo's rate gives. Nothing may go missing
    /// before the demo's own estimate of what fits, and when something does, it must be noticed.
    #[test]
    fn the_estimate_is_safe_and_a_loss_is_noticed() -> Result<()> {
        let rates = Rates { malformed: 2, late: 5, duplicate: 5, implausible: 10 };
        let stream = Stream { seed: 42, start_ms: 0, step_ms: 700, machines: 4, rates, new_fields_from: 0 };
        let cluster = Cluster { partitions: 1, ..Cluster::start("filled", 1)? };
        let small_batches = [("batch.num.messages", "20")];
        let mut feed = Feed::open_with(&cluster.bootstrap_servers(), "filled", 1, stream, &small_batches)?;
        feed.send(2 * BYTES_PER_PARTITION / BYTES_PER_EVENT)?;
        feed.flush()?;
        cluster.check_nothing_dropped()?;

        feed.send(100_000)?;
        feed.flush()?;
        assert!(cluster.check_nothing_dropped().is_err());
        Ok(())
    }
}
