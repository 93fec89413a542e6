//! Numbers by seed, record and field: none hangs on what was asked for before.

/// The chances of one record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Random {
    state: u64,
}

/// The chances of one field of a record, in a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chances {
    state: u64,
}

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Random {
    pub fn new(seed: u64, record: u64) -> Self {
        Self { state: mix(mix(seed) ^ record.wrapping_mul(STEP)) }
    }

    pub fn of(&self, field: u64) -> Chances {
        Chances { state: mix(self.state ^ field.wrapping_mul(STEP)) }
    }
}

impl Chances {
    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(STEP);
        mix(self.state)
    }

    /// At least 0, and below 1.
    pub fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Below `count`, or 0. With a skew above 0 small numbers come more often: half of them are in the first
    /// `1 / 2^(1 + skew)` of all.
    pub fn below(&mut self, count: u64, skew: f64) -> u64 {
        let even = self.share();
        let at = if skew > 0.0 { even.powf(1.0 + skew) } else { even };
        ((at * count as f64) as u64).min(count.saturating_sub(1))
    }
}

/// The finalizer of SplitMix64.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}
