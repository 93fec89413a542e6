//! The counters, gauges and histograms. Labels are bounded: topics and partitions are the broker's; layers,
//! steps and sinks the pipeline file's; rules are fixed in each plugin's plan.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry};

use super::names::{self, fate};
use super::plugin_metrics::PluginMetrics;
use super::reference_metrics::ReferenceMetrics;
use super::shadow_metrics::ShadowMetrics;
use crate::progress::{Accounting, LayerCounts, StepCounts, TopicPartition};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FateLabels {
    layer: String,
    fate: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RuleLabels {
    layer: String,
    step: String,
    rule: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SinkLabels {
    sink: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabels {
    phase: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PartitionLabels {
    topic: String,
    partition: i32,
}

/// The parts of making an epoch durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Upload,
    Entry,
    Apply,
}

impl Phase {
    fn name(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Entry => "entry",
            Self::Apply => "apply",
        }
    }
}

pub(super) type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// The metrics of one worker. Every method may be called from any thread.
pub struct Metrics {
    registry: Registry,
    /// The names of each layer's steps, in order.
    steps: RwLock<Arc<BTreeMap<String, Vec<String>>>>,
    records: Counter,
    dead_letters: Counter,
    lost_offsets: Counter,
    rows: Family<FateLabels, Counter>,
    rejected: Family<RuleLabels, Counter>,
    sink_rows: Family<SinkLabels, Counter>,
    sink_mark: Family<SinkLabels, Gauge>,
    unapplied_entries: Family<SinkLabels, Gauge>,
    unapplied_bytes: Family<SinkLabels, Gauge>,
    unapplied_seconds: Family<SinkLabels, Gauge<f64, AtomicU64>>,
    ledger_entry: Gauge,
    epoch_seconds: Histograms<PhaseLabels>,
    epoch_rows: Histogram,
    lag: Family<PartitionLabels, Gauge>,
    watermark: Gauge<f64, AtomicU64>,
    paused: Gauge,
    pub plugins: PluginMetrics,
    pub shadows: ShadowMetrics,
    pub references: ReferenceMetrics,
    resident: Gauge,
}

impl Metrics {
    /// `steps` names each layer's steps, in order.
    pub fn new(steps: BTreeMap<String, Vec<String>>) -> Self {
        let mut registry = Registry::default();
        let at = &mut registry;
        Self {
            records: registered(
                at,
                names::RECORDS,
                "Records read and entered in the ledger",
                Counter::default(),
            ),
            dead_letters: registered(
                at,
                names::DEAD_LETTERS,
                "Records that could not be decoded",
                Counter::default(),
            ),
            lost_offsets: registered(
                at,
                names::LOST_OFFSETS,
                "Offsets that the broker deleted before they were read",
                Counter::default(),
            ),
            rows: registered(at, names::ROWS, "Rows by layer and fate", Family::default()),
            rejected: registered(
                at,
                names::REJECTED,
                "Rows that plugins refused, by rule",
                Family::default(),
            ),
            sink_rows: registered(at, names::SINK_ROWS, "Rows entered for a sink", Family::default()),
            sink_mark: registered(
                at,
                names::SINK_MARK,
                "The last entry that a sink applied",
                Family::default(),
            ),
            unapplied_entries: registered(
                at,
                names::UNAPPLIED_ENTRIES,
                "Entries that a sink has not applied yet",
                Family::default(),
            ),
            unapplied_bytes: registered(
                at,
                names::UNAPPLIED_BYTES,
                "Data files of the entries that a sink has not applied yet",
                Family::default(),
            ),
            unapplied_seconds: registered(
                at,
                names::UNAPPLIED_SECONDS,
                "For how long the oldest entry that a sink has not applied is known",
                Family::default(),
            ),
            ledger_entry: registered(at, names::LEDGER_ENTRY, "The last known entry", Gauge::default()),
            epoch_seconds: registered(
                at,
                names::EPOCH_SECONDS,
                "Time to make an epoch durable, by phase",
                Family::new_with_constructor(epoch_seconds),
            ),
            epoch_rows: registered(at, names::EPOCH_ROWS, "Records in an epoch", epoch_rows()),
            lag: registered(at, names::LAG, "Records up to the end of the partition", Family::default()),
            watermark: registered(
                at,
                names::WATERMARK_SECONDS,
                "The lowest watermark, seconds since the Unix epoch",
                Gauge::default(),
            ),
            paused: registered(at, names::PAUSED, "1 while the source is paused", Gauge::default()),
            plugins: PluginMetrics::new(at),
            shadows: ShadowMetrics::new(at),
            references: ReferenceMetrics::new(at),
            resident: registered(
                at,
                names::PROCESS_RESIDENT_BYTES,
                "Resident memory of the process",
                Gauge::default(),
            ),
            registry,
            steps: RwLock::new(Arc::new(steps)),
        }
    }

    /// Names each layer's steps, in order, under another configuration.
    pub fn set_steps(&self, steps: BTreeMap<String, Vec<String>>) {
        *self.steps.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(steps);
    }

    fn steps(&self) -> Arc<BTreeMap<String, Vec<String>>> {
        self.steps.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts what an entered epoch did to records and rows. To be called once for each task of an entry.
    pub fn record(&self, accounting: &Accounting) {
        self.records.inc_by(accounting.records);
        self.dead_letters.inc_by(accounting.dead_letters);
        self.lost_offsets.inc_by(accounting.lost);
        for (layer, counts) in &accounting.layers {
            self.record_layer(layer, counts);
        }
    }

    fn record_layer(&self, layer: &str, counts: &LayerCounts) {
        let sum = |of: fn(&StepCounts) -> u64| counts.steps.iter().map(of).sum::<u64>();
        for (fate, rows) in [
            (fate::KEPT, counts.rows_out),
            (fate::DROPPED, sum(|step| step.dropped)),
            (fate::LATE, sum(|step| step.late)),
            (fate::REJECTED, sum(StepCounts::rejected_total)),
            (fate::FAILED, sum(|step| step.failed)),
            (fate::CONSUMED, sum(|step| step.consumed)),
            (fate::MADE, sum(|step| step.made)),
        ] {
            self.rows.get_or_create(&FateLabels { layer: layer.to_owned(), fate }).inc_by(rows);
        }
        let steps = self.steps();
        let names = steps.get(layer).map(Vec::as_slice).unwrap_or_default();
        for (step, counts) in names.iter().zip(&counts.steps) {
            for (rule, rows) in &counts.rejected {
                let labels = RuleLabels { layer: layer.to_owned(), step: step.clone(), rule: rule.clone() };
                self.rejected.get_or_create(&labels).inc_by(*rows);
            }
        }
    }

    /// An entered epoch holds so many rows for a sink.
    pub fn sink_rows(&self, sink: &str, rows: u64) {
        self.sink_rows.get_or_create(&SinkLabels { sink: sink.to_owned() }).inc_by(rows);
    }

    /// How far a sink has followed the ledger.
    pub fn sink_applied(&self, sink: &str, mark: u64) {
        self.sink_mark.get_or_create(&SinkLabels { sink: sink.to_owned() }).set(signed(mark));
    }

    /// What a sink lacks of the ledger, and for how long.
    pub fn sink_backlog(&self, sink: &str, entries: u64, bytes: u64, age: Duration) {
        let labels = SinkLabels { sink: sink.to_owned() };
        self.unapplied_entries.get_or_create(&labels).set(signed(entries));
        self.unapplied_bytes.get_or_create(&labels).set(signed(bytes));
        self.unapplied_seconds.get_or_create(&labels).set(age.as_secs_f64());
    }

    pub fn ledger_entry(&self, number: u64) {
        self.ledger_entry.set(signed(number));
    }

    pub fn epoch_phase(&self, phase: Phase, took: Duration) {
        self.epoch_seconds.get_or_create(&PhaseLabels { phase: phase.name() }).observe(took.as_secs_f64());
    }

    /// Records in an epoch that was closed.
    pub fn epoch_rows(&self, rows: u64) {
        self.epoch_rows.observe(rows as f64);
    }

    pub fn lag(&self, partition: &TopicPartition, records: i64) {
        self.lag.get_or_create(&partition_labels(partition)).set(records);
    }

    /// The partition is another worker's now: it is shown no longer.
    pub fn partition_revoked(&self, partition: &TopicPartition) {
        self.lag.remove(&partition_labels(partition));
    }

    /// The lowest watermark of all tasks, in microseconds since the Unix epoch.
    pub fn watermark(&self, microseconds: i64) {
        self.watermark.set(microseconds as f64 / 1e6);
    }

    pub fn paused(&self, paused: bool) {
        self.paused.set(i64::from(paused));
    }

    /// Records counted so far by [`record`](Self::record).
    pub fn records_processed(&self) -> u64 {
        self.records.get()
    }

    /// Records that became dead letters and rows that failed in a step, as a share of all records.
    pub fn error_rate(&self) -> f64 {
        let failed: u64 = self
            .steps()
            .keys()
            .filter_map(|layer| {
                let labels = FateLabels { layer: layer.clone(), fate: fate::FAILED };
                self.rows.get(&labels).map(|counter| counter.get())
            })
            .sum();
        match self.records.get() {
            0 => 0.0,
            records => (self.dead_letters.get() + failed) as f64 / records as f64,
        }
    }

    /// All metrics as OpenMetrics text.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        if let Some(bytes) = resident_bytes() {
            self.resident.set(signed(bytes));
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

pub(super) fn registered<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

/// From 1 ms to a minute.
fn epoch_seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 17))
}

/// From a hundred to a hundred millions.
fn epoch_rows() -> Histogram {
    Histogram::new(exponential_buckets(100.0, 10.0, 7))
}

fn partition_labels(partition: &TopicPartition) -> PartitionLabels {
    PartitionLabels { topic: partition.topic.to_string(), partition: partition.partition }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The resident memory of this process, where the system tells it as Linux does.
pub fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounting() -> Accounting {
        let first = StepCounts {
            rows_in: 90,
            kept: 60,
            dropped: 20,
            rejected: [("range".to_owned(), 7), ("null".to_owned(), 1)].into(),
            failed: 2,
            ..StepCounts::default()
        };
        let second = StepCounts { rows_in: 60, late: 5, consumed: 55, made: 11, ..StepCounts::default() };
        let layer = LayerCounts { rows_in: 90, steps: vec![first, second], rows_out: 11 };
        Accounting { records: 100, dead_letters: 10, lost: 3, layers: [("silver".to_owned(), layer)].into() }
    }

    fn metrics() -> Metrics {
        Metrics::new([("silver".to_owned(), vec!["plausible".to_owned(), "window".to_owned()])].into())
    }

    fn assert_shows(metrics: &Metrics, lines: &[&str]) {
        let text = metrics.encode().unwrap();
        for line in lines {
            assert!(text.lines().any(|shown| shown == *line), "`{line}` is not in\n{text}");
        }
    }

    #[test]
    fn an_accounting_is_counted_by_fate_and_rule() {
        let metrics = metrics();
        metrics.record(&accounting());
        metrics.record(&accounting());
        assert_shows(
            &metrics,
            &[
                "sluicebox_records_total 200",
                "sluicebox_dead_letters_total 20",
                r#"sluicebox_rows_total{layer="silver",fate="kept"} 22"#,
                r#"sluicebox_rows_total{layer="silver",fate="dropped"} 40"#,
                r#"sluicebox_rows_total{layer="silver",fate="late"} 10"#,
                r#"sluicebox_rows_total{layer="silver",fate="rejected"} 16"#,
                r#"sluicebox_rows_total{layer="silver",fate="failed"} 4"#,
                r#"sluicebox_rows_total{layer="silver",fate="consumed"} 110"#,
                r#"sluicebox_rows_total{layer="silver",fate="made"} 22"#,
                r#"sluicebox_rejected_total{layer="silver",step="plausible",rule="range"} 14"#,
            ],
        );
        assert_eq!(metrics.records_processed(), 200);
        assert!((metrics.error_rate() - 0.12).abs() < 1e-12);
    }

    #[test]
    fn the_rest_is_shown_under_its_name() {
        let metrics = metrics();
        assert!(metrics.error_rate().abs() < f64::EPSILON);
        metrics.sink_rows("silver.quarantine", 8);
        metrics.sink_applied("silver", 41);
        metrics.sink_backlog("silver", 2, 5000, Duration::from_millis(1500));
        metrics.plugins.recycled("silver", "plausible");
        metrics.plugins.counted("silver", "plausible", "warned", 3);
        metrics.plugins.gauge("silver", "plausible", "load", 0.5);
        metrics.shadows.rows("silver", "plausible", "different", 7);
        metrics.shadows.took("silver", "plausible", "comparison", Duration::from_millis(250));
        metrics.ledger_entry(43);
        metrics.epoch_phase(Phase::Entry, Duration::from_millis(3));
        metrics.epoch_rows(5000);
        metrics.lag(&TopicPartition::new("events", 3), 17);
        metrics.watermark(1_795_219_200_500_000);
        metrics.paused(true);
        metrics.plugins.called("silver", "plausible", Duration::from_micros(50));
        assert_shows(
            &metrics,
            &[
                r#"sluicebox_sink_rows_total{sink="silver.quarantine"} 8"#,
                r#"sluicebox_sink_mark{sink="silver"} 41"#,
                r#"sluicebox_unapplied_entries{sink="silver"} 2"#,
                r#"sluicebox_unapplied_bytes{sink="silver"} 5000"#,
                r#"sluicebox_unapplied_seconds{sink="silver"} 1.5"#,
                r#"sluicebox_plugin_recycled_total{layer="silver",step="plausible"} 1"#,
                r#"sluicebox_plugin_count_total{layer="silver",step="plausible",name="warned"} 3"#,
                r#"sluicebox_plugin_gauge{layer="silver",step="plausible",name="load"} 0.5"#,
                r#"sluicebox_shadow_rows_total{layer="silver",step="plausible",result="different"} 7"#,
                r#"sluicebox_shadow_seconds_total{layer="silver",step="plausible",part="comparison"} 0.25"#,
                "sluicebox_ledger_entry 43",
                r#"sluicebox_epoch_seconds_count{phase="entry"} 1"#,
                "sluicebox_epoch_rows_sum 5000.0",
                r#"sluicebox_lag{topic="events",partition="3"} 17"#,
                "sluicebox_watermark_seconds 1795219200.5",
                "sluicebox_paused 1",
                r#"sluicebox_plugin_seconds_count{layer="silver",step="plausible"} 1"#,
            ],
        );
        metrics.partition_revoked(&TopicPartition::new("events", 3));
        assert!(!metrics.encode().unwrap().contains(r#"topic="events""#));
    }

    #[test]
    fn resident_memory_is_that_of_the_process() {
        let before = resident_bytes().unwrap();
        let ballast = vec![1u8; 64 << 20];
        assert!(resident_bytes().unwrap() >= before + (32 << 20), "{}", ballast.len());
    }
}
