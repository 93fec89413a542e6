//! Work that mostly waits, two pieces at a time.

use std::sync::Mutex;
use std::thread;

use anyhow::{Result, bail};

/// Does `work` for each item, and fails with everything that failed.
pub fn two_at_a_time<T: Send>(items: Vec<T>, work: impl Fn(T) -> Result<()> + Sync) -> Result<()> {
    let (items, faults) = (Mutex::new(items.into_iter()), Mutex::new(Vec::new()));
    let next = || items.lock().ok()?.next();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(item) = next() {
                    if let (Err(fault), Ok(mut faults)) = (work(item), faults.lock()) {
                        faults.push(format!("{fault:?}"));
                    }
                }
            });
        }
    });
    match faults.into_inner() {
        Ok(faults) if faults.is_empty() => Ok(()),
        Ok(faults) => bail!("{}", faults.join("\n\n")),
        Err(_) => bail!("a piece of work panicked"),
    }
}
