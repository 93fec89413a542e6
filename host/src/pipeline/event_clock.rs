//! A task's event time: the running maximum that its watermark follows.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, RecordBatch, TimestampMicrosecondArray, new_null_array};
use arrow::datatypes::{Schema, TimestampMicrosecondType};
use arrow::error::ArrowError;

use crate::decode::event_time::{
    EventTimeError, EventTimeSettings, check_event_time, event_time_column, watermarks,
};
use crate::schema::timestamp_type;

/// How a pipeline's rows get their event time.
#[derive(Debug, Clone)]
pub struct EventTimePlan {
    /// The fields from the top, `["reading", "ts"]` for `reading.ts`.
    pub path: Vec<String>,
    pub settings: EventTimeSettings,
    /// After so long without a record, the clock follows the wall clock.
    pub idle: Option<Duration>,
}

impl EventTimePlan {
    pub fn check(&self, decoded: &Schema) -> Result<(), EventTimeError> {
        check_event_time(decoded, &self.path)
    }
}

/// The clock of one task. Without a plan rows have no event time, and there is no watermark.
#[derive(Debug)]
pub struct EventClock {
    plan: Option<Arc<EventTimePlan>>,
    max_event_time: Option<i64>,
    /// Wall clock of the last record, microseconds.
    last_record_us: i64,
    moved: bool,
}

impl EventClock {
    /// `max_event_time` is what the task's last entry says; all times in microseconds since the Unix epoch.
    pub fn new(plan: Option<Arc<EventTimePlan>>, max_event_time: Option<i64>, now_us: i64) -> Self {
        Self { plan, max_event_time, last_record_us: now_us, moved: false }
    }

    pub fn max_event_time(&self) -> Option<i64> {
        self.max_event_time
    }

    pub fn watermark(&self) -> Option<i64> {
        let delay = self.plan.as_ref()?.settings.delay;
        self.max_event_time.map(|max| max.saturating_sub(delay))
    }

    /// The rows' event times and their own watermarks, in this order. `timestamps` are the broker's.
    pub fn advance(
        &mut self,
        rows: &RecordBatch,
        timestamps: &ArrayRef,
        now_us: i64,
    ) -> Result<[ArrayRef; 2], ArrowError> {
        self.last_record_us = now_us;
        let Some(plan) = &self.plan else {
            let none = new_null_array(&timestamp_type(), rows.num_rows());
            return Ok([none.clone(), none]);
        };
        let times = event_time_column(rows, &plan.path)
            .map_err(|error| ArrowError::SchemaError(error.to_string()))?;
        let no_timestamps = TimestampMicrosecondArray::new_null(0);
        let timestamps = timestamps.as_primitive_opt::<TimestampMicrosecondType>().unwrap_or(&no_timestamps);
        let found = watermarks(&times, timestamps, self.max_event_time, plan.settings);
        self.max_event_time = found.max_event_time;
        Ok([Arc::new(times), Arc::new(found.watermark)])
    }

    /// Follows the wall clock if the task has been idle for long enough. Says whether the clock moved.
    pub fn advance_idle(&mut self, now_us: i64) -> bool {
        let idle = self.plan.as_ref().and_then(|plan| plan.idle);
        let Some(idle) = idle.and_then(|idle| i64::try_from(idle.as_micros()).ok()) else { return false };
        let is_idle = now_us.saturating_sub(self.last_record_us) >= idle;
        // Before the first event time there is nothing to close.
        if !is_idle || self.max_event_time.is_none_or(|max| max >= now_us) {
            return false;
        }
        self.max_event_time = Some(now_us);
        self.moved = true;
        true
    }

    /// Whether the clock moved without records since the last call.
    pub fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_task_follows_the_wall_clock_and_only_then() {
        let plan = EventTimePlan {
            path: vec!["ts".to_owned()],
            settings: EventTimeSettings { delay: 10, max_ahead: None },
            idle: Some(Duration::from_micros(100)),
        };
        let mut clock = EventClock::new(Some(Arc::new(plan)), Some(50), 1_000);
        assert!(!clock.advance_idle(1_099));
        assert_eq!(clock.watermark(), Some(40));
        assert!(clock.advance_idle(1_100));
        assert_eq!(clock.watermark(), Some(1_090));
        assert!(clock.take_moved() && !clock.take_moved());
    }
}
