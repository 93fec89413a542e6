//! The pipeline file: its types, how it is read, and what is checked before anything starts.
//!
//! The file is parsed into a tree of located nodes, references such as `${VARIABLE}` are replaced in its
//! scalars, the types are read from the tree, and the whole is validated. So every error has a place, and no
//! interpolated value can change the structure.

mod digest;
mod document;
mod dotenv;
mod error;
mod feed;
mod file;
mod generate;
mod grants;
mod graph;
mod http;
mod interpolate;
mod json_schema;
mod kafka_sink;
mod load;
mod location;
mod lock;
mod pipeline;
mod reference;
mod secret;
mod shadow;
mod sink;
mod sinks;
mod step_limits;
mod typed;
mod units;
mod validate;
mod written;

#[cfg(test)]
mod tests;

pub use digest::{StepName, digest};
pub use error::{ConfigError, DocumentPath, Position, Problem, Segment};
pub use feed::{Feed, FeedTopic, load_feed};
pub use file::{Places, read_file, read_text};
pub use generate::{FieldChange, Generate, GeneratedField, GeneratedTime};
pub use grants::{Folders, Grants, HttpHost, HttpHostError, Variable};
pub use http::HttpAddress;
pub use json_schema::json_schema;
pub use kafka_sink::KafkaSink;
pub use load::{Loaded, PluginSource, load, load_with};
pub use location::{Location, LocationError};
pub use lock::{Hold, InForce, Lock, Locked};
pub use pipeline::*;
pub use reference::TableReference;
pub use secret::{PluginConfig, Secret};
pub use shadow::{Samples, Shadow};
pub use sink::{Compression, FileFormat, LayerSink, Mode, SideSink};
pub use sinks::{DEAD_LETTERS, Sink, SinkKind, Target, quarantine_name};
pub use step_limits::{RejectionLimits, StepLimits};
pub use units::{ByteSize, Period, Timestamp, UnitError};
pub use written::{WrittenConfig, WrittenReference};
