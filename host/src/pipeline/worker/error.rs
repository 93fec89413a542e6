//! What stops a worker.

use crate::ledger::LedgerError;
use crate::pipeline::applier::ApplyError;
use crate::pipeline::backlog::Backlog;
use crate::pipeline::blueprint::PlanError;
use crate::pipeline::epoch::EpochError;
use crate::pipeline::lane::LaneError;
use crate::pipeline::state_objects::StateError;
use crate::pipeline::topics::TopicError;
use crate::source::SourceError;

#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Topics(#[from] TopicError),
    #[error(transparent)]
    Lane(#[from] LaneError),
    #[error(transparent)]
    Epoch(#[from] EpochError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error("sink `{sink}`: {what}")]
    Sink { sink: String, what: String },
    #[error(
        "another configuration of this pipeline is in force (digest {in_force}): its workers would be undone. Start \
         this worker with the same file, or stop the others"
    )]
    OtherConfiguration { in_force: String },
    #[error(
        "column `{column}` would change from {from} to {to}, which the Delta table of sink `{sink}` cannot \
         hold. Declare the wider type in `decode.schema` and give the sink a new table, or choose `decode.policy: rescue`"
    )]
    Widening { sink: String, column: String, from: String, to: String },
    #[error("the ledger refuses the epoch: {0}")]
    Refused(String),
    #[error(
        "{0}. No single record is to blame, so none can be stepped over: correct the plugin, or raise its limits. \
         Nothing is lost; the pipeline goes on from its last epoch"
    )]
    NoCulprit(Box<LaneError>),
    #[error(
        "layer `{layer}`, step `{step}`: {failed} of {rows} rows broke the plugin, more than `failures.max_share` \
         allows. See the dead letters for the reasons; correct the plugin, or raise the limit"
    )]
    TooManyFailures { layer: String, step: String, failed: u64, rows: u64 },
    #[error(
        "layer `{layer}`, step `{step}`: {rejected} of {rows} rows were rejected ({rules}), more than \
         `limits.rejections.max_share` allows. They are in the quarantine with their reasons, or in the dead letters; \
         correct the plugin or its configuration, or raise the limit"
    )]
    TooManyRejections { layer: String, step: String, rejected: u64, rows: u64, rules: String },
    #[error(
        "sink `{sink}` is {backlog}, longer than `backlog.stop_after` allows{why}. Mend the sink and start again: \
         nothing is lost, and what it lacks is applied then"
    )]
    Backlog { sink: String, backlog: Backlog, why: String },
    #[error("a thread cannot be started: {0}")]
    Thread(#[from] std::io::Error),
}
