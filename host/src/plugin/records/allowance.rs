//! What may be given back for a batch, over all the calls that it goes in.

use super::super::bindings::records::Outcome;
use super::super::error::Fault;
use super::super::limits::Limits;
use super::column::Budget;

/// What is left of the limits.
pub(in super::super) struct Allowance {
    limit: usize,
    bytes: usize,
    /// Rows take other room as columns than as JSON: members that are not there take some.
    pub(super) columns: Budget,
    pub new_rows: usize,
    pub reason_bytes: usize,
}

impl Allowance {
    pub fn new(limits: &Limits) -> Self {
        Self {
            limit: limits.output_bytes,
            bytes: limits.output_bytes,
            columns: Budget::new(limits.output_bytes),
            new_rows: limits.output_rows,
            reason_bytes: limits.reason_bytes,
        }
    }

    /// Counts what one call gave back.
    pub fn take(&mut self, outcome: &Outcome) -> Result<(), Fault> {
        let rejected = outcome.rejected.iter();
        let rejected =
            rejected.map(|rejection| rejection.rule.len() + rejection.reason.len() + size_of::<u32>());
        let bytes = outcome.rows.as_ref().map_or(0, String::len)
            + outcome.keep.as_ref().map_or(0, Vec::len)
            + rejected.sum::<usize>();
        self.bytes = self.bytes.checked_sub(bytes).ok_or(Fault::Output(self.limit))?;
        Ok(())
    }
}
