//! Time and chance, as the parts see them: passed in, so that a simulation can drive both.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

#[async_trait]
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> i64;

    /// A random number in `[0, 1)`.
    fn chance(&self) -> f64;

    async fn pause(&self, duration: Duration);
}

/// The machine's clock, and tokio's timer.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        chrono::Utc::now().timestamp_millis()
    }

    fn chance(&self) -> f64 {
        const BITS: u32 = 48;
        let high = Uuid::new_v4().as_u128() >> (128 - BITS);
        high as f64 / (1_u64 << BITS) as f64
    }

    async fn pause(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// How pauses grow from one failure to the next.
#[derive(Debug, Clone, Copy)]
pub struct Pauses {
    pub first: Duration,
    pub longest: Duration,
}

impl Pauses {
    /// The pause after failure number `failures` (from 1): doubling up to `longest`, of which a random
    /// half is taken off, so that workers that failed together do not come back together.
    pub fn after(&self, failures: u32, chance: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let full = self.first.saturating_mul(1 << doublings).min(self.longest);
        full.mul_f64(1.0 - chance.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_are_at_least_half() {
        let pauses = Pauses { first: Duration::from_millis(100), longest: Duration::from_secs(1) };
        assert_eq!(pauses.after(1, 0.0), Duration::from_millis(100));
        assert_eq!(pauses.after(3, 0.0), Duration::from_millis(400));
        assert_eq!(pauses.after(3, 1.0), Duration::from_millis(200));
        assert_eq!(pauses.after(u32::MAX, 0.0), Duration::from_secs(1));
    }

    #[test]
    fn chance_is_in_range_and_varies() {
        let drawn: Vec<f64> = (0..16).map(|_| SystemClock.chance()).collect();
        assert!(drawn.iter().all(|chance| (0.0..1.0).contains(chance)));
        assert!(drawn.iter().any(|chance| *chance != drawn[0]));
    }
}
