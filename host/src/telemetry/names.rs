//! The names of all metrics. Counters get `_total` appended when they are shown.

/// Records that were read and entered in the ledger.
pub const RECORDS: &str = "sluicebox_records";
/// Records that could not be decoded.
pub const DEAD_LETTERS: &str = "sluicebox_dead_letters";
/// Offsets that the broker deleted before they were read.
pub const LOST_OFFSETS: &str = "sluicebox_lost_offsets";
/// Rows by layer and fate.
pub const ROWS: &str = "sluicebox_rows";
/// Rejected rows by layer, step and rule.
pub const REJECTED: &str = "sluicebox_rejected";
/// Rows entered in the ledger for a sink.
pub const SINK_ROWS: &str = "sluicebox_sink_rows";
/// The last entry that a sink has applied.
pub const SINK_MARK: &str = "sluicebox_sink_mark";
/// Entries that a sink has not applied yet.
pub const UNAPPLIED_ENTRIES: &str = "sluicebox_unapplied_entries";
/// Bytes of the data files of those entries.
pub const UNAPPLIED_BYTES: &str = "sluicebox_unapplied_bytes";
/// Seconds since the worker saw the oldest of those entries first.
pub const UNAPPLIED_SECONDS: &str = "sluicebox_unapplied_seconds";
/// The last entry of the ledger that this worker knows.
pub const LEDGER_ENTRY: &str = "sluicebox_ledger_entry";
/// Seconds that an epoch took, by phase.
pub const EPOCH_SECONDS: &str = "sluicebox_epoch_seconds";
/// Records in an epoch.
pub const EPOCH_ROWS: &str = "sluicebox_epoch_rows";
/// Records between the position and the end of a partition.
pub const LAG: &str = "sluicebox_lag";
/// The lowest watermark of the worker's tasks, in seconds since the Unix epoch.
pub const WATERMARK_SECONDS: &str = "sluicebox_watermark_seconds";
/// 1 while the source is paused because something behind it is slow.
pub const PAUSED: &str = "sluicebox_paused";
/// Seconds of one call of a plugin, by layer and step.
pub const PLUGIN_SECONDS: &str = "sluicebox_plugin_seconds";
/// Instances of plugins that were replaced because their memory had grown, by layer and step.
pub const PLUGIN_RECYCLED: &str = "sluicebox_plugin_recycled";
/// What plugins count by themselves, by layer, step and the plugin's name of it.
pub const PLUGIN_COUNT: &str = "sluicebox_plugin_count";
/// Gauges of plugins, by layer, step and the plugin's name of it.
pub const PLUGIN_GAUGE: &str = "sluicebox_plugin_gauge";
/// Rows that shadows were tried on, by layer, step and how they compare.
pub const SHADOW_ROWS: &str = "sluicebox_shadow_rows";
/// Seconds that shadows took, by layer, step and part.
pub const SHADOW_SECONDS: &str = "sluicebox_shadow_seconds";
/// Rows of the reference table in use, by layer and step.
pub const REFERENCE_ROWS: &str = "sluicebox_reference_rows";
/// Since when that version of the table is in use, in seconds since the Unix epoch, by layer and step.
pub const REFERENCE_SINCE_SECONDS: &str = "sluicebox_reference_since_seconds";
/// Times that a reference table could not be read or used anew, by layer and step.
pub const REFERENCE_FAILURES: &str = "sluicebox_reference_failures";
/// Resident memory of the process, in bytes.
pub const PROCESS_RESIDENT_BYTES: &str = "sluicebox_process_resident_bytes";

/// The fates that [`ROWS`] counts.
pub mod fate {
    /// Left the layer, for its sink and the layers below.
    pub const KEPT: &str = "kept";
    pub const DROPPED: &str = "dropped";
    pub const LATE: &str = "late";
    pub const REJECTED: &str = "rejected";
    pub const FAILED: &str = "failed";
    /// Taken into new rows.
    pub const CONSUMED: &str = "consumed";
    /// New rows that a step gave.
    pub const MADE: &str = "made";
}
