//! The metrics of reference tables.

use std::sync::atomic::AtomicU64;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::metrics::registered;
use super::names;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabels {
    layer: String,
    step: String,
}

pub struct ReferenceMetrics {
    rows: Family<StepLabels, Gauge>,
    since: Family<StepLabels, Gauge<f64, AtomicU64>>,
    failures: Family<StepLabels, Counter>,
}

impl ReferenceMetrics {
    pub(super) fn new(at: &mut Registry) -> Self {
        Self {
            rows: registered(
                at,
                names::REFERENCE_ROWS,
                "Rows of the reference table in use",
                Family::default(),
            ),
            since: registered(
                at,
                names::REFERENCE_SINCE_SECONDS,
                "Since when the version of the reference table is in use, seconds since the Unix epoch",
                Family::default(),
            ),
            failures: registered(
                at,
                names::REFERENCE_FAILURES,
                "Reference tables that could not be read or used anew",
                Family::default(),
            ),
        }
    }

    /// A version of the table is in use from now on.
    pub fn in_use(&self, layer: &str, step: &str, rows: usize) {
        let labels = labels(layer, step);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.rows.get_or_create(&labels).set(i64::try_from(rows).unwrap_or(i64::MAX));
        self.since.get_or_create(&labels).set(now.as_secs_f64());
        // Shown from the start, so that an alert sees the first failure.
        self.failures.get_or_create(&labels).inc_by(0);
    }

    /// The table could not be read, or not be used: the version before goes on.
    pub fn failed(&self, layer: &str, step: &str) {
        self.failures.get_or_create(&labels(layer, step)).inc();
    }
}

fn labels(layer: &str, step: &str) -> StepLabels {
    StepLabels { layer: layer.to_owned(), step: step.to_owned() }
}
