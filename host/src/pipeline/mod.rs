//! How the parts work together.
//!
//! | module | what it does |
//! |---|---|
//! | `tree`, `blueprint` | the layers with their plugins, and what they come to under one schema |
//! | `task` | one partition's records through the tree |
//! | `event_clock` | a task's event time and watermark |
//! | `keyed_rows` | rows that a table kept by key cannot take |
//! | `side_rows` | dead letters and quarantined rows |
//! | `outputs`, `lane`, `crew` | the threads that own tasks, and the files that they write |
//! | `intake`, `budget` | the source's thread, and the bound on what is in flight |
//! | `topics` | whether the topics are still those that the ledger knows |
//! | `deployment` | what can be put in force while a worker runs |
//! | `worker` | assignments, closing epochs, recovery from the ledger |
//! | `epoch`, `state_objects` | making an epoch durable |
//! | `applier`, `applying`, `takeover` | making sinks follow the ledger |
//! | `backlog` | what the sinks lack of the ledger |
//! | `sweeping` | removing what nothing reaches |

pub mod applier;
#[cfg(test)]
mod applier_tests;
mod applying;
pub mod backlog;
pub mod blueprint;
mod budget;
mod crew;
pub mod deployment;
mod epoch;
pub mod event_clock;
mod intake;
pub mod keyed_rows;
mod lane;
pub mod outputs;
mod passage;
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
