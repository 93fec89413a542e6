//! Named points at which a test makes the worker die as if it were killed.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

/// `SLUICEBOX_CRASH_AT=point[:sink][#n]`: the worker aborts when it passes the point for the n-th time
/// (the first, unless given). Only builds with debug assertions look at it.
static CRASH_AT: LazyLock<Option<(String, u32)>> = LazyLock::new(|| {
    let wanted = std::env::var("SLUICEBOX_CRASH_AT").ok()?;
    match wanted.split_once('#') {
        Some((point, nth)) => Some((point.to_owned(), nth.parse().ok()?)),
        None => Some((wanted, 1)),
    }
});

static PASSED: LazyLock<Mutex<HashMap<String, u32>>> = LazyLock::new(Mutex::default);

/// Marks a place where a crash must lose nothing and double nothing.
pub fn point(name: &str) {
    if !cfg!(debug_assertions) {
        return;
    }
    let Some((wanted, nth)) = CRASH_AT.as_ref() else { return };
    if wanted != name {
        return;
    }
    let Ok(mut passed) = PASSED.lock() else { return };
    let count = passed.entry(name.to_owned()).or_default();
    *count += 1;
    if *count == *nth {
        std::process::abort();
    }
}

/// The same for a point that each sink has.
pub fn sink_point(name: &str, sink: &str) {
    if cfg!(debug_assertions) && CRASH_AT.is_some() {
        point(&format!("{name}:{sink}"));
    }
}
