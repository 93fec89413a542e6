//! What a worker tells of itself: metrics, a health document, logs. Updated per batch or epoch, never per
//! record.

mod health;
mod http;
mod logs;
mod metrics;
pub mod names;
mod plugin_metrics;
mod reference_metrics;
mod shadow_metrics;

pub use health::{Health, HealthDocument, Stage, Status};
pub use http::{HttpError, Server, serve};
pub use logs::{LogError, LogFormat, start_logs};
pub use metrics::{Metrics, Phase, resident_bytes};
