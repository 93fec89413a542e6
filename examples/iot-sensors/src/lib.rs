//! A stream of sensor events that can be made again from its seed, and the producer that sends it.

pub mod events;
pub mod feed;
