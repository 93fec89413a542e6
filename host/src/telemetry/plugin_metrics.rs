//! The metrics of plugins: the host's of them, and their own.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::metrics::{Histograms, registered};
use super::names;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabels {
    layer: String,
    step: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OwnLabels {
    layer: String,
    step: String,
    name: String,
}

/// The names of a plugin's own metrics are bounded by the host, for each step.
pub struct PluginMetrics {
    seconds: Histograms<StepLabels>,
    recycled: Family<StepLabels, Counter>,
    counts: Family<OwnLabels, Counter>,
    gauges: Family<OwnLabels, Gauge<f64, AtomicU64>>,
}

impl PluginMetrics {
    pub(super) fn new(at: &mut Registry) -> Self {
        let seconds = Family::new_with_constructor(call_seconds as fn() -> Histogram);
        Self {
            seconds: registered(at, names::PLUGIN_SECONDS, "Time of one call of a plugin", seconds),
            recycled: registered(
                at,
                names::PLUGIN_RECYCLED,
                "Instances replaced because their memory had grown",
                Family::default(),
            ),
            counts: registered(
                at,
                names::PLUGIN_COUNT,
                "What plugins count, rows of epochs that were read again included",
                Family::default(),
            ),
            gauges: registered(
                at,
                names::PLUGIN_GAUGE,
                "Gauges of plugins, of whichever partition came last",
                Family::default(),
            ),
        }
    }

    pub fn called(&self, layer: &str, step: &str, took: Duration) {
        self.seconds.get_or_create(&step_labels(layer, step)).observe(took.as_secs_f64());
    }

    pub fn recycled(&self, layer: &str, step: &str) {
        self.recycled.get_or_create(&step_labels(layer, step)).inc();
    }

    /// The plugin added to a counter of its own.
    pub fn counted(&self, layer: &str, step: &str, name: &str, add: u64) {
        self.counts.get_or_create(&own_labels(layer, step, name)).inc_by(add);
    }

    /// A gauge of the plugin's own.
    pub fn gauge(&self, layer: &str, step: &str, name: &str, value: f64) {
        self.gauges.get_or_create(&own_labels(layer, step, name)).set(value);
    }
}

/// From 10 µs to 10 s.
fn call_seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.00001, 4.0, 11))
}

fn step_labels(layer: &str, step: &str) -> StepLabels {
    StepLabels { layer: layer.to_owned(), step: step.to_owned() }
}

fn own_labels(layer: &str, step: &str, name: &str) -> OwnLabels {
    OwnLabels { layer: layer.to_owned(), step: step.to_owned(), name: name.to_owned() }
}
