//! A sink's mark against the ledger.

use uuid::Uuid;

use crate::ledger::LedgerState;
use crate::ledger::entry::EntryNumber;

pub fn audit(name: &str, ledger: Uuid, mark: EntryNumber, state: &LedgerState) -> Vec<String> {
    let mut findings = Vec::new();
    if ledger != state.ledger {
        findings.push(format!("{name}: its mark is of ledger {ledger}, not of {}", state.ledger));
    }
    if mark > state.number {
        findings.push(format!("{name}: its mark {mark} is above the last entry {}", state.number));
    }
    findings
}
