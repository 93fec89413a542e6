//! `sluicebox ledger audit`: does what the ledger says agree with itself and with the tables?

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use object_store::ObjectStoreExt;

use super::{assemble, ledger, print};
use crate::config;
use crate::ledger::LedgerState;
use crate::ledger::entry::{Body, Entry, EntryNumber};
use crate::ledger::sweep::writer_of;
use crate::progress::{Accounting, TopicPartition};
use crate::sink::delta::{self, DeltaStorage, RowKey, TableView};

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
        let key = assemble::row_key_of(&pipeline, &sink.name);
        let audited = AuditedSink { name: &sink.name, key: key.as_ref(), entries: &entries, state: &state };
        let (line, found) = audited.audit(table.as_ref());
        print(&line);
        findings.extend(found);
        if let (Some(_), Some(mark)) = (key, table.and_then(|table| table.mark)) {
            findings.extend(audit_staged(&sink.name, &storage, &entries, mark.number).await?);
        }
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
fn audit_entries(entries: &[Arc<Entry>], state: &LedgerState) -> Vec<String> {
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

/// A sink, and what the ledger says of it.
struct AuditedSink<'a> {
    name: &'a str,
    /// Set where the table is kept by key.
    key: Option<&'a RowKey>,
    entries: &'a [Arc<Entry>],
    state: &'a LedgerState,
}

impl AuditedSink<'_> {
    /// What is to be said of the table, and what is wrong with it.
    fn audit(&self, table: Option<&TableView>) -> (String, Vec<String>) {
        let Self { name, state, .. } = self;
        let Some(table) = table else {
            return (format!("{name}: no table yet"), Vec::new());
        };
        let Some(mark) = &table.mark else {
            return (format!("{name}: no mark"), vec![format!("{name}: the table has no mark of this sink")]);
        };
        let mut findings = Vec::new();
        if mark.ledger != state.ledger {
            findings.push(format!("{name}: its mark is of ledger {}, not of {}", mark.ledger, state.ledger));
        }
        if mark.number > state.number {
            findings
                .push(format!("{name}: its mark {} is above the last entry {}", mark.number, state.number));
        }
        let (applied, unapplied) = expected(name, self.entries, mark.number);
        let line = match self.key {
            None => self.audit_appended(table, &applied, &unapplied, &mut findings),
            Some(key) => self.audit_merged(table, key, &applied, &mut findings),
        };
        (format!("{name}: version {}, applied up to entry {}, {line}", table.version, mark.number), findings)
    }

    /// The table holds the files of the entries up to its mark. Files that others rewrote (OPTIMIZE, DELETE)
    /// are theirs; files of ours that no entry lists are a fault.
    fn audit_appended(
        &self,
        table: &TableView,
        applied: &Expected,
        unapplied: &Expected,
        findings: &mut Vec<String>,
    ) -> String {
        let name = self.name;
        for file in &table.files {
            if unapplied.files.contains(&file.path) {
                findings
                    .push(format!("{name}: {} is in the table, but its entry is above the mark", file.path));
            } else if writer_of(&file.path)
                .is_some_and(|writer| !applied.files.contains(&file.path) && !self.state.has_entered(writer))
            {
                findings.push(format!("{name}: {} is in the table, but in no entry", file.path));
            }
        }
        let present: HashSet<&str> = table.files.iter().map(|file| file.path.as_str()).collect();
        let missing = applied.files.iter().filter(|path| !present.contains(path.as_str())).count();
        if missing == 0 && table.rows < applied.rows {
            findings.push(format!("{name}: {} rows, but the entries hold {}", table.rows, applied.rows));
        }
        format!("{} rows (entries: {}), {missing} of our files rewritten by others", table.rows, applied.rows)
    }

    /// The table has the files that merges made, never a staged one. How many of the staged rows are in it only
    /// their keys could say.
    fn audit_merged(
        &self,
        table: &TableView,
        key: &RowKey,
        applied: &Expected,
        findings: &mut Vec<String>,
    ) -> String {
        for file in table.files.iter().filter(|file| delta::is_staged(&file.path)) {
            findings.push(format!("{}: {} is in the table, but was never merged", self.name, file.path));
        }
        format!("{} rows by `{}` out of {} staged", table.rows, key.columns.join("`, `"), applied.rows)
    }
}

/// The staged files of entries that are still to be merged must be there, whole.
async fn audit_staged(
    sink: &str,
    storage: &DeltaStorage,
    entries: &[Arc<Entry>],
    mark: EntryNumber,
) -> Result<Vec<String>> {
    let store = storage.table_store();
    let mut findings = Vec::new();
    for entry in entries.iter().filter(|entry| entry.number > mark) {
        let Body::Epoch(epoch) = &entry.body else { continue };
        for file in epoch.sinks.get(sink).iter().flat_map(|part| &part.files) {
            let at = format!("{sink}: entry {}: {}", entry.number, file.path);
            match store.head(&object_store::path::Path::parse(&file.path)?).await {
                Ok(found) if found.size == file.size => {}
                Ok(found) => findings.push(format!("{at} has {} bytes of {}", found.size, file.size)),
                Err(object_store::Error::NotFound { .. }) => findings.push(format!("{at} is gone")),
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(findings)
}

fn expected(sink: &str, entries: &[Arc<Entry>], mark: EntryNumber) -> (Expected, Expected) {
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
