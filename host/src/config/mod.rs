//! The pipeline file: its types, how it is read, and what is checked before anything starts.

mod http;
mod pipeline;
mod secret;
mod units;

pub use http::HttpAddress;
pub use pipeline::*;
pub use secret::{PluginConfig, Secret};
pub use units::{ByteSize, Period, Timestamp, UnitError};
