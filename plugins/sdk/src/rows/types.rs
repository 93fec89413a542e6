//! Types of columns that Rust's own types do not tell apart from integers.

use serde::{Deserialize, Serialize};

pub const TIMESTAMP: &str = "sluicebox::Timestamp";
pub const DATE: &str = "sluicebox::Date";

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename = "sluicebox::Timestamp")]
pub struct Timestamp(pub i64);

/// Days since 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename = "sluicebox::Date")]
pub struct Date(pub i32);
