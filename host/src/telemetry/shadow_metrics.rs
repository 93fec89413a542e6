//! What came of shadows, and what they cost.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::metrics::registered;
use super::names;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    layer: String,
    step: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PartLabels {
    layer: String,
    step: String,
    part: &'static str,
}

pub struct ShadowMetrics {
    rows: Family<ResultLabels, Counter>,
    seconds: Family<PartLabels, Counter<f64, AtomicU64>>,
}

impl ShadowMetrics {
    pub(super) fn new(at: &mut Registry) -> Self {
        let rows = "Rows that a shadow was tried on, by how they compare, those of epochs that were read again included";
        Self {
            rows: registered(at, names::SHADOW_ROWS, rows, Family::default()),
            seconds: registered(
                at,
                names::SHADOW_SECONDS,
                "Time that a step's shadow and the comparison took",
                Family::default(),
            ),
        }
    }

    /// So many rows compare like this.
    pub fn rows(&self, layer: &str, step: &str, result: &'static str, rows: u64) {
        let labels = ResultLabels { layer: layer.to_owned(), step: step.to_owned(), result };
        self.rows.get_or_create(&labels).inc_by(rows);
    }

    /// What a batch took: the `plugin`, or the `comparison`.
    pub fn took(&self, layer: &str, step: &str, part: &'static str, took: Duration) {
        let labels = PartLabels { layer: layer.to_owned(), step: step.to_owned(), part };
        self.seconds.get_or_create(&labels).inc_by(took.as_secs_f64());
    }
}
