//! What a step's plugin may use, give back and refuse.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::units::{ByteSize, Period};

/// What a plugin may use, for each partition by itself.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StepLimits {
    /// Linear memory.
    pub memory: ByteSize,
    /// An instance whose memory has grown so far is replaced between two epochs, its state carried over, since
    /// WebAssembly memory never shrinks. Three quarters of `memory`, unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recycle_memory: Option<ByteSize>,
    /// CPU time of one call.
    pub time: Period,
    /// Time that one call may wait for what it was granted: for hosts, and for the clock.
    pub wait: Period,
    /// Bytes that may be given back for a batch. A batch that gets more is tried in pieces.
    pub output: ByteSize,
    /// New rows that may be given back for a batch.
    #[schemars(range(min = 1))]
    pub output_rows: u32,
    /// Messages that one call may log. What is beyond is left out, and counted in a message of the host.
    pub log_lines: u32,
    /// Bytes of the messages that one call may log.
    pub log_bytes: ByteSize,
    pub rejections: RejectionLimits,
}

impl Default for StepLimits {
    fn default() -> Self {
        Self {
            memory: ByteSize::mebibytes(64),
            recycle_memory: None,
            time: Period::seconds(2),
            wait: Period::seconds(10),
            output: ByteSize::mebibytes(64),
            output_rows: 1 << 20,
            log_lines: 64,
            log_bytes: ByteSize::bytes(16 << 10),
            rejections: RejectionLimits::default(),
        }
    }
}

/// How much a step may reject before the pipeline stops rather than fill its quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RejectionLimits {
    /// The share of the rows, counted since the worker started or took up another configuration. Above 0; 1 never
    /// stops the pipeline.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_share: f64,
    /// The share is not judged before so many rows.
    pub min_rows: u64,
    /// Bytes of one reason; what is beyond is cut off.
    pub reason: ByteSize,
}

impl Default for RejectionLimits {
    fn default() -> Self {
        Self { max_share: 1.0, min_rows: 1000, reason: ByteSize::bytes(4 << 10) }
    }
}
