//! Hostile components: each gets a clear error, the host lives, and the other rows arrive.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may, as tests do")]

mod compiling;
#[path = "../components/mod.rs"]
mod components;
mod fixture;
mod grants;
mod limits;
mod loading;
mod records;
mod reference;
mod rows;
mod servers;
mod stateful;
mod wasi;
