//! The health document.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, Ordering};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use super::metrics::Metrics;

/// Where a worker is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    Starting,
    Running,
    Stopping,
}

/// What a worker knows of its own health. Every method may be called from any thread.
pub struct Health {
    metrics: Arc<Metrics>,
    stage: AtomicU8,
    kafka_connected: AtomicBool,
    streaming_active: AtomicBool,
    behind: AtomicBool,
    failing: AtomicBool,
    /// Milliseconds since the Unix epoch; [`NEVER`] before the first batch.
    last_batch_ms: AtomicI64,
}

const NEVER: i64 = i64::MIN;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Starting,
    Ok,
    /// It runs, but Kafka is out of reach, epochs cannot be entered, or the sinks do not follow.
    Degraded,
    Stopping,
}

/// What `/health` shows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HealthDocument {
    pub status: Status,
    pub kafka_connected: bool,
    /// Partitions are assigned and being read.
    pub streaming_active: bool,
    /// When the last batch was processed (RFC 3339), if ever.
    pub last_batch_time: Option<String>,
    /// Records entered in the ledger since the worker started.
    pub records_processed: u64,
    /// Dead letters and failed rows over records.
    pub error_rate: f64,
}

impl Health {
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            stage: AtomicU8::new(Stage::Starting as u8),
            kafka_connected: AtomicBool::new(false),
            streaming_active: AtomicBool::new(false),
            behind: AtomicBool::new(false),
            failing: AtomicBool::new(false),
            last_batch_ms: AtomicI64::new(NEVER),
        }
    }

    pub fn set_stage(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Relaxed);
    }

    pub fn set_kafka_connected(&self, connected: bool) {
        self.kafka_connected.store(connected, Ordering::Relaxed);
    }

    pub fn set_streaming_active(&self, active: bool) {
        self.streaming_active.store(active, Ordering::Relaxed);
    }

    /// Whether sinks fall so far behind the ledger that the source had to be paused.
    pub fn set_behind(&self, behind: bool) {
        self.behind.store(behind, Ordering::Relaxed);
    }

    /// Whether the last epoch could not be entered.
    pub fn set_failing(&self, failing: bool) {
        self.failing.store(failing, Ordering::Relaxed);
    }

    /// A batch was processed at `now`, in milliseconds since the Unix epoch.
    pub fn batch_processed(&self, now_ms: i64) {
        self.last_batch_ms.store(now_ms, Ordering::Relaxed);
    }

    pub fn document(&self) -> HealthDocument {
        let kafka_connected = self.kafka_connected.load(Ordering::Relaxed);
        let last_batch = match self.last_batch_ms.load(Ordering::Relaxed) {
            NEVER => None,
            milliseconds => DateTime::<Utc>::from_timestamp_millis(milliseconds),
        };
        HealthDocument {
            status: self.status(kafka_connected),
            kafka_connected,
            streaming_active: self.streaming_active.load(Ordering::Relaxed),
            last_batch_time: last_batch.map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true)),
            records_processed: self.metrics.records_processed(),
            error_rate: self.metrics.error_rate(),
        }
    }

    fn status(&self, kafka_connected: bool) -> Status {
        let stage = self.stage.load(Ordering::Relaxed);
        if stage == Stage::Starting as u8 {
            Status::Starting
        } else if stage == Stage::Stopping as u8 {
            Status::Stopping
        } else if !kafka_connected
            || self.behind.load(Ordering::Relaxed)
            || self.failing.load(Ordering::Relaxed)
        {
            Status::Degraded
        } else {
            Status::Ok
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::progress::Accounting;

    #[test]
    fn the_document_follows_the_worker() {
        let metrics = Arc::new(Metrics::new(BTreeMap::new()));
        let health = Health::new(metrics.clone());
        assert_eq!(
            serde_json::to_value(health.document()).unwrap(),
            json!({
                "status": "starting", "kafka_connected": false, "streaming_active": false,
                "last_batch_time": null, "records_processed": 0, "error_rate": 0.0
            })
        );
        health.set_stage(Stage::Running);
        assert_eq!(health.document().status, Status::Degraded);
        health.set_kafka_connected(true);
        health.set_streaming_active(true);
        health.batch_processed(1_795_219_200_042);
        metrics.record(&Accounting { records: 8, dead_letters: 2, ..Accounting::default() });
        assert_eq!(
            serde_json::to_value(health.document()).unwrap(),
            json!({
                "status": "ok", "kafka_connected": true, "streaming_active": true,
                "last_batch_time": "2026-11-21T00:00:00.042Z", "records_processed": 8, "error_rate": 0.25
            })
        );
        health.set_behind(true);
        assert_eq!(health.document().status, Status::Degraded);
        health.set_stage(Stage::Stopping);
        assert_eq!(health.document().status, Status::Stopping);
    }
}
