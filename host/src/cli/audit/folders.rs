//! A sink's markers against the entries.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::marks;
use crate::ledger::LedgerState;
use crate::ledger::entry::{Entry, EntryNumber};
use crate::sink::files::{FolderView, Marker};

/// What is to be said of the folder, and what is wrong with it. Of entries before `oldest`, which were swept, only the
/// markers are left; markers below the first one that is there were removed with their files, by whoever keeps house.
pub fn audit(
    name: &str,
    folder: &FolderView,
    entries: &[Arc<Entry>],
    oldest: EntryNumber,
    state: &LedgerState,
) -> (String, Vec<String>) {
    let mark = &folder.mark;
    let mut findings = marks::audit(name, mark.ledger, mark.number, state);
    let mut markers: BTreeMap<EntryNumber, &Marker> =
        folder.markers.iter().map(|marker| (marker.entry, marker)).collect();
    let first = markers.keys().next().copied().unwrap_or_default();
    for entry in entries.iter().filter(|entry| entry.number <= mark.number) {
        let Some(part) = entry.part_of(name) else { continue };
        match markers.remove(&entry.number) {
            Some(marker) if *marker == Marker::of(entry, part) => {}
            Some(_) => {
                findings.push(format!("{name}: the marker of entry {} lists other files", entry.number))
            }
            None if entry.number < first => {}
            None => findings.push(format!("{name}: the marker of entry {} is gone", entry.number)),
        }
    }
    for marker in markers.values().filter(|marker| !marker.files.is_empty() && marker.entry >= oldest) {
        findings.push(format!("{name}: a marker lists files of entry {}, which holds none", marker.entry));
    }
    (format!("{name}: mark {}, {} rows in {} files", mark.number, folder.rows(), folder.files()), findings)
}
