//! Captures: calls on which a plugin failed, each in a file of its own, to be sent once more elsewhere.
//!
//! [`file`] is their format, [`keeper`] puts them into a folder beside the pipeline, within bounds.

mod file;
mod keeper;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use file::{CaptureError, decode, encode};
pub use keeper::{Captures, KeeperSettings, NAME_ENDS_WITH};

use crate::changes::StateLayout;
use crate::plugin::Limits;
use crate::progress::OffsetRange;

/// A call on which a plugin failed, with all that it takes to make it again, but for the component.
#[derive(Debug, Clone)]
pub struct Capture {
    pub about: About,
    /// Of the rows that came to the step.
    pub input: SchemaRef,
    /// The columns that the plugin got.
    pub rows: RecordBatch,
    pub state: CapturedState,
}

/// What is known of the call beside its columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// Of Sluicebox.
    pub host: String,
    /// Of the WIT package.
    pub contract: String,
    /// RFC 3339.
    pub captured_at: String,
    pub pipeline: String,
    pub layer: String,
    pub step: String,
    pub plugin: PluginFacts,
    pub topic: String,
    pub partition: i32,
    /// The offsets of the batch that the rows come from.
    pub range: OffsetRange,
    /// As it stands in the pipeline file: references such as `${VARIABLE}` are not resolved.
    pub config: Value,
    pub limits: Limits,
    /// The capabilities that the step was granted, by their names. What lies behind them is not captured.
    #[serde(default)]
    pub granted: Vec<String>,
    /// The version of the table in which the step looked rows up. Its rows are not captured.
    #[serde(default)]
    pub reference: Option<String>,
    /// Microseconds since the Unix epoch.
    pub watermark: Option<i64>,
    pub fault: String,
    /// Rows of the call that failed by themselves, where that was found out.
    pub failing_rows: Option<Vec<FailingRow>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginFacts {
    pub name: String,
    pub version: String,
    pub sha256: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailingRow {
    /// Its number in the call, from 0.
    pub row: usize,
    pub reason: String,
}

/// What a stateful step remembered before the call.
#[derive(Debug, Clone)]
pub enum CapturedState {
    Stateless,
    /// Rows of [`StateLayout::row`].
    Known {
        layout: StateLayout,
        rows: RecordBatch,
    },
    /// The first fault stops the pipeline, which cannot tell what came before in the open epoch.
    Unknown,
}
