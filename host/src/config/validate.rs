//! What the types alone cannot say: names, ranges, and what belongs together. Everything is checked, so
//! that one look at the messages is enough.

use std::collections::HashSet;

use super::error::DocumentPath;
use super::pipeline::{KafkaSource, Late, Layer, OnError, Pipeline, Step};
use super::step_limits::StepLimits;
use super::units::{ByteSize, Period};
use super::{generate, graph, reference, sink, sinks};
use crate::registry::Reference;

/// Columns that the host makes. They cannot be declared.
const HOST_COLUMNS: [&str; 7] =
    ["_topic", "_partition", "_offset", "_timestamp", "_key", "_watermark", "_rescued"];

/// Settings of librdkafka on which the guarantees hang.
const OWNED_SETTINGS: [&str; 7] = [
    "auto.offset.reset",
    "bootstrap.servers",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "group.id",
    "metadata.broker.list",
    "partition.assignment.strategy",
];

/// Far more than any machine has cores.
const MOST_THREADS: u32 = 1024;

/// What was found wrong, by place.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) list: Vec<(DocumentPath, String)>,
}

impl Findings {
    pub(super) fn add(&mut self, path: DocumentPath, message: impl Into<String>) {
        self.list.push((path, message.into()));
    }

    pub(super) fn expect(&mut self, holds: bool, path: DocumentPath, message: &str) {
        if !holds {
            self.add(path, message);
        }
    }

    pub(super) fn above_zero(&mut self, value: impl IsZero, path: DocumentPath) {
        self.expect(!value.is_zero(), path, "must be above zero");
    }

    fn share(&mut self, share: f64, path: DocumentPath) {
        self.expect(share > 0.0 && share <= 1.0, path, "must be above 0 and at most 1");
    }
}

pub(super) trait IsZero {
    fn is_zero(&self) -> bool;
}

impl IsZero for u32 {
    fn is_zero(&self) -> bool {
        *self == 0
    }
}

impl IsZero for u64 {
    fn is_zero(&self) -> bool {
        *self == 0
    }
}

impl IsZero for ByteSize {
    fn is_zero(&self) -> bool {
        self.as_bytes() == 0
    }
}

impl IsZero for Period {
    fn is_zero(&self) -> bool {
        self.as_milliseconds() == 0
    }
}

/// Checks everything but the locations, which [`sinks`] resolves and compares.
pub(super) fn check(pipeline: &Pipeline) -> Findings {
    let mut found = Findings::default();
    let root = DocumentPath::default();
    let id_fits = (1..=100).contains(&pipeline.id.len())
        && pipeline.id.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.'));
    found.expect(id_fits, root.key("id"), "an id is 1 to 100 of the characters a-z, 0-9, `-`, `_` and `.`");
    let (source, path) = (&pipeline.source, root.key("source"));
    let one = source.kafka.is_some() != source.generate.is_some();
    found.expect(one, path.clone(), "give one of `kafka` and `generate`");
    if let Some(kafka) = &source.kafka {
        check_kafka(kafka, &path.key("kafka"), &mut found);
    }
    if let Some(generate) = &source.generate {
        generate::check(generate, &path.key("generate"), &mut found);
    }
    check_limits(pipeline, &mut found);
    check_decode(pipeline, &mut found);
    let layers = root.key("layers");
    found.expect(!pipeline.layers.is_empty(), layers.clone(), "a pipeline needs at least one layer");
    for (name, layer) in &pipeline.layers {
        let path = layers.key(name);
        found.expect(
            is_name(name) && name != sinks::DEAD_LETTERS,
            path.clone(),
            "a layer's name starts with a letter and goes on with letters, digits, `-` and `_`; `dead_letters` is taken",
        );
        check_layer(layer, &path, pipeline, &mut found);
    }
    sink::check_side(&pipeline.dead_letters, &root.key("dead_letters"), &mut found);
    graph::check(pipeline, &mut found);
    found
}

