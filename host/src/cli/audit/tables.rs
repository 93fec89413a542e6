//! A sink's table against the entries.

use std::collections::HashSet;
use std::sync::Arc;

use super::marks;
use crate::ledger::LedgerState;
use crate::ledger::entry::{Body, Entry, EntryNumber};
use crate::ledger::sweep::writer_of;
use crate::sink::delta::{RowKey, TableView};
use crate::sink::rows::is_staged;

/// What the entries up to a sink's mark come to.
#[derive(Default)]
struct Expected {
    rows: u64,
    files: HashSet<String>,
}

/// A sink, and what the ledger says of it.
pub struct AuditedSink<'a> {
    pub name: &'a str,
    /// Set where the table is kept by key.
    pub key: Option<&'a RowKey>,
    pub entries: &'a [Arc<Entry>],
    pub state: &'a LedgerState,
}

impl AuditedSink<'_> {
    /// What is to be said of the table, and what is wrong with it.
    pub fn audit_table(&self, table: &TableView) -> (String, Vec<String>) {
        let Self { name, state, .. } = self;
        let Some(mark) = &table.mark else {
            return (format!("{name}: no mark"), vec![format!("{name}: the table has no mark of this sink")]);
        };
        let mut findings = marks::audit(name, mark.ledger, mark.number, state);
        let (applied, unapplied) = expected(name, self.entries, mark.number);
        let line = match self.key {
            None => self.audit_appended(table, &applied, &unapplied, &mut findings),
            Some(key) => self.audit_merged(table, key, &applied, &mut findings),
        };
        (format!("{name}: version {}, mark {}, {line}", table.version, mark.number), findings)
    }

    /// The same where there is no `what`, a table or a folder.
    pub fn audit_nothing(&self, what: &str) -> (String, Vec<String>) {
        let (_, listed) = expected(self.name, self.entries, 0);
        let mut findings = Vec::new();
        if !listed.files.is_empty() {
            findings.push(format!(
                "{}: the {what} is gone, and entries hold {} rows for it",
                self.name, listed.rows
            ));
        }
        (format!("{}: no {what}", self.name), findings)
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
        for file in table.files.iter().filter(|file| is_staged(&file.path)) {
            findings.push(format!("{}: {} is in the table, but was never merged", self.name, file.path));
        }
        format!("{} rows by `{}` out of {} staged", table.rows, key.columns.join("`, `"), applied.rows)
    }
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
