//! How the parts work together.

pub mod applier;
pub mod takeover;
