//! What can go wrong with the ledger.

use uuid::Uuid;

use super::entry::EntryNumber;
use super::judge::Verdict;
use super::store::StoreError;

#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// A fault of the moment. Whether an entry that was being put is in the ledger is not known.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
    /// The entry was below every mark and was swept. Read the sink's mark again.
    #[error("entry {number} was removed by a sweep: nothing that keeps up with the ledger needs it any more")]
    Gone { number: EntryNumber },
    #[error(
        "`{name}` of the ledger cannot be read: {why}. Stop all workers of this pipeline and restore it from a \
         backup of the state location. Do not delete it while any sink may hold its rows"
    )]
    Torn { name: String, why: String },
    #[error(
        "`{name}` of the ledger has format {found}, and this Sluicebox reads format {expected}: run the version \
         that wrote it, or upgrade all workers"
    )]
    Format { name: String, found: u32, expected: u32 },
    #[error(
        "entry {number} of the ledger contradicts the entries before it: {verdict}. No Sluicebox writes such an \
         entry: stop all workers of this pipeline and find out who wrote to the state location"
    )]
    Contradiction { number: EntryNumber, verdict: Verdict },
    #[error(
        "the state location holds the ledger of pipeline `{found}`, not of `{expected}`: correct the pipeline's \
         `id`, or give it a state location of its own"
    )]
    OtherPipeline { found: String, expected: String },
    #[error(
        "the state location holds ledger {found}, and the sinks follow ledger {known}: point the pipeline at the \
         state location that it had before, or give it other tables"
    )]
    OtherLedger { found: Uuid, known: Uuid },
    #[error(
        "the state location holds no ledger, and the sinks follow ledger {known}: point the pipeline at the state \
         location that it had before or restore it, or give the pipeline other tables"
    )]
    Missing { known: Uuid },
    /// For one who does not begin it.
    #[error("there is no ledger here: the pipeline has not run yet, or `state` is another")]
    NotBegun,
    #[error(
        "entry {number} of the ledger is gone, and no snapshot stands for it: the state location was deleted or \
         swapped under the running pipeline. Stop all workers and restore it"
    )]
    Vanished { number: EntryNumber },
    #[error(
        "the ledger has entries from {first} on, and neither entry 0 nor a snapshot: restore them from a backup of \
         the state location"
    )]
    Beheaded { first: EntryNumber },
}

impl LedgerError {
    /// Whether trying again can help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Gone { .. })
    }
}
