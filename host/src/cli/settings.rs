//! What the pipeline file says, in the words of the parts that it is said to.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::{self, ByteSize};
use crate::decode::event_time::EventTimeSettings;
use crate::decode::{DecodeSettings, Policy};
use crate::pipeline::EpochLimits;
use crate::pipeline::backlog::BacklogLimits;
use crate::pipeline::event_clock::EventTimePlan;
use crate::pipeline::share_limit::ShareLimit;
use crate::pipeline::worker::WorkerSettings;
use crate::plugin::Limits;
use crate::source::StartPosition;
use crate::source::kafka::{BatchLimits, KafkaSettings};

pub fn limits(limits: &config::StepLimits) -> Limits {
    let memory = limits.memory.as_usize();
    Limits {
        memory,
        recycle_memory: limits.recycle_memory.map_or(memory / 4 * 3, ByteSize::as_usize),
        cpu: limits.time.into(),
        wait: limits.wait.into(),
        output_bytes: limits.output.as_usize(),
        output_rows: limits.output_rows as usize,
        reason_bytes: limits.rejections.reason.as_usize(),
        log_bytes: limits.log_bytes.as_usize(),
        log_lines: limits.log_lines as usize,
        ..Limits::default()
    }
}

pub fn decode_settings(decode: &config::Decode) -> DecodeSettings {
    DecodeSettings {
        policy: match decode.policy {
            config::Policy::Merge => Policy::Merge,
            config::Policy::Rescue => Policy::Rescue,
            config::Policy::Strict => Policy::Strict,
        },
        max_columns: decode.max_columns as usize,
        max_depth: decode.max_depth as usize,
        max_record_bytes: decode.max_record_bytes.as_usize(),
    }
}

pub fn event_time_plan(event_time: &config::EventTime) -> EventTimePlan {
    EventTimePlan {
        path: event_time.column.split('.').map(str::to_owned).collect(),
        settings: EventTimeSettings {
            delay: event_time.delay.as_microseconds(),
            max_ahead: Some(event_time.max_ahead.as_microseconds()),
        },
        idle: event_time.idle.map(Duration::from),
    }
}

pub fn kafka_settings(pipeline: &config::Pipeline) -> KafkaSettings {
    let kafka = &pipeline.source.kafka;
    let batch = &pipeline.source.batch;
    KafkaSettings {
        brokers: kafka.brokers.clone(),
        topics: kafka.topics.clone(),
        group_id: format!("sluicebox-{}", pipeline.id),
        start: match kafka.start {
            config::Start::Earliest => StartPosition::Earliest,
            config::Start::Latest => StartPosition::Latest,
            config::Start::Timestamp(time) => StartPosition::Timestamp(time.as_milliseconds()),
        },
        skip_lost_offsets: kafka.on_lost_offsets == config::OnLostOffsets::Skip,
        overrides: kafka
            .settings
            .iter()
            .map(|(name, value)| (name.clone(), value.expose().to_owned()))
            .collect::<BTreeMap<_, _>>(),
        batch: BatchLimits {
            rows: batch.rows as usize,
            bytes: batch.bytes.as_usize(),
            time: batch.time.into(),
        },
        prefetch_bytes: pipeline.memory.in_flight.as_usize(),
    }
}

pub fn worker_settings(pipeline: &config::Pipeline, until_caught_up: bool) -> WorkerSettings {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    WorkerSettings {
        source: kafka_settings(pipeline),
        threads: pipeline.threads.map_or(cores, |threads| threads as usize),
        in_flight_bytes: pipeline.memory.in_flight.as_usize(),
        epoch_interval: pipeline.epoch.interval.into(),
        epoch_limits: EpochLimits { rows: pipeline.epoch.rows, bytes: pipeline.epoch.bytes.as_usize() },
        until_caught_up,
        backlog: BacklogLimits {
            entries: pipeline.backlog.entries,
            bytes: pipeline.backlog.bytes.as_bytes(),
            age: pipeline.backlog.age.into(),
            stop_after: pipeline.backlog.stop_after.into(),
        },
        failures: ShareLimit { max_share: pipeline.failures.max_share, min_rows: pipeline.failures.min_rows },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pipeline_file_and_the_sandbox_have_the_same_defaults() {
        assert_eq!(limits(&config::StepLimits::default()), Limits::default());
    }
}
