//! librdkafka's callbacks, turned into values.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use tracing::{debug, error, warn};

use crate::progress::TopicPartition;

/// What the group coordinator decided. librdkafka lets the answer wait until the caller gives it.
pub(super) enum GroupChange {
    Assigned(Vec<TopicPartition>),
    Revoked(Vec<TopicPartition>),
}

#[derive(Default)]
pub(super) struct GroupContext {
    changes: Mutex<Vec<GroupChange>>,
    pub(super) connected: AtomicBool,
    pub(super) closing: AtomicBool,
}

impl GroupContext {
    pub(super) fn take_changes(&self) -> Vec<GroupChange> {
        self.connected.store(true, Ordering::Relaxed);
        self.changes.lock().map(|mut changes| std::mem::take(&mut *changes)).unwrap_or_default()
    }
}

impl ClientContext for GroupContext {
    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.connected.store(false, Ordering::Relaxed);
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
