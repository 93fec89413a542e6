//! Sluicebox: a streaming host for medallion pipelines.
//!
//! The binary is a thin front of this library. `ARCHITECTURE.md` says how the parts fit together.

pub mod batch;
pub mod capture;
pub mod changes;
pub mod cli;
pub mod clock;
pub mod config;
mod crash;
pub mod decode;
pub mod generate;
mod json;
mod kafka;
pub mod ledger;
pub mod pipeline;
pub mod plugin;
pub mod progress;
pub mod reference;
pub mod reference_table;
pub mod registry;
pub mod schema;
pub mod sink;
pub mod source;
pub mod state;
pub mod storage;
pub mod telemetry;