fn check_kafka(kafka: &KafkaSource, path: &DocumentPath, found: &mut Findings) {
    check_brokers(&kafka.brokers, path.key("brokers"), found);
    let topics = path.key("topics");
    found.expect(!kafka.topics.is_empty(), topics.clone(), "give at least one topic");
    let mut seen = HashSet::new();
    for (index, topic) in kafka.topics.iter().enumerate() {
        check_topic(topic, topics.index(index), found);
        found.expect(seen.insert(topic), topics.index(index), "the topic is listed twice");
    }
    for name in kafka.settings.keys() {
        found.expect(
            !OWNED_SETTINGS.contains(&name.as_str()),
            path.key("settings").key(name),
            "Sluicebox sets this itself, because its guarantees hang on it: remove it (brokers go into `brokers`, \
             the group follows from `id`, the start from `start`)",
        );
    }
}

pub(super) fn check_brokers(brokers: &str, path: DocumentPath, found: &mut Findings) {
    found.expect(
        brokers.split(',').all(|broker| !broker.trim().is_empty()),
        path,
        "brokers are `host:port`, separated by commas",
    );
}

pub(super) fn check_topic(topic: &str, path: DocumentPath, found: &mut Findings) {
    let fits = (1..=249).contains(&topic.len())
        && topic.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    found.expect(fits, path, "a topic's name is 1 to 249 of the characters A-Z, a-z, 0-9, `.`, `_` and `-`");
}

fn check_limits(pipeline: &Pipeline, found: &mut Findings) {
    let root = DocumentPath::default();
    let (batch, path) = (&pipeline.source.batch, root.key("source").key("batch"));
    found.above_zero(batch.rows, path.key("rows"));
    found.above_zero(batch.bytes, path.key("bytes"));
    found.above_zero(batch.time, path.key("time"));
    let (epoch, path) = (&pipeline.epoch, root.key("epoch"));
    found.above_zero(epoch.interval, path.key("interval"));
    found.above_zero(epoch.rows, path.key("rows"));
    found.above_zero(epoch.bytes, path.key("bytes"));
    let (backlog, path) = (&pipeline.backlog, root.key("backlog"));
    found.above_zero(backlog.entries, path.key("entries"));
    found.above_zero(backlog.bytes, path.key("bytes"));
    found.above_zero(backlog.age, path.key("age"));
    found.expect(
        backlog.age <= backlog.stop_after,
        path.key("stop_after"),
        "must not be below `backlog.age`: the source is paused before the pipeline stops",
    );
    if let Some(capture) = &pipeline.capture {
        let path = root.key("capture");
        found.above_zero(capture.max_files, path.key("max_files"));
        found.above_zero(capture.max_bytes, path.key("max_bytes"));
    }
    if let Some(threads) = pipeline.threads {
        found.above_zero(threads, root.key("threads"));
        let most = MOST_THREADS;
        found.expect(threads <= most, root.key("threads"), &format!("must be at most {most}"));
    }
    found.expect(
        pipeline.memory.in_flight >= batch.bytes,
        root.key("memory").key("in_flight"),
        "must hold at least one batch: not below `source.batch.bytes`",
    );
    found.share(pipeline.failures.max_share, root.key("failures").key("max_share"));
}

fn check_decode(pipeline: &Pipeline, found: &mut Findings) {
    let (decode, path) = (&pipeline.decode, DocumentPath::default().key("decode"));
    found.above_zero(decode.max_columns, path.key("max_columns"));
    found.above_zero(decode.max_depth, path.key("max_depth"));
    found.above_zero(decode.max_record_bytes, path.key("max_record_bytes"));
    if let Some(columns) = &decode.schema {
        let path = path.key("schema");
        found.expect(
            columns.len() <= decode.max_columns as usize,
            path.clone(),
            "declares more columns than `decode.max_columns`",
        );
        for (name, data_type) in columns {
            let taken = name.is_empty() || HOST_COLUMNS.contains(&name.as_str());
            found.expect(!taken, path.key(name), "Sluicebox makes columns of this name itself");
            found.expect(!data_type.is_empty(), path.key(name), "give the column's type, as in `int64`");
        }
    }
    if let Some(event_time) = &pipeline.event_time {
        let path = DocumentPath::default().key("event_time");
        let declared = decode.schema.as_ref().is_none_or(|columns| columns.contains_key(&event_time.column));
        found.expect(declared, path.key("column"), "`decode.schema` has no such column");
        for (key, period) in [("idle", event_time.idle), ("max_ahead", Some(event_time.max_ahead))] {
            if let Some(period) = period {
                found.above_zero(period, path.key(key));
            }
        }
    }
}

