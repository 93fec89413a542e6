//! What all have in common that speak to Kafka.

mod feed;
mod topics;

use rdkafka::error::KafkaError;

pub use self::feed::{Feed, FeedSettings};
pub use self::topics::{TopicAnswer, describe_topic};

/// Why librdkafka takes no client of these settings. Their values may be secrets, and are not told.
pub fn refused_setting(error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(_, what, name, _) => format!("`{name}`: {what}"),
        error => error.to_string(),
    }
}
