//! Seed after seed through a target, for a given time. What breaks it is kept by its seed, and comes again with it.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Tests among others run for so long.
const SHORT: Duration = Duration::from_secs(2);

/// Calls `one` with a seed at a time: those that follow from `SLUICEBOX_FUZZ_SEED` (1 unless given), for
/// `SLUICEBOX_FUZZ_SECONDS` (2 unless given). `SLUICEBOX_FUZZ_REPLAY` is one seed to call it with instead. `one` says whether
/// what it made of its seed was accepted; it panics if something is not as it must be.
pub fn fuzz(target: &str, mut one: impl FnMut(u64) -> bool) {
    if let Some(seed) = number("SLUICEBOX_FUZZ_REPLAY") {
        one(seed);
        return;
    }
    let first = number("SLUICEBOX_FUZZ_SEED").unwrap_or(1);
    let time = number("SLUICEBOX_FUZZ_SECONDS").map_or(SHORT, Duration::from_secs);
    let (started, mut executions, mut accepted) = (Instant::now(), 0_u64, 0_u64);
    let mut slowest = Duration::ZERO;
    while executions == 0 || started.elapsed() < time {
        let seed = mixed(first.wrapping_add(executions));
        let began = Instant::now();
        match catch_unwind(AssertUnwindSafe(|| one(seed))) {
            Ok(sound) => accepted += u64::from(sound),
            Err(panic) => {
                let kept = keep(target, seed);
                told(&format!("{target}: seed {seed} breaks it, after {executions} executions. {kept}"));
                resume_unwind(panic);
            }
        }
        slowest = slowest.max(began.elapsed());
        executions += 1;
    }
    told(&format!(
        "{target}: {executions} executions, {accepted} accepted, none broken, in {} s from seed {first}; the slowest took {} ms",
        started.elapsed().as_secs(),
        slowest.as_millis()
    ));
    assert!(accepted > 0, "nothing that was tried was accepted: the target tries nothing");
}

fn keep(target: &str, seed: u64) -> String {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/fuzz"));
    let file = folder.join(target);
    let mut seeds = std::fs::read_to_string(&file).unwrap_or_default();
    let _ = writeln!(seeds, "{seed}");
    let kept = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&file, seeds));
    let kept = kept.map_or_else(
        |error| format!("It cannot be kept: {error}"),
        |()| format!("Kept in {}", file.display()),
    );
    format!("{kept}. SLUICEBOX_FUZZ_REPLAY={seed} tries it again")
}

#[allow(clippy::print_stderr, reason = "whoever fuzzes wants to see the figures")]
fn told(line: &str) {
    eprintln!("{line}");
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number")))
}

/// Neighbouring numbers as seeds that have nothing in common (splitmix64).
fn mixed(number: u64) -> u64 {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