fn check_layer(layer: &Layer, path: &DocumentPath, pipeline: &Pipeline, found: &mut Findings) {
    let mut names = HashSet::new();
    for (index, step) in layer.steps.iter().enumerate() {
        let path = path.key("steps").index(index);
        found.expect(
            names.insert(&step.name),
            path.key("name"),
            "another step of the layer has this name: give each its own",
        );
        check_step(step, &path, found);
        found.expect(
            step.on_error != OnError::Quarantine || layer.quarantine.is_some(),
            path.key("on_error"),
            "the layer has no `quarantine`: add one, or choose `dead_letter` or `stop`",
        );
    }
    if layer.late == Late::Quarantine {
        found.expect(
            layer.quarantine.is_some(),
            path.key("late"),
            "the layer has no `quarantine`: add one, or choose `drop`",
        );
        found.expect(
            pipeline.event_time.is_some(),
            path.key("late"),
            "nothing is late without event time: add `event_time`, or remove `late`",
        );
    }
    sink::check(&layer.sink, &path.key("sink"), pipeline, found);
    if let Some(quarantine) = &layer.quarantine {
        sink::check_side(quarantine, &path.key("quarantine"), found);
    }
}

fn check_step(step: &Step, path: &DocumentPath, found: &mut Findings) {
    found.expect(
        is_name(&step.name),
        path.key("name"),
        "a step's name starts with a letter and goes on with letters, digits, `-` and `_`",
    );
    check_component(&step.plugin, step.sha256.as_deref(), path, found);
    check_step_limits(&step.limits, &path.key("limits"), found);
    if let Some(table) = &step.reference {
        reference::check(table, &path.key("reference"), found);
    }
    if let Some(shadow) = &step.shadow {
        let path = path.key("shadow");
        check_component(&shadow.plugin, shadow.sha256.as_deref(), &path, found);
        if let Some(limits) = &shadow.limits {
            check_step_limits(limits, &path.key("limits"), found);
        }
        if let Some(samples) = &shadow.samples {
            let path = path.key("samples");
            found.expect(!samples.file.is_empty(), path.key("file"), "give the path of a file");
            found.above_zero(samples.each, path.key("each"));
            found.above_zero(samples.bytes, path.key("bytes"));
        }
    }
}

fn check_component(plugin: &str, sha256: Option<&str>, path: &DocumentPath, found: &mut Findings) {
    match plugin.parse::<Reference>() {
        Ok(_) => {}
        Err(error) if Reference::is_meant(plugin) => found.add(path.key("plugin"), error.to_string()),
        Err(_) => found.expect(
            is_name(plugin) || plugin.ends_with(".wasm"),
            path.key("plugin"),
            "give the name of a bundled plugin, the path of a component, ending in `.wasm`, or \
             `oci://registry/name:tag`",
        ),
    }
    if let Some(pin) = sha256 {
        let fits = pin.len() == 64 && pin.bytes().all(|byte| byte.is_ascii_hexdigit());
        found.expect(fits, path.key("sha256"), "a SHA-256 is 64 hexadecimal digits");
    }
}

fn check_step_limits(limits: &StepLimits, path: &DocumentPath, found: &mut Findings) {
    found.above_zero(limits.memory, path.key("memory"));
    found.expect(
        limits.recycle_memory.is_none_or(|recycle| recycle <= limits.memory),
        path.key("recycle_memory"),
        "must not be above `memory`",
    );
    found.above_zero(limits.time, path.key("time"));
    found.above_zero(limits.wait, path.key("wait"));
    found.above_zero(limits.output, path.key("output"));
    found.above_zero(limits.output_rows, path.key("output_rows"));
    let (rejections, path) = (&limits.rejections, path.key("rejections"));
    found.share(rejections.max_share, path.key("max_share"));
    found.above_zero(rejections.reason, path.key("reason"));
}

/// Names of layers, steps and bundled plugins: they become parts of sink names, paths and metric labels.
fn is_name(name: &str) -> bool {
    name.len() <= 100
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}
