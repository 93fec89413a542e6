//! What the pipeline file says, in the words of the parts that it is said to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::config::{self, ByteSize};
use crate::decode::event_time::EventTimeSettings;
use crate::decode::{DecodeSettings, Policy};
use crate::generate::{Change, Field, Generator, GeneratorSettings, Share, Value};
use crate::pipeline::EpochLimits;
use crate::pipeline::backlog::BacklogLimits;
use crate::pipeline::event_clock::EventTimePlan;
use crate::pipeline::share_limit::ShareLimit;
use crate::pipeline::worker::WorkerSettings;
use crate::plugin::Limits;
use crate::source::generated::GeneratedSettings;
use crate::source::kafka::{BatchLimits, KafkaSettings};
use crate::source::{SourceSettings, StartPosition};

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

pub fn source_settings(pipeline: &config::Pipeline) -> Result<SourceSettings> {
    let source = &pipeline.source;
    match (&source.kafka, &source.generate) {
        (Some(kafka), _) => Ok(SourceSettings::Kafka(kafka_settings(pipeline, kafka))),
        (None, Some(generate)) => {
            let generator = Generator::new(generator_settings(generate)).context("source.generate")?;
            Ok(SourceSettings::Generated(GeneratedSettings {
                generator: Arc::new(generator),
                rate: generate.rate,
                batch_rows: source.batch.rows as usize,
                batch_bytes: source.batch.bytes.as_usize(),
                batch_time: source.batch.time.into(),
            }))
        }
        (None, None) => bail!("the pipeline has no source"),
    }
}

pub fn generator_settings(generate: &config::Generate) -> GeneratorSettings {
    const FIRST_OF_2026_US: i64 = 1_767_225_600_000_000;
    let fields = generate.fields.iter().map(|(name, of)| (name.clone(), generated_field(of)));
    let changes = generate.changes.iter().map(|change| {
        let fields = change.fields.iter();
        let fields = fields.map(|(name, of)| (name.clone(), of.as_ref().map(generated_field)));
        Change { after: change.after, fields: fields.collect() }
    });
    GeneratorSettings {
        seed: generate.seed,
        partitions: generate.partitions,
        records: generate.records,
        start_us: generate.start.map_or(FIRST_OF_2026_US, |start| start.as_milliseconds() * 1000),
        step_us: generate.step.as_microseconds(),
        malformed: Share::new(generate.malformed),
        duplicates: Share::new(generate.duplicates),
        key: generate.key.clone(),
        fields: fields.collect(),
        changes: changes.collect(),
    }
}

/// The pipeline file was checked: exactly one kind of value is given.
fn generated_field(field: &config::GeneratedField) -> Field {
    let skew = field.skew.unwrap_or_default();
    let value = if field.id {
        Value::Id
    } else if let Some(time) = field.time {
        Value::Time { late: Share::new(time.late), late_by_us: time.by.as_microseconds() }
    } else if let Some([min, max]) = field.integer {
        Value::Integer { min, max }
    } else if let Some([min, max]) = field.number {
        Value::Number { min, max, decimals: field.decimals.unwrap_or(2) }
    } else if let Some(share) = field.boolean {
        Value::Boolean { share: Share::new(share) }
    } else if let Some(values) = &field.one_of {
        Value::OneOf { values: values.clone(), skew }
    } else if let Some(pattern) = &field.name {
        Value::Name { pattern: pattern.clone(), of: field.of.unwrap_or(1), skew }
    } else if let Some([min, max]) = field.text {
        Value::Text { min, max }
    } else {
        Value::Sequence
    };
    Field { value, missing: Share::new(field.missing), null: Share::new(field.nulls), count: field.count }
}

pub fn kafka_settings(pipeline: &config::Pipeline, kafka: &config::KafkaSource) -> KafkaSettings {
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

pub fn worker_settings(pipeline: &config::Pipeline, until_caught_up: bool) -> Result<WorkerSettings> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if until_caught_up && pipeline.source.generate.as_ref().is_some_and(|generate| generate.records.is_none())
    {
        bail!("--until-caught-up: the records of `source.generate` have no end; give `records`");
    }
    Ok(WorkerSettings {
        source: source_settings(pipeline)?,
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
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pipeline_file_and_the_sandbox_have_the_same_defaults() {
        assert_eq!(limits(&config::StepLimits::default()), Limits::default());
    }
}
