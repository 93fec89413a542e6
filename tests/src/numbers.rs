//! Records that are numbers, `{"n": 7}`, sent by hand: within transactions, or with a time of one's own.

use std::time::Duration;

use anyhow::{Context, Result};
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::broker::Broker;

const TIMEOUT: Duration = Duration::from_secs(30);

pub struct Numbers {
    producer: BaseProducer,
    topic: String,
    next: u64,
}

impl Numbers {
    pub fn open(broker: &Broker, topic: &str) -> Result<Self> {
        Self::create(broker, topic, &[])
    }

    /// Every record must be sent within a transaction.
    pub fn transactional(broker: &Broker, topic: &str) -> Result<Self> {
        let numbers = Self::create(broker, topic, &[("transactional.id", topic)])?;
        numbers.producer.init_transactions(TIMEOUT)?;
        Ok(numbers)
    }

    fn create(broker: &Broker, topic: &str, settings: &[(&str, &str)]) -> Result<Self> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", broker.bootstrap_servers()).set("linger.ms", "0");
        for (name, value) in settings {
            config.set(*name, *value);
        }
        Ok(Self { producer: config.create()?, topic: topic.to_owned(), next: 0 })
    }

    /// Sends `count` records, and waits until the broker has them.
    pub fn send(&mut self, partition: i32, count: u64) -> Result<()> {
        self.send_at(partition, count, None)
    }

    /// The same with a record time, milliseconds since the Unix epoch.
    pub fn send_at(&mut self, partition: i32, count: u64, timestamp_ms: Option<i64>) -> Result<()> {
        for _ in 0..count {
            let payload = format!(r#"{{"n": {}}}"#, self.next);
            self.next += 1;
            let mut record =
                BaseRecord::<(), str>::to(&self.topic).partition(partition).payload(payload.as_str());
            record.timestamp = timestamp_ms;
            self.producer.send(record).map_err(|(error, _)| error)?;
        }
        self.producer.flush(TIMEOUT).context("the broker did not take the records")
    }

    pub fn begin(&self) -> Result<()> {
        Ok(self.producer.begin_transaction()?)
    }

    pub fn commit(&self) -> Result<()> {
        Ok(self.producer.commit_transaction(TIMEOUT)?)
    }

    pub fn abort(&self) -> Result<()> {
        Ok(self.producer.abort_transaction(TIMEOUT)?)
    }
}
