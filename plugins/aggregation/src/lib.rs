//! What the standard plugins that aggregate by event time have in common: the columns that they read, the accumulators
//! behind their functions, and the rows that they emit. No plugin itself.
//!
//! Everything here is a function of the rows in their order: the same rows give the same state, whatever the batches and
//! however often the state was stored and restored in between.

mod accumulator;
mod config;
mod emitted;
mod hash;
mod heavy_hitters;
mod hyperloglog;
mod input;
mod quantile_sketch;
mod stored;
mod varint;

pub use accumulator::{Accumulators, Frequent, Measured};
pub use config::{AggregateConfig, Aggregated, Function};
pub use emitted::Emitted;
pub use heavy_hitters::HeavyHitters;
pub use hyperloglog::HyperLogLog;
pub use input::Input;
pub use quantile_sketch::QuantileSketch;
