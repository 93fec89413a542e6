//! `sluicebox ledger audit`: does what the ledger says agree with itself and with the tables?

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use super::{assemble, ledger, print};
use crate::config;
use crate::ledger::LedgerState;
use crate::ledger::entry::{Body, Entry, EntryNumber};
use crate::progress::{Accounting, TopicPartition};
use crate::sink::delta::{self, TableView};

/// What the entries up to a sink's mark come to.
#[derive(Default)]
struct Expected {
    rows: u64,
    files: HashSet<String>,
}

pub async fn audit(file: &Path) -> Result<ExitCode> {
    let pipeline = config::load(file)?;
    let ledger = ledger::open_existing(&pipeline).await?;
    let state = ledger.refresh().await?;
    let oldest = ledger.oldest().await?;
    let entries = ledger.read(oldest..=state.number).await?;
    let mut findings = audit_entries(&entries, &state);
    for (sink, storage) in assemble::sinks_in_order(&pipeline).zip(assemble::table_storages(&pipeline)?) {
        let table = delta::inspect(&storage, &pipeline.pipeline.id, &sink.name, 0).await?;
        let checked = audit_table(&sink.name, table.as_ref(), &entries, &state);
        print(&checked.0);
        findings.extend(checked.1);
    }
    let mut total = Accounting::default();
    for entry in &entries {
        if let Body::Epoch(epoch) = &entry.body {
            epoch.tasks.iter().for_each(|task| total.add(&task.accounting));
        }
    }
    print(&format!(
        "entries {oldest}..={}: {} records accounted for, {} offsets lost",
        state.number, total.records, total.lost
    ));
    for finding in &findings {
        print(&format!("FAULT: {finding}"));
    }
    print(if findings.is_empty() { "the audit found no fault" } else { "the audit found faults" });
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Sums balance, and each task's ranges adjoin.
fn audit_entries(entries: &[std::sync::Arc<Entry>], state: &LedgerState) -> Vec<String> {
    let mut findings = Vec::new();
    let mut positions: HashMap<&TopicPartition, (EntryNumber, i64)> = HashMap::new();
    let parents = &state.configuration.layers;
    for entry in entries {
        let Body::Epoch(epoch) = &entry.body else { continue };
        let mut rows: BTreeMap<&str, u64> = BTreeMap::new();
        for task in &epoch.tasks {
            let at = format!("entry {}, {} {}", entry.number, task.partition, task.range);
            if let Some((before, position)) = positions.insert(&task.partition, (entry.number, task.range.to))
            {
                if position != task.range.from {
                    findings.push(format!("{at}: entry {before} ended at {position}"));
                }
                if task.builds_on != Some(before) {
                    findings.push(format!("{at}: it builds on {:?}, not on entry {before}", task.builds_on));
                }
            }
            if !task.accounting.fits(task.range) {
                let Accounting { records, lost, .. } = task.accounting;
                findings.push(format!("{at}: {records} records and {lost} lost offsets are counted"));
            }
            if epoch.configuration == state.configuration.digest
                && let Some(what) = task.accounting.imbalance(parents)
            {
                findings.push(format!("{at}: {what}"));
            }
            for (layer, counts) in &task.accounting.layers {
                *rows.entry(layer).or_default() += counts.rows_out;
            }
        }
        for (layer, counted) in rows {
            let written: u64 =
                epoch.sinks.get(layer).map_or(0, |sink| sink.files.iter().map(|file| file.rows).sum());
            if written != counted {
                findings.push(format!(
                    "entry {}: layer `{layer}` counts {counted} rows, its files hold {written}",
                    entry.number
                ));
            }
        }
    }
    findings
}

/// The table holds the files of the entries up to its mark. Files that others rewrote (OPTIMIZE, DELETE)
/// are theirs; files of ours that no entry lists are a fault.
fn audit_table(
    sink: &str,
    table: Option<&TableView>,
    entries: &[std::sync::Arc<Entry>],
    state: &LedgerState,
) -> (String, Vec<String>) {
    let Some(table) = table else {
        return (format!("{sink}: no table yet"), Vec::new());
    };
    let Some(mark) = &table.mark else {
        return (format!("{sink}: no mark"), vec![format!("{sink}: the table has no mark of this sink")]);
    };
    let mut findings = Vec::new();
    if mark.ledger != state.ledger {
        findings.push(format!("{sink}: its mark is of ledger {}, not of {}", mark.ledger, state.ledger));
    }
    if mark.number > state.number {
        findings.push(format!("{sink}: its mark {} is above the last entry {}", mark.number, state.number));
    }
    let (applied, unapplied) = expected(sink, entries, mark.number);
    for file in &table.files {
        if unapplied.files.contains(&file.path) {
            findings.push(format!("{sink}: {} is in the table, but its entry is above the mark", file.path));
        } else if crate::ledger::sweep::writer_of(&file.path)
            .is_some_and(|writer| !applied.files.contains(&file.path) && !state.has_entered(writer))
        {
            findings.push(format!("{sink}: {} is in the table, but in no entry", file.path));
        }
    }
    let present: HashSet<&str> = table.files.iter().map(|file| file.path.as_str()).collect();
    let missing = applied.files.iter().filter(|path| !present.contains(path.as_str())).count();
    let line = format!(
        "{sink}: version {}, applied up to entry {}, {} rows (entries: {}), {} of our files rewritten by others",
        table.version, mark.number, table.rows, applied.rows, missing
    );
    if missing == 0 && table.rows < applied.rows {
        findings.push(format!("{sink}: {} rows, but the entries hold {}", table.rows, applied.rows));
    }
    (line, findings)
}

fn expected(sink: &str, entries: &[std::sync::Arc<Entry>], mark: EntryNumber) -> (Expected, Expected) {
    let (mut applied, mut unapplied) = (Expected::default(), Expected::default());
    for entry in entries {
        let Body::Epoch(epoch) = &entry.body else { continue };
        let Some(part) = epoch.sinks.get(sink) else { continue };
        let side = if entry.number <= mark { &mut applied } else { &mut unapplied };
        for file in &part.files {
            side.rows += file.rows;
            side.files.insert(file.path.clone());
        }
    }
    (applied, unapplied)
}
