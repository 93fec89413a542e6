//! How the parts work together.

pub mod applier;
#[cfg(test)]
mod applier_tests;
pub mod takeover;
