//! The pipeline file, as serde reads it. Nothing here has behaviour: defaults and shapes only.
//! [`load`](super::load) reads, interpolates and validates it.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::generate::Generate;
use super::grants::Grants;
use super::http::HttpAddress;
use super::reference::TableReference;
use super::secret::{PluginConfig, Secret};
use super::shadow::Shadow;
use super::sink::{LayerSink, SideSink};
use super::step_limits::StepLimits;
use super::units::{ByteSize, Period, Timestamp};

/// A Sluicebox pipeline: a source, a tree of layers, a state location.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pipeline {
    /// Names the pipeline for good: its ledger, its marks in the tables and its consumer group hang on it.
    #[schemars(regex(pattern = r"^[a-z0-9._-]{1,100}$"))]
    pub id: String,
    pub source: Source,
    #[serde(default)]
    pub decode: Decode,
    /// Where rows get their event time from. Without it, rows have none and nothing is late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_time: Option<EventTime>,
    #[serde(default)]
    pub epoch: EpochLimits,
    #[serde(default)]
    pub backlog: BacklogLimits,
    /// Where the ledger and the state of stateful steps live: a path relative to this file, or a URL.
    pub state: String,
    /// How buckets are reached, by object_store's names of options: `aws_region`, `aws_endpoint`,
    /// `azure_storage_account_key`, `google_service_account`, … Variables of the environment named `AWS_…`,
    /// `AZURE_…` and `GOOGLE_…` are read too.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub storage: IndexMap<String, Secret>,
    /// Where records go that cannot be decoded, or that break a plugin.
    pub dead_letters: SideSink,
    /// The layers by name. Each has steps and one sink, and reads from another layer or from the source.
    pub layers: IndexMap<String, Layer>,
    #[serde(default)]
    pub failures: FailureLimits,
    /// Where calls on which a step fails are kept, for `sluicebox plugin run --replay`. A capture holds rows as they
    /// are, and what the step remembers. Off if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture: Option<Capture>,
    /// Whether changes of this file and of its plugins are taken up while the pipeline runs. SIGHUP does so once.
    #[serde(default)]
    pub watch: bool,
    /// Threads that process partitions; as many as the machine has cores, unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub threads: Option<u32>,
    #[serde(default)]
    pub memory: Memory,
    /// Where `/metrics` and `/health` are served: `9187` (on loopback) or `0.0.0.0:9187`. Off if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpAddress>,
}

/// Where records come from: one of `kafka` and `generate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka: Option<KafkaSource>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generate: Option<Generate>,
    #[serde(default)]
    pub batch: BatchLimits,
}

/// A Kafka consumer group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KafkaSource {
    /// Bootstrap servers, `host:port`, separated by commas.
    pub brokers: String,
    #[schemars(length(min = 1))]
    pub topics: Vec<String>,
    /// Where partitions start that the pipeline has never read.
    #[serde(default)]
    pub start: Start,
    #[serde(default)]
    pub on_lost_offsets: OnLostOffsets,
    /// Settings of librdkafka, by librdkafka's names.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub settings: IndexMap<String, Secret>,
}

/// Where a partition starts that the pipeline has never read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    #[default]
    Earliest,
    /// The end of the partition when the pipeline first sees it, resolved once.
    Latest,
    /// The first record at or after a time.
    Timestamp(Timestamp),
}

/// What to do when the broker no longer has the records at the position that is next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnLostOffsets {
    /// Stop the pipeline, and say how much is gone.
    #[default]
    Stop,
    /// Go on at the first record that is left, and count what is gone.
    Skip,
}

/// How large a batch of one partition grows before it is processed. Decides speed, never the rows; only columns that
/// are inferred may get another type, since each is inferred from the first batch that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BatchLimits {
    #[schemars(range(min = 1))]
    pub rows: u32,
    pub bytes: ByteSize,
    pub time: Period,
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self { rows: 8192, bytes: ByteSize::mebibytes(4), time: Period::milliseconds(100) }
    }
}

/// How payloads become rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Decode {
    pub format: Format,
    pub policy: Policy,
    /// Columns beyond this number are kept in `_rescued`.
    #[schemars(range(min = 1))]
    pub max_columns: u32,
    /// Payloads nested deeper are dead letters.
    #[schemars(range(min = 1))]
    pub max_depth: u32,
    /// Larger payloads are dead letters.
    pub max_record_bytes: ByteSize,
    /// The columns, in order, with their types: `int64`, `struct<a: float64, b: list<utf8>>`. Inferred if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<IndexMap<String, String>>,
}

impl Default for Decode {
    fn default() -> Self {
        Self {
            format: Format::Json,
            policy: Policy::Merge,
            max_columns: 1000,
            max_depth: 32,
            max_record_bytes: ByteSize::mebibytes(1),
            schema: None,
        }
    }
}

/// The format of payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// One JSON object per record.
    Json,
}

