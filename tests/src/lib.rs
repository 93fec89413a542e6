//! What the end-to-end tests are made of: a real Kafka broker, workers as processes that can be killed
//! at will, and an oracle that knows from a seed what must have become of every record.

pub mod broker;
pub mod bucket;
pub mod fixed_batch;
pub mod line;
pub mod load;
pub mod messages;
pub mod numbers;
pub mod oracle;
pub mod pipeline;
pub mod plugin_page;
pub mod program;
pub mod python;
pub mod reference_tables;
pub mod registry;
pub mod security;
pub mod swaps;
pub mod tables;
pub mod throttle;
pub mod turns;
pub mod worker;
