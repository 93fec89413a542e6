//! librdkafka's callbacks, turned into values.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use rdkafka::{Statistics, TopicPartitionList};
use tracing::{debug, error, warn};

use crate::progress::TopicPartition;
use crate::source::EndOffsets;

/// What the group coordinator decided. librdkafka lets the answer wait until the caller gives it.
pub(super) enum GroupChange {
    Assigned(Vec<TopicPartition>),
    Revoked(Vec<TopicPartition>),
}

pub(super) struct GroupContext {
    ends: EndOffsets,
    changes: Mutex<Vec<GroupChange>>,
    pub(super) connected: AtomicBool,
    pub(super) closing: AtomicBool,
}

impl GroupContext {
    pub(super) fn new(ends: EndOffsets) -> Self {
        Self {
            ends,
            changes: Mutex::default(),
            connected: AtomicBool::new(false),
            closing: AtomicBool::new(false),
        }
    }

    pub(super) fn take_changes(&self) -> Vec<GroupChange> {
        self.changes.lock().map(|mut changes| std::mem::take(&mut *changes)).unwrap_or_default()
    }
}

impl ClientContext for GroupContext {
    fn stats(&self, statistics: Statistics) {
        // Partition -1 stands for messages without one.
        let ends = statistics.topics.iter().flat_map(|(topic, of)| {
            let known = of.partitions.iter().filter(|(id, each)| **id >= 0 && each.hi_offset >= 0);
            known.map(|(id, each)| (TopicPartition::new(topic.as_str(), *id), each.hi_offset))
        });
        self.ends.learn(ends);
        if statistics.brokers.values().any(|broker| broker.state == "UP") {
            self.connected.store(true, Ordering::Relaxed);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            // Told once for each outage: librdkafka repeats it at every attempt.
            Some(RDKafkaErrorCode::AllBrokersDown) if !self.connected.swap(false, Ordering::Relaxed) => {
                return;
            }
            // librdkafka's own line says it better.
            Some(RDKafkaErrorCode::BrokerTransportFailure) => return,
            _ => {}
        }
        warn!(%error, reason, "Kafka client");
    }
}

impl ConsumerContext for GroupContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let assigned = code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.closing.load(Ordering::Relaxed) {
            if !assigned && let Err(error) = consumer.incremental_unassign(list) {
                error!(%error, "cannot leave the group in order");
            }
            return;
        }
        let partitions: Vec<TopicPartition> = list
            .elements()
            .iter()
            .map(|element| TopicPartition::new(element.topic(), element.partition()))
            .collect();
        debug!(assigned, ?partitions, "group change");
        let change =
            if assigned { GroupChange::Assigned(partitions) } else { GroupChange::Revoked(partitions) };
        if let Ok(mut changes) = self.changes.lock() {
            changes.push(change);
        }
    }
}
