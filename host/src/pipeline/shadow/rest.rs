//! A shadow that breaks dearly rests: it slows its lane down by a twentieth.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::plugin::thread_cpu_time;

/// CPU time from which on a call that breaks the shadow is followed by a rest, and how many times as long that is.
const DEAR: Duration = Duration::from_millis(100);
const REST: u32 = 20;

/// Until when a shadow rests. All tasks of a worker share it: together they take no more than one would, and one that starts
/// again finds it.
#[derive(Debug, Default)]
pub struct Rest {
    until: Mutex<Option<Instant>>,
}

impl Rest {
    pub fn is_over(&self) -> bool {
        self.until().is_none_or(|until| until <= Instant::now())
    }

    /// Does what may break the shadow, and has it rest if it did at great cost.
    pub fn after<T>(&self, call: impl FnOnce() -> T, broke: impl FnOnce(&T) -> bool) -> T {
        let started = thread_cpu_time();
        let outcome = call();
        let took = thread_cpu_time().saturating_sub(started);
        if took > DEAR && broke(&outcome) {
            *self.until() = Some(Instant::now() + took * REST);
        }
        outcome
    }

    fn until(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spin() {
        let started = thread_cpu_time();
        while thread_cpu_time().saturating_sub(started) < DEAR * 2 {}
    }

    #[test]
    fn only_what_breaks_at_great_cost_is_followed_by_a_rest() {
        let rest = Rest::default();
        rest.after(|| {}, |()| true);
        assert!(rest.is_over());
        rest.after(spin, |()| false);
        assert!(rest.is_over());
        rest.after(spin, |()| true);
        assert!(!rest.is_over());
    }
}
