//! One seeded schedule, from the first worker to the last row.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use sluicebox::ledger::LedgerSettings;

use crate::check;
use crate::planted::Planted;
use crate::random::Random;
use crate::worker::{goes_to, live};
use crate::world::{Shared, World};

/// Steps after which everybody should long have recovered.
const PATIENCE: u64 = 30_000;

/// What happened in a schedule; without these things it would show nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    pub steps: u64,
    pub crashes: u64,
    pub epochs: u64,
    pub lost: u64,
    pub late_puts: u64,
    pub commits: u64,
    pub snapshots: u64,
    pub condemned: u64,
    pub swept_entries: u64,
    pub schemas: u64,
    pub configurations: u64,
}

impl Tally {
    pub fn and(mut self, other: Self) -> Self {
        self.steps += other.steps;
        self.crashes += other.crashes;
        self.epochs += other.epochs;
        self.lost += other.lost;
        self.late_puts += other.late_puts;
        self.commits += other.commits;
        self.snapshots += other.snapshots;
        self.condemned += other.condemned;
        self.swept_entries += other.swept_entries;
        self.schemas += other.schemas;
        self.configurations += other.configurations;
        self
    }
}

type Life = Pin<Box<dyn Future<Output = ()>>>;

struct Actor {
    life: Life,
    skew_ms: i64,
    /// Not polled before this step: a machine that is paused.
    stalled_until: u64,
}

/// Runs the schedule of this seed; the error says which invariant broke, and when.
pub fn run(seed: u64, planted: Planted) -> Result<Tally, String> {
    let mut random = Random::new(!seed);
    let (workers, partitions) = (2 + random.index(3), 1 + random.below(4) as i32);
    let shared = Shared::new(seed, workers, 4 + random.below(12) as i64);
    let trouble_until = 200 + random.below(1_000);
    shared.world().trouble = [0.0, 0.1, 0.3][random.index(3)];
    let grace_ms = [200, 600, 2_000][random.index(3)];
    let settings = LedgerSettings {
        snapshot_every: 1 + random.below(5),
        grace: Duration::from_millis(grace_ms),
        cached: random.index(40),
    };
    let spread = [0, 100, 3 * grace_ms as i64][random.index(3)];
    let spawn = |slot: usize, skew_ms: i64| -> Life {
        Box::pin(live(shared.clone(), slot, skew_ms, settings.clone(), planted))
    };
    let mut actors: Vec<Actor> = (0..workers)
        .map(|slot| {
            let skew_ms = random.below(2 * spread as u64 + 1) as i64 - spread;
            Actor { life: spawn(slot, skew_ms), skew_ms, stalled_until: 0 }
        })
        .collect();
    assign(&mut shared.world(), partitions, true);

    for step in 0..trouble_until + PATIENCE {
        let is_troubled = step < trouble_until;
        if step == trouble_until {
            let mut world = shared.world();
            world.trouble = 0.0;
            assign(&mut world, partitions, false);
        }
        if is_troubled {
            disturb(&shared, &mut actors, step, partitions, &spawn);
        } else if actors.iter().all(|actor| actor.stalled_until <= step)
            && is_complete(&shared.world(), partitions)
        {
            let mut world = shared.world();
            world.tally.steps = step;
            return complete(&world, partitions).map(|()| world.tally.clone());
        }
        let chosen = {
            let mut world = shared.world();
            world.now_ms += world.random.below(6) as i64;
            land(&mut world);
            world.random.index(actors.len())
        };
        let actor = &mut actors[chosen];
        if actor.stalled_until <= step {
            // Lives do not end, and nobody waits to be woken: the schedule alone decides who goes on.
            let _ = actor.life.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }
        let mut world = shared.world();
        if std::mem::take(&mut world.is_changed)
            && let Err(broken) = check::world(&world)
        {
            world.fail(broken);
        }
        if let Some(broken) = world.broken.take() {
            return Err(format!("step {step}: {broken}"));
        }
    }
    Err("the input was not finished in time".to_owned())
}

/// Crashes, stalls, moves tasks, and lets time leap.
fn disturb(
    shared: &Shared,
    actors: &mut [Actor],
    step: u64,
    partitions: i32,
    spawn: &dyn Fn(usize, i64) -> Life,
) {
    let mut world = shared.world();
    let slot = world.random.index(actors.len());
    match world.random.below(1_000) {
        0..6 => {
            world.tally.crashes += 1;
            drop(world);
            actors[slot].life = spawn(slot, actors[slot].skew_ms);
        }
        6..14 => actors[slot].stalled_until = step + world.random.below(400),
        14..24 => assign(&mut world, partitions, true),
        24..27 => world.now_ms += world.random.below(4_000) as i64,
        _ => {}
    }
}

/// Does one of the things that were thought to have failed.
fn land(world: &mut World) {
    let waiting = world.in_flight.len();
    if waiting > 0 && world.random.happens(0.004) {
        let landing = world.random.index(waiting);
        let deed = world.in_flight.swap_remove(landing);
        deed(world);
    }
}

/// Gives every partition to a worker. In trouble some are given to two, and some to none.
fn assign(world: &mut World, partitions: i32, is_troubled: bool) {
    let workers = world.assigned.len();
    for partition in 0..partitions {
        for owned in &mut world.assigned {
            if !is_troubled || world.random.happens(0.7) {
                owned.remove(&partition);
            }
        }
        let owner = world.random.index(workers);
        if !is_troubled || world.random.happens(0.9) {
            world.assigned[owner].insert(partition);
        }
    }
}

/// Whether everything that came in is in the ledger and in the sinks.
fn is_complete(world: &World, partitions: i32) -> bool {
    let Some(state) = world.states.last() else { return false };
    let is_read = state.tasks.len() == partitions as usize
        && state.tasks.values().all(|task| task.position == world.input);
    is_read && complete(world, partitions).is_ok()
}

/// Every position is in every sink exactly once; in a sink that was added later, from its entry on.
fn complete(world: &World, partitions: i32) -> Result<(), String> {
    for (sink, since) in check::sinks(world) {
        let begun = world.states.get(since as usize);
        let mut expected = Vec::new();
        for partition in 0..partitions {
            let task = begun
                .and_then(|state| state.tasks.values().find(|task| task.partition.partition == partition));
            let from = task.map_or(0, |task| task.position);
            expected.extend((from..world.input).filter(|at| goes_to(&sink, *at)).map(|at| (partition, at)));
        }
        let files = world.tables.get(&sink).map(|table| table.files.as_slice()).unwrap_or_default();
        let mut rows: Vec<_> = files.iter().flat_map(|file| &world.rows[file]).copied().collect();
        rows.sort_unstable();
        if rows != expected {
            return Err(format!("sink {sink} has {} rows of {}", rows.len(), expected.len()));
        }
    }
    Ok(())
}
