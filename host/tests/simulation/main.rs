//! The ledger, the applier and the sweep under seeded schedules: several workers that crash, stall and come
//! back, own the same tasks at once, and talk to a state location and to sinks that lose responses, fail
//! before or after the deed, and do things long after they were asked to. The invariants are checked after
//! every step.
//!
//! `SLUICEBOX_SIMULATION_SEED=42` replays one schedule, `SLUICEBOX_SIMULATION_SEEDS=100000` runs so many.

mod check;
mod fake;
mod folder;
mod planted;
mod random;
mod schedule;
mod topic;
mod worker;
mod world;

use std::time::Instant;

use planted::Planted;
use schedule::{Tally, run};

fn seeds(usual: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect("a seed is a number"));
    match number("SLUICEBOX_SIMULATION_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SLUICEBOX_SIMULATION_SEEDS").unwrap_or(usual),
    }
}

/// Each schedule has one thread; different schedules share the machine's.
fn run_all(seeds: std::ops::Range<u64>) -> Tally {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let shares: Vec<_> = (0..threads)
            .map(|share| {
                let seeds = seeds.clone().skip(share).step_by(threads);
                scope.spawn(|| seeds.map(run_one).fold(Tally::default(), Tally::and))
            })
            .collect();
        let tallies = shares.into_iter().map(|share| share.join().expect("a schedule broke an invariant"));
        tallies.fold(Tally::default(), Tally::and)
    })
}

fn run_one(seed: u64) -> Tally {
    run(seed, Planted::Nothing)
        .unwrap_or_else(|broken| panic!("{broken}\nreplay with SLUICEBOX_SIMULATION_SEED={seed}"))
}

#[test]
fn every_schedule_keeps_the_invariants() {
    let begun = Instant::now();
    let seeds = seeds(3_000);
    let count = seeds.end - seeds.start;
    let total = run_all(seeds);
    println!("{count} seeds in {:.1} s: {total:?}", begun.elapsed().as_secs_f64());
    // A schedule in which nothing goes wrong shows nothing.
    if count >= 1_000 {
        assert!(total.lost > 0 && total.late_puts > 0 && total.condemned > 0 && total.swept_entries > 0);
        assert!(total.snapshots > 0 && total.crashes > 0 && total.configurations > 0 && total.schemas > 0);
    }
}

/// How many seeds it takes at most to find a planted bug.
const WITHIN: u64 = 50;

fn first_seed_that_finds(planted: Planted) -> (u64, String) {
    (0..WITHIN)
        .find_map(|seed| run(seed, planted).err().map(|broken| (seed, broken)))
        .unwrap_or_else(|| panic!("{planted:?} was not found in {WITHIN} seeds"))
}

#[test]
fn it_finds_a_worker_without_a_fence() {
    let (seed, broken) = first_seed_that_finds(Planted::NoFence);
    println!("seed {seed}: {broken}");
    assert!(broken.contains("goes on from") || broken.contains("is not valid"), "{broken}");
}

#[test]
fn it_finds_an_applier_that_trusts_its_memory() {
    let (seed, broken) = first_seed_that_finds(Planted::RememberedMark);
    println!("seed {seed}: {broken}");
    assert!(broken.contains("is no replay"), "{broken}");
}

#[test]
fn it_finds_a_topic_that_shuts_nobody_out() {
    let (seed, broken) = first_seed_that_finds(Planted::NoShutOut);
    println!("seed {seed}: {broken}");
    assert!(broken.contains("is no replay"), "{broken}");
}

#[test]
fn it_finds_a_sweep_that_is_too_early() {
    let (seed, broken) = first_seed_that_finds(Planted::EarlySweep);
    println!("seed {seed}: {broken}");
    assert!(broken.contains("is gone"), "{broken}");
}

#[test]
fn a_seed_replays() {
    for seed in 0..20 {
        assert_eq!(run(seed, Planted::Nothing), run(seed, Planted::Nothing));
    }
}
