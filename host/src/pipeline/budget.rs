//! The bound on records that were fetched and not yet processed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes between the source and the lanes. The source stops fetching above the limit and goes on below half
/// of it; the lanes give back what they have processed.
#[derive(Debug, Clone)]
pub struct Budget {
    used: Arc<AtomicUsize>,
    limit: usize,
}

impl Budget {
    pub fn new(limit: usize) -> Self {
        Self { used: Arc::default(), limit }
    }

    pub fn take(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::AcqRel);
    }

    pub fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::AcqRel);
    }

    pub fn is_exhausted(&self) -> bool {
        self.used.load(Ordering::Acquire) >= self.limit
    }

    pub fn is_relaxed(&self) -> bool {
        self.used.load(Ordering::Acquire) <= self.limit / 2
    }
}
