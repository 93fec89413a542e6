//! What the broker says of topics: which one a name stands for, and how many partitions it has.

use std::ffi::CString;
use std::ptr::{self, NonNull};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka_sys as native;

use super::context::GroupContext;
use super::{KafkaSettings, KafkaSource};
use crate::source::{SourceError, Topic};

/// The source's thread waits so long for an answer; who asks may ask again.
const TIMEOUT: Duration = Duration::from_secs(5);

impl KafkaSource {
    /// The topics of the source, as they are now. Fails if one of them is not the one that it was when
    /// this source first asked.
    pub fn topics(&mut self) -> Result<Vec<Topic>, SourceError> {
        let broker = self.asked_broker()?;
        let topics = self.settings.topics.iter();
        let topics = topics.map(|topic| describe(&self.consumer, &self.settings, topic, broker));
        let topics = topics.collect::<Result<Vec<_>, _>>();
        // It may be the broker that is gone.
        self.asked_broker = self.asked_broker.filter(|_| topics.is_ok());
        let topics = topics?;
        for topic in &topics {
            let Some(id) = &topic.id else { continue };
            let first = self.topic_ids.entry(topic.name.clone()).or_insert_with(|| id.clone());
            if first != id {
                return Err(SourceError::Recreated {
                    topic: topic.name.clone(),
                    was: first.clone(),
                    is: id.clone(),
                });
            }
        }
        Ok(topics)
    }

    /// Any broker that answers. Left alone librdkafka asks the controller, of which it may never learn.
    fn asked_broker(&mut self) -> Result<i32, SourceError> {
        if let Some(broker) = self.asked_broker {
            return Ok(broker);
        }
        let topic = self.settings.topics.first().map(String::as_str);
        let metadata = self.consumer.fetch_metadata(topic, TIMEOUT);
        let metadata = metadata.map_err(|error| unreachable(&self.settings, error.to_string()))?;
        Ok(*self.asked_broker.insert(metadata.orig_broker_id()))
    }
}

fn unreachable(settings: &KafkaSettings, reason: String) -> SourceError {
    SourceError::Unreachable { brokers: settings.brokers.clone(), reason }
}

fn describe(
    consumer: &BaseConsumer<GroupContext>,
    settings: &KafkaSettings,
    topic: &str,
    broker: i32,
) -> Result<Topic, SourceError> {
    let failed = |code: RDKafkaErrorCode| unreachable(settings, format!("topic `{topic}`: {code}"));
    let answer = ask(consumer, topic, broker).map_err(failed)?;
    match answer.error {
        None => Ok(Topic { name: topic.into(), id: answer.id, partitions: answer.partitions }),
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
            Err(SourceError::NoTopic { topic: topic.to_owned(), brokers: settings.brokers.clone() })
        }
        Some(code) => Err(failed(code)),
    }
}

struct Answer {
    id: Option<String>,
    partitions: i32,
    error: Option<RDKafkaErrorCode>,
}

/// The one request that rdkafka has no safe form of.
fn ask(consumer: &BaseConsumer<GroupContext>, topic: &str, broker: i32) -> Result<Answer, RDKafkaErrorCode> {
    let client = consumer.client().native_ptr();
    let name = CString::new(topic).map_err(|_| RDKafkaErrorCode::InvalidTopic)?;
    // SAFETY: the client is alive throughout, for `consumer` is borrowed. What `new` functions return is
    // ours and is destroyed once, by its guard; the request keeps copies. All that is read from the event
    // is copied before the event is destroyed.
    unsafe {
        let mut names = [name.as_ptr()];
        let topics = Owned::new(
            native::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len()),
            native::rd_kafka_TopicCollection_destroy,
        )?;
        let options = Owned::new(
            native::rd_kafka_AdminOptions_new(
                client,
                native::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
            ),
            native::rd_kafka_AdminOptions_destroy,
        )?;
        let milliseconds = TIMEOUT.as_millis() as i32;
        native::rd_kafka_AdminOptions_set_request_timeout(options.as_ptr(), milliseconds, ptr::null_mut(), 0);
        native::rd_kafka_AdminOptions_set_broker(options.as_ptr(), broker, ptr::null_mut(), 0);
        let queue = Owned::new(native::rd_kafka_queue_new(client), native::rd_kafka_queue_destroy)?;
        native::rd_kafka_DescribeTopics(client, topics.as_ptr(), options.as_ptr(), queue.as_ptr());
        let event = Owned::new(
            native::rd_kafka_queue_poll(queue.as_ptr(), milliseconds),
            native::rd_kafka_event_destroy,
        )
        .map_err(|_| RDKafkaErrorCode::OperationTimedOut)?;
        let error = RDKafkaErrorCode::from(native::rd_kafka_event_error(event.as_ptr()));
        if error != RDKafkaErrorCode::NoError {
            return Err(error);
        }
        let result = native::rd_kafka_event_DescribeTopics_result(event.as_ptr());
        let mut count = 0;
        let found = match result.is_null() {
            true => ptr::null_mut(),
            false => native::rd_kafka_DescribeTopics_result_topics(result, &raw mut count),
        };
        if found.is_null() || count == 0 {
            return Err(RDKafkaErrorCode::BadMessage);
        }
        Ok(read(*found))
    }
}

/// # Safety
///
/// `topic` is alive.
unsafe fn read(topic: *const native::rd_kafka_TopicDescription_t) -> Answer {
    // SAFETY: as above; what it points to lives as long as it does.
    unsafe {
        let error = native::rd_kafka_TopicDescription_error(topic);
        let code = match error.is_null() {
            true => RDKafkaErrorCode::NoError,
            false => RDKafkaErrorCode::from(native::rd_kafka_error_code(error)),
        };
        let mut partitions = 0;
        native::rd_kafka_TopicDescription_partitions(topic, &raw mut partitions);
        let id = native::rd_kafka_TopicDescription_topic_id(topic);
        let high = native::rd_kafka_Uuid_most_significant_bits(id).to_be_bytes();
        let low = native::rd_kafka_Uuid_least_significant_bits(id).to_be_bytes();
        let id = [high, low].concat();
        Answer {
            // As Kafka's tools show it. Brokers before 2.8 give none.
            id: id.iter().any(|byte| *byte != 0).then(|| BASE64_URL_SAFE_NO_PAD.encode(id)),
            partitions: i32::try_from(partitions).unwrap_or(i32::MAX),
            error: (code != RDKafkaErrorCode::NoError).then_some(code),
        }
    }
}

/// Something of librdkafka's that must be destroyed.
struct Owned<T>(NonNull<T>, unsafe extern "C" fn(*mut T));

impl<T> Owned<T> {
    /// # Safety
    ///
    /// `thing` is null, or ours and to be destroyed by `destroy`, while the client is alive.
    unsafe fn new(thing: *mut T, destroy: unsafe extern "C" fn(*mut T)) -> Result<Self, RDKafkaErrorCode> {
        NonNull::new(thing).map(|thing| Self(thing, destroy)).ok_or(RDKafkaErrorCode::Fail)
    }

    fn as_ptr(&self) -> *mut T {
        self.0.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: `new` was promised so.
        unsafe { (self.1)(self.0.as_ptr()) }
    }
}
