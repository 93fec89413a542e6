//! The invariants, written down a second time: from the true history alone.

use std::collections::{BTreeMap, BTreeSet};

use sluicebox::changes::StateKind;
use sluicebox::ledger::entry::{Body, Entry, EntryNumber, Epoch};
use sluicebox::ledger::{LedgerState, Verdict};
use sluicebox::sink::rows::is_staged;

use crate::world::World;

/// Whether the entry may follow the history; the fold of it is noted.
pub fn entry(world: &mut World, entry: &Entry) -> Result<(), String> {
    let number = entry.number;
    if world.lost.contains(&entry.writer) {
        return Err(format!("entry {number} was lost, said the ledger to its writer"));
    }
    if world.history.iter().any(|before| before.writer == entry.writer) {
        return Err(format!("entry {number} is in the ledger twice"));
    }
    if let Body::Epoch(epoch) = &entry.body {
        continues(&world.history, number, epoch)?;
    }
    let state = match world.states.last() {
        None => LedgerState::genesis(entry).ok_or("the ledger begins without a genesis")?,
        Some(before) => {
            let mut state = before.clone();
            match state.apply(entry) {
                Verdict::Valid => state,
                verdict => return Err(format!("entry {number} is not valid: {verdict}")),
            }
        }
    };
    world.states.push(state);
    Ok(())
}

/// The ranges of each partition form a chain from 0, without gaps and without overlaps.
fn continues(history: &[Entry], number: EntryNumber, epoch: &Epoch) -> Result<(), String> {
    for task in &epoch.tasks {
        let position = epochs(history)
            .flat_map(|(_, epoch)| &epoch.tasks)
            .rfind(|before| before.partition == task.partition)
            .map_or(0, |before| before.range.to);
        if task.range.from != position {
            let (partition, from) = (&task.partition, task.range.from);
            return Err(format!(
                "entry {number} goes on from {from} in {partition}, which was at {position}"
            ));
        }
    }
    Ok(())
}

/// Everything that must hold at every moment.
pub fn world(world: &World) -> Result<(), String> {
    if world.history.is_empty() {
        return Ok(());
    }
    files(world)?;
    entries(world)?;
    sinks(world).iter().try_for_each(|(sink, since)| replay(world, sink, *since))
}

/// No entered file was deleted but those whose messages were sent, and no state that a task would be restored from.
fn files(world: &World) -> Result<(), String> {
    let mut state: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    let sinks = sinks(world);
    for (number, epoch) in epochs(&world.history) {
        for (sink, part) in &epoch.sinks {
            let is_sent =
                !sinks.contains_key(sink) || world.tables.get(sink).is_some_and(|table| table.mark >= number);
            let needed = part.files.iter().filter(|file| !(is_sent && is_staged(&file.path)));
            for file in needed {
                if !world.files.contains_key(&file.path) {
                    return Err(format!("{} of entry {number} is gone", file.path));
                }
            }
        }
        for task in &epoch.tasks {
            let chain = state.entry(&task.partition).or_default();
            for segment in &task.state {
                if segment.kind == StateKind::Base {
                    chain.clear();
                }
                chain.push(&segment.object);
            }
        }
    }
    match state.values().flatten().find(|object| !world.files.contains_key(**object)) {
        Some(object) => Err(format!("{object} is gone, and a task's state needs it")),
        None => Ok(()),
    }
}

/// Whoever opens the ledger, and every sink, finds the entries that it needs, as they were.
fn entries(world: &World) -> Result<(), String> {
    let numbers = |directory: &str| -> BTreeSet<EntryNumber> {
        let names = world.objects.keys().filter_map(|name| name.strip_prefix(directory));
        names.map(|name| name.trim_end_matches(".json").parse().expect("objects are numbered")).collect()
    };
    let snapshot = numbers("snapshots/").last().copied();
    let mut needed_from = snapshot.map_or(0, |snapshot| snapshot + 1);
    for (sink, since) in sinks(world) {
        let mark = world.tables.get(&sink).map_or(0, |table| table.mark);
        needed_from = needed_from.min(mark.max(since) + 1);
    }
    let present = numbers("entries/");
    match (needed_from..world.history.len() as u64).find(|number| !present.contains(number)) {
        Some(number) => Err(format!("entry {number} is gone, and somebody needs it")),
        None => Ok(()),
    }
}

/// The sink holds exactly what the entries up to its mark gave it.
fn replay(world: &World, sink: &str, since: EntryNumber) -> Result<(), String> {
    let Some(table) = world.tables.get(sink) else { return Ok(()) };
    if table.mark >= world.history.len() as u64 {
        return Err(format!("sink {sink} is at {}, past the ledger", table.mark));
    }
    let expected: Vec<&String> = epochs(&world.history)
        .filter(|(number, _)| *number > since && *number <= table.mark)
        .filter_map(|(_, epoch)| epoch.sinks.get(sink))
        .flat_map(|part| part.files.iter().map(|file| &file.path))
        .collect();
    if !expected.iter().copied().eq(&table.files) {
        let (held, mark) = (table.files.len(), table.mark);
        return Err(format!(
            "sink {sink} is no replay: {held} files at mark {mark}, the ledger gave {}",
            expected.len()
        ));
    }
    Ok(())
}

/// The sinks of the configuration in force, and the entries that added them.
pub fn sinks(world: &World) -> BTreeMap<String, EntryNumber> {
    let mut sinks: BTreeMap<String, EntryNumber> = BTreeMap::new();
    for entry in &world.history {
        let configuration = match &entry.body {
            Body::Genesis(genesis) => &genesis.configuration,
            Body::Configure(change) => &change.configuration,
            _ => continue,
        };
        let since = |sink: &String| sinks.get(sink).copied().unwrap_or(entry.number);
        sinks = configuration.sinks.iter().map(|sink| (sink.clone(), since(sink))).collect();
    }
    sinks
}

fn epochs(history: &[Entry]) -> impl DoubleEndedIterator<Item = (EntryNumber, &Epoch)> {
    history.iter().filter_map(|entry| match &entry.body {
        Body::Epoch(epoch) => Some((entry.number, epoch)),
        _ => None,
    })
}
