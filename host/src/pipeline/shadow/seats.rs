//! Instances of shadows come from the pool of all plugins, which has so many for them: beyond that steps would lack theirs.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::plugin::MAX_SHADOWS;

pub static SEATS: Seats = Seats::new(MAX_SHADOWS as usize);
pub struct Seats {
    free: AtomicUsize,
}

/// Is given back when it is dropped.
pub struct Seat<'a>(&'a Seats);

impl Seats {
    const fn new(count: usize) -> Self {
        Self { free: AtomicUsize::new(count) }
    }

    /// One, if any is free.
    pub fn take(&self) -> Option<Seat<'_>> {
        let less_one = |free: usize| free.checked_sub(1);
        self.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less_one).ok().map(|_| Seat(self))
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.0.free.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_given_back() {
        let seats = Seats::new(2);
        let first = seats.take();
        let second = seats.take();
        assert!(first.is_some() && second.is_some() && seats.take().is_none());
        drop(first);
        assert!(seats.take().is_some());
    }
}
