//! Sluicebox: a streaming host for medallion pipelines.
//!
//! The binary is a thin front of this library. `ARCHITECTURE.md` says how the parts fit together.

pub mod batch;
pub mod changes;
pub mod ledger;
pub mod plugin;
pub mod progress;
pub mod schema;
pub mod sink;
pub mod state;
