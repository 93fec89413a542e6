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
    /// Another one of the same instance, of nothing yet.
    pub fn another(&self) -> Self {
        Self { all: self.all.clone(), bytes: 0 }
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// False, and nothing changes, if there is no room for so many.
    pub fn resize(&mut self, bytes: usize) -> bool {
        let Some(less) = self.bytes.checked_sub(bytes) else { return self.grow(bytes - self.bytes) };
        self.all.fetch_sub(less, Ordering::Relaxed);
        self.bytes = bytes;
        true
    }

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
        let mut third = other.another();
        assert!(other.resize(MOST_HELD - 1) && third.grow(1) && !third.resize(2));
        assert_eq!((other.bytes(), third.bytes()), (MOST_HELD - 1, 1));
    }
}
