//! Sluicebox: a streaming host for medallion pipelines.
//!
//! The binary is a thin front of this library. `ARCHITECTURE.md` says how the parts fit together.

pub mod batch;
pub mod config;
pub mod ledger;
pub mod progress;
pub mod schema;
pub mod sink;
pub mod telemetry;
