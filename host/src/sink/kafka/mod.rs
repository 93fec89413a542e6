//! Messages in a Kafka topic.
//!
//! Rows become messages where they are made, before their epoch is entered; the messages wait in files at the state
//! location. The applier sends the messages of the entries in one transaction, together with the mark: a record in a
//! compacted topic that the sink has for itself. Readers of committed messages see an entry whole or not at all.
//!
//! One applier at a time can write: each takes the sink over by its `transactional.id`, which shuts out the one before
//! and ends what that one had begun. Only a mark that was read afterwards is built on.
//!
//! | module | what it does |
//! |---|---|
//! | `messages` | rows to messages |
//! | `hash` | which partition a key belongs to |
//! | `mark` | what the mark says |
//! | `cluster` | what an applier needs of Kafka |
//! | `applier` | ledger entries to transactions |
//! | `staged` | messages out of their files |
//! | `connection`, `producer`, `marks`, `topics` | Kafka itself |

mod applier;
mod cluster;
mod connection;
mod hash;
mod mark;
mod marks;
mod messages;
mod producer;
mod staged;
mod topics;

pub use self::applier::{KafkaApplier, KafkaSinkSettings};
pub use self::cluster::{Cluster, ClusterError, Look};
pub use self::connection::{Connection, KafkaCluster, inspect};
pub use self::mark::Mark;
pub use self::messages::{Encoded, MESSAGE_SCHEMA, MessageEncoder, MessageSettings};