/// What happens to fields that the schema does not have, or has with another type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// The schema grows: new nullable columns, safe widening. What cannot be merged is rescued.
    Merge,
    /// The schema stays; such fields are kept as JSON in `_rescued`.
    Rescue,
    /// The record is a dead letter.
    Strict,
}

/// Where rows get their event time from, and how long rows are waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventTime {
    /// A timestamp column of the decoded records.
    pub column: String,
    /// The watermark follows the largest event time seen at this distance.
    pub delay: Period,
    /// A partition without records for so long lets its watermark follow the wall clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<Period>,
    /// Event times further ahead of the broker's timestamp of their record do not move the watermark: one clock
    /// that is wrong must not make all other rows late.
    #[serde(default = "one_hour")]
    pub max_ahead: Period,
}

fn one_hour() -> Period {
    Period::seconds(3600)
}

/// When an epoch closes: whichever limit is reached first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EpochLimits {
    pub interval: Period,
    #[schemars(range(min = 1))]
    pub rows: u64,
    pub bytes: ByteSize,
}

impl Default for EpochLimits {
    fn default() -> Self {
        Self { interval: Period::seconds(10), rows: 1_000_000, bytes: ByteSize::mebibytes(64) }
    }
}

/// How far a sink may fall behind what was entered for it. Beyond `entries`, `bytes` or `age` nothing more is fetched;
/// what was fetched already (`memory.in_flight`) is still entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BacklogLimits {
    #[schemars(range(min = 1))]
    pub entries: u64,
    /// Of data files that the sink does not list yet.
    pub bytes: ByteSize,
    /// For how long a worker has known the oldest entry that the sink lacks.
    pub age: Period,
    /// Beyond this age the worker stops, for somebody to mend the sink. To be well below the retention of VACUUM
    /// (7 days unless the table says otherwise), which removes files that no table lists yet.
    pub stop_after: Period,
}

impl Default for BacklogLimits {
    fn default() -> Self {
        Self {
            entries: 1000,
            bytes: ByteSize::mebibytes(64 << 10),
            age: Period::seconds(3600),
            stop_after: Period::seconds(24 * 3600),
        }
    }
}

/// A named stage: an ordered list of steps, then one sink.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// The layer whose rows this one gets; the decoded records if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Whether rows carry `_topic`, `_partition`, `_offset`, `_timestamp` and `_key` into the sink.
    #[serde(default = "yes")]
    pub positions: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// Where rejected rows go, with the step, the rule and the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<SideSink>,
    /// What happens to rows behind the watermark in steps that aggregate.
    #[serde(default)]
    pub late: Late,
    pub sink: LayerSink,
}

fn yes() -> bool {
    true
}

/// Late rows are counted whatever happens to them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Late {
    #[default]
    Drop,
    Quarantine,
}

/// One plugin with its configuration and limits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Unique within the layer.
    pub name: String,
    /// The name of a bundled plugin; the path of a component, ending in `.wasm`, relative to this file; or a component in
    /// a registry, `oci://registry/name:tag` or `oci://registry/name@sha256:…`.
    pub plugin: String,
    /// The SHA-256 that the component must have, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9a-fA-F]{64}$"))]
    pub sha256: Option<String>,
    /// Whatever the plugin asks for.
    #[serde(default)]
    pub config: PluginConfig,
    /// The table of a plugin that looks rows up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<TableReference>,
    #[serde(default)]
    pub on_error: OnError,
    #[serde(default)]
    pub limits: StepLimits,
    #[serde(default, skip_serializing_if = "Grants::is_nothing")]
    pub grants: Grants,
    /// A plugin that is tried on the same batches, without effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Shadow>,
}

/// What happens to rows that break the plugin (trap, time-out, memory), or for which it returns a `data` error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    #[default]
    DeadLetter,
    Quarantine,
    /// Stop the pipeline.
    Stop,
}

/// The share of rows that may fail in a step before the pipeline stops rather than hide a broken plugin.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FailureLimits {
    /// Above 0, at most 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_share: f64,
    /// The share is not judged before so many rows.
    pub min_rows: u64,
}

impl Default for FailureLimits {
    fn default() -> Self {
        Self { max_share: 0.5, min_rows: 1000 }
    }
}

/// Where calls on which a step fails are kept, and how much of them. Beyond `max_files` or `max_bytes` no more are kept,
/// until some are removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Capture {
    /// A folder: a path relative to this file, or a URL.
    pub folder: String,
    /// Captures in the folder.
    #[serde(default = "sixteen")]
    #[schemars(range(min = 1))]
    pub max_files: u32,
    /// Of all captures in the folder together.
    #[serde(default = "default_capture_bytes")]
    pub max_bytes: ByteSize,
}

fn sixteen() -> u32 {
    16
}

fn default_capture_bytes() -> ByteSize {
    ByteSize::mebibytes(64)
}

/// What the worker may hold in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Memory {
    /// Records fetched and not yet processed; beyond this the source is paused.
    pub in_flight: ByteSize,
}

impl Default for Memory {
    fn default() -> Self {
        Self { in_flight: ByteSize::mebibytes(64) }
    }
}
