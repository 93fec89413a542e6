//! Hostile components: each gets a clear error, the host lives, and the other rows arrive.

mod fixture;
mod loading;
mod rows;
mod stateful;
