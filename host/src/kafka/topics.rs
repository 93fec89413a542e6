//! What the broker says of a topic: which one a name stands for, and how many partitions it has.

use std::ffi::CString;
use std::ptr::{self, NonNull};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rdkafka::ClientContext;
use rdkafka::client::Client;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka_sys as native;

/// A topic as the broker describes it.
#[derive(Debug)]
pub struct TopicAnswer {
    /// Another one after the topic was deleted and created again. Brokers before 2.8 give none.
    pub id: Option<String>,
    pub partitions: i32,
    /// Why the broker does not describe it: that there is none, among others.
    pub error: Option<RDKafkaErrorCode>,
}

/// Asks a broker for a topic: the one request that rdkafka has no safe form of. Without the name of a broker librdkafka
/// asks the controller, of which it may never learn.
pub fn describe_topic<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    broker: i32,
    timeout: Duration,
) -> Result<TopicAnswer, RDKafkaErrorCode> {
    let client = client.native_ptr();
    let name = CString::new(topic).map_err(|_| RDKafkaErrorCode::InvalidTopic)?;
    // SAFETY: the client is alive throughout, for it is borrowed. What `new` functions return is
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
        let milliseconds = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
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
unsafe fn read(topic: *const native::rd_kafka_TopicDescription_t) -> TopicAnswer {
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
        TopicAnswer {
            // As Kafka's tools show it.
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
