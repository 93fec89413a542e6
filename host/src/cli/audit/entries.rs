//! Entries by themselves.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::ledger::LedgerState;
use crate::ledger::entry::{Body, Entry, EntryNumber};
use crate::progress::{Accounting, TopicPartition};

/// Sums balance, and each task's ranges adjoin.
pub fn audit(entries: &[Arc<Entry>], state: &LedgerState) -> Vec<String> {
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
