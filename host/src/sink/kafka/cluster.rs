//! What an applier needs of a Kafka cluster.

use arrow::array::RecordBatch;
use async_trait::async_trait;

use super::mark::Mark;

/// What is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// The id of the topic that the messages go to, where the broker gives one.
    pub topic: Option<String>,
    /// The newest committed mark.
    pub mark: Option<Mark>,
}

#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Somebody else has taken the sink over.
    #[error("another worker has taken the sink over")]
    Fenced,
    /// A fault of the moment. What was asked for may come to be all the same.
    #[error("{0}")]
    Unavailable(String),
    /// Trying again does not help.
    #[error("{0}")]
    Refused(String),
}

/// One sink's place in Kafka: the topic of its messages, and that of its marks.
///
/// Contract:
/// - [`look`](Cluster::look) shuts nobody out. It may miss what was committed a moment ago: brokers say that a
///   transaction is committed before readers see it.
/// - [`take_over`](Cluster::take_over) shuts out whoever took the sink over before. Once it has returned, what they had
///   begun is either committed, and the next look sees it, or never will be.
/// - A transaction is [`begin`](Cluster::begin), any number of [`send`](Cluster::send)s, and
///   [`commit`](Cluster::commit). Its messages and its mark become visible together, if at all, and only if nobody else
///   has taken over.
/// - After an error in a transaction, or where one was dropped at an await, the caller takes over anew before the next.
#[async_trait]
pub trait Cluster: Send {
    async fn look(&mut self) -> Result<Look, ClusterError>;

    async fn take_over(&mut self) -> Result<(), ClusterError>;

    async fn begin(&mut self) -> Result<(), ClusterError>;

    /// Messages as [`MESSAGE_SCHEMA`](super::MESSAGE_SCHEMA) has them. Those of one partition keep their order.
    async fn send(&mut self, messages: RecordBatch) -> Result<(), ClusterError>;

    async fn commit(&mut self, mark: &Mark) -> Result<(), ClusterError>;
}
