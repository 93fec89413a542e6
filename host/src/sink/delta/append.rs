//! Entries into a table that is only added to: their files are in place, and become the table's.

use super::changes::{Changes, Operation};
use super::guard::Guard;
use crate::ledger::entry::{Entry, SinkEntry};
use crate::sink::SinkError;
use crate::sink::rows::is_staged;

pub(super) fn changes(guard: &Guard, parts: &[(&Entry, &SinkEntry)]) -> Result<Changes, SinkError> {
    for (entry, part) in parts {
        guard.check_partitions(entry.number, &part.files)?;
        if let Some(file) = part.files.iter().find(|file| is_staged(&file.path)) {
            return guard.other_mode(entry.number, &file.path);
        }
    }
    let added: Vec<_> = parts.iter().flat_map(|(_, part)| part.files.iter().cloned()).collect();
    let rows = added.iter().map(|file| file.rows).sum();
    let operation = Operation {
        name: "STREAMING UPDATE",
        parameters: vec![("outputMode", "Append".to_owned())],
        metrics: vec![("numAddedFiles", added.len() as u64), ("numOutputRows", rows)],
        is_blind_append: true,
    };
    Ok(Changes { removed: Vec::new(), added, operation })
}
