//! What the host holds for one instance: bytes of requests, responses, headers and lists of files.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub(super) const MOST_HELD: usize = 16 << 20;

/// All of one instance.
#[derive(Debug, Default)]
pub(super) struct Held(Arc<AtomicUsize>);

impl Held {
    /// Nothing yet, of the bytes that may be held.
    pub fn reserve(&self) -> Reservation {
        Reservation { all: self.0.clone(), bytes: 0 }
    }
}

/// A part of it, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    all: Arc<AtomicUsize>,
    bytes: usize,
}

impl Reservation {
    /// False if there is no room for so many more.
    pub fn grow(&mut self, by: usize) -> bool {
        let fits = self.all.fetch_add(by, Ordering::Relaxed).saturating_add(by) <= MOST_HELD;
        match fits {
            true => self.bytes += by,
            false => drop(self.all.fetch_sub(by, Ordering::Relaxed)),
        }
        fits
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_bounded_and_given_back() {
        let held = Held::default();
        let (mut one, mut other) = (held.reserve(), held.reserve());
        assert!(one.grow(MOST_HELD - 10) && other.grow(10));
        assert!(!other.grow(1));
        drop(one);
        assert!(other.grow(MOST_HELD - 10) && !other.grow(1));
    }
}
