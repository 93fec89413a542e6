//! The state of stateful steps at rest: segments of changes, and the base that they fold into.
//!
//! Pure: objects and the ledger are others' business.

mod compact;
mod segment;

pub use compact::{compact, fold};
pub use segment::{Segment, decode, encode};

/// Why kept state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error(
        "a state segment has the digest {found}, the ledger says {expected}: the object was damaged or replaced; \
         restore it from a backup, or start the pipeline anew"
    )]
    Digest { expected: String, found: String },
    #[error("kept state is laid out in two ways, {expected} and {found}")]
    Layout { expected: String, found: String },
    #[error("a state segment cannot be read: {0}")]
    Malformed(String),
    #[error("state cannot be folded: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
}
