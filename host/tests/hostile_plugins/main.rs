//! Hostile components: each gets a clear error, the host lives, and the other rows arrive.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may, as tests do")]

mod compiling;
#[path = "../components/mod.rs"]
mod components;
mod fixture;
mod loading;
mod records;
mod rows;
mod stateful;
mod wasi;
