//! Records from a queue of their own. Ends of partitions and faults come with their partition and offset, which
//! rdkafka's consumer drops. Group changes, statistics and faults of the client stay on the consumer's queue.
//!
//! Not by `rd_kafka_consume_batch_queue`, which would be cheaper: librdkafka 2.12 counts a partition's end as a
//! record there, and resumes one offset too far after a pause or a rebalance.

use std::ffi::{CStr, CString};
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka_sys as native;

use super::context::GroupContext;
use crate::progress::TopicPartition;

/// Messages taken at once.
const MOST_AT_ONCE: usize = 4096;

/// Where the records of started partitions arrive.
pub(super) struct RecordQueue {
    queue: NonNull<native::rd_kafka_queue_t>,
    /// Empty between calls of [`take`](Self::take).
    messages: Vec<Message>,
    /// Outlives the queue and the messages.
    consumer: Arc<BaseConsumer<GroupContext>>,
}

/// One message; its memory is librdkafka's until it is dropped.
pub(super) struct Message(NonNull<native::rd_kafka_message_t>);

/// What a message says.
pub(super) enum Content<'a> {
    Record(Record<'a>),
    /// Every record below this offset was handed over; offsets without one hold nothing to read.
    End(i64),
    Fault(RDKafkaErrorCode),
}

pub(super) struct Record<'a> {
    pub offset: i64,
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: Option<i64>,
    pub key: Option<&'a [u8]>,
    pub payload: Option<&'a [u8]>,
}

impl RecordQueue {
    pub(super) fn new(consumer: Arc<BaseConsumer<GroupContext>>) -> Result<Self, KafkaError> {
        // SAFETY: the client is alive, for `consumer` holds it. The queue is ours until `drop`.
        let queue = unsafe { native::rd_kafka_queue_new(consumer.client().native_ptr()) };
        let queue = NonNull::new(queue)
            .ok_or_else(|| KafkaError::ClientCreation("no queue for records".to_owned()))?;
        Ok(Self { queue, messages: Vec::with_capacity(MOST_AT_ONCE), consumer })
    }

    /// Lets the records of a partition arrive here. To be called before the partition is assigned: the
    /// assignment respects it, and no record goes astray to the consumer's own queue.
    pub(super) fn receive(&self, partition: &TopicPartition) -> Result<(), KafkaError> {
        let unknown = || KafkaError::Subscription(format!("{partition} has no queue"));
        let topic = CString::new(&*partition.topic).map_err(|_| unknown())?;
        let client = self.consumer.client().native_ptr();
        // SAFETY: the client is alive and `topic` ends with a zero byte. The partition's queue is reference
        // counted: forwarding keeps what it needs, and the handle that we got is given back.
        unsafe {
            let from = native::rd_kafka_queue_get_partition(client, topic.as_ptr(), partition.partition);
            if from.is_null() {
                return Err(unknown());
            }
            native::rd_kafka_queue_forward(from, self.queue.as_ptr());
            native::rd_kafka_queue_destroy(from);
        }
        Ok(())
    }

    /// Waits at most `timeout`, and hands over what came: runs of messages of one partition, in order.
    pub(super) fn take(&mut self, timeout: Duration, mut each: impl FnMut(&TopicPartition, &[Message])) {
        let timeout = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        self.messages.clear();
        let mut wait = timeout;
        while self.messages.len() < MOST_AT_ONCE {
            // SAFETY: the queue is alive; what comes is null, or a message of ours to destroy.
            let message = unsafe { native::rd_kafka_consume_queue(self.queue.as_ptr(), wait) };
            let Some(message) = NonNull::new(message) else { break };
            self.messages.push(Message(message));
            // What is there already.
            wait = 0;
        }
        for run in self.messages.chunk_by(Message::is_of_same_partition) {
            if let Some(partition) = run.first().and_then(Message::partition) {
                each(&partition, run);
            }
        }
        self.messages.clear();
    }
}

impl Drop for RecordQueue {
    fn drop(&mut self) {
        self.messages.clear();
        // SAFETY: the client is still alive, no message of the queue is left, and nothing uses it after.
        unsafe { native::rd_kafka_queue_destroy(self.queue.as_ptr()) }
    }
}

impl Message {
    pub(super) fn content(&self) -> Content<'_> {
        let message = self.native();
        match RDKafkaErrorCode::from(message.err) {
            RDKafkaErrorCode::NoError => {}
            RDKafkaErrorCode::PartitionEOF => return Content::End(message.offset),
            code => return Content::Fault(code),
        }
        // SAFETY: key and payload are null, or as long as the message says, and live as long as it does.
        let (key, payload) =
            unsafe { (bytes(message.key, message.key_len), bytes(message.payload, message.len)) };
        Content::Record(Record { offset: message.offset, timestamp_ms: self.timestamp_ms(), key, payload })
    }

    fn timestamp_ms(&self) -> Option<i64> {
        let mut kind = native::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is alive, and `kind` is written in place.
        let timestamp = unsafe { native::rd_kafka_message_timestamp(self.0.as_ptr(), &raw mut kind) };
        let is_there = kind != native::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        (is_there && timestamp != -1).then_some(timestamp)
    }

    fn is_of_same_partition(&self, other: &Self) -> bool {
        let (one, other) = (self.native(), other.native());
        one.rkt == other.rkt && one.partition == other.partition
    }

    /// `None` for what is of no partition.
    fn partition(&self) -> Option<TopicPartition> {
        let message = self.native();
        if message.rkt.is_null() {
            return None;
        }
        // SAFETY: the message holds its topic, whose name ends with a zero byte.
        let topic = unsafe { CStr::from_ptr(native::rd_kafka_topic_name(message.rkt)) };
        Some(TopicPartition::new(topic.to_str().ok()?, message.partition))
    }

    fn native(&self) -> &native::rd_kafka_message_t {
        // SAFETY: the message is ours until it is dropped, and nothing changes it.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: librdkafka gave us the message to destroy, and its client outlives it.
        unsafe { native::rd_kafka_message_destroy(self.0.as_ptr()) }
    }
}

/// # Safety
///
/// `start` is null, or `length` bytes are there for as long as `'a`.
unsafe fn bytes<'a>(start: *const std::ffi::c_void, length: usize) -> Option<&'a [u8]> {
    // SAFETY: as above.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start.cast(), length) })
}
