//! Why a value does not go into a column, or does not come out of one as its type asks.

use std::fmt;

/// What is wrong, and with which field.
#[derive(Debug)]
pub struct RowError(String);

impl RowError {
    pub(crate) fn new(what: impl Into<String>) -> RowError {
        RowError(what.into())
    }

    /// The same, of a field of that name.
    pub(crate) fn within(self, name: &str) -> RowError {
        RowError(format!("`{name}`: {}", self.0))
    }
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RowError {}
