//! How the parts work together.
//!
//! | module | what it does |
//! |---|---|
//! | `tree`, `blueprint` | the layers with their plugins, and what they come to under one schema |
//! | `task` | one partition's records through the tree |
//! | `capturing` | calls on which steps fail, for whoever wants to make them again |
//! | `event_clock` | a task's event time and watermark |
//! | `keyed_rows` | rows that a table kept by key cannot take |
//! | `side_rows` | dead letters and quarantined rows |
//! | `outputs`, `lane`, `crew` | the threads that own tasks, and the files that they write |
//! | `intake`, `budget` | the source's thread, and the bound on what is in flight |
//! | `topics` | whether the topics are still those that the ledger knows |
//! | `references` | the tables in which steps look rows up, and their versions |
//! | `deployment` | what can be put in force while a worker runs |
//! | `shadow` | plugins that are tried beside a step, without effect |
//! | `share_limit` | how many rows of a step may fail or be rejected |
//! | `worker` | assignments, closing epochs, recovery from the ledger |
//! | `epoch`, `state_objects` | making an epoch durable |
//! | `applier`, `applying`, `takeover` | making sinks follow the ledger |
//! | `backlog` | what the sinks lack of the ledger |
//! | `kept_plugins` | components that were in force, for a rollback |
//! | `sweeping` | removing what nothing reaches |

pub mod applier;
#[cfg(test)]
mod applier_tests;
mod applying;
pub mod backlog;
pub mod blueprint;
mod budget;
pub mod capturing;
mod crew;
pub mod deployment;
mod epoch;
pub mod event_clock;
mod intake;
pub mod kept_plugins;
pub mod keyed_rows;
mod lane;
pub mod message_rows;
pub mod outputs;
mod passage;
pub mod references;
pub mod shadow;
pub mod share_limit;
mod side_rows;
pub mod state_objects;
mod summary;
pub mod suspect;
mod sweeping;
pub mod takeover;
pub mod task;
mod topics;
pub mod tree;
pub mod worker;

pub use self::lane::{EpochLimits, TaskPlan};
pub use self::outputs::SinkLayout;
pub use self::summary::Summary;
