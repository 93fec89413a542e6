//! Where rows go, as the pipeline file says it.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::DocumentPath;
use super::kafka_sink::{self, KafkaSink};
use super::pipeline::Pipeline;
use super::units::ByteSize;
use super::validate::Findings;

/// Where a layer's rows go: one of `delta`, `files` and `kafka`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LayerSink {
    /// A Delta table: a path relative to this file, or a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<String>,
    /// A folder of files, and of markers that say which of them count: a path relative to this file, or a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<String>,
    /// A Kafka topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka: Option<KafkaSink>,
    /// Of `files`: `parquet` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<FileFormat>,
    /// Of `files`: `zstd` for Parquet, `none` for texts, unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
    /// Of `delta` and `files`: columns of the rows, or `date` and `hour`, which are derived from the event time (null where a row has
    /// none), or from the record's timestamp in a pipeline without `event_time`. The files do not hold them: their
    /// folders are named by them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partition_by: Vec<String>,
    /// Of `delta` and `files`: a data file is closed at about this size. With `mode: upsert` a file is rewritten as a whole for any row of it.
    #[serde(default = "default_file_size")]
    pub file_size: ByteSize,
    #[serde(default)]
    pub mode: Mode,
    /// The columns that name a row, for `mode: upsert`: not nested, no floats. A row that lacks one is rejected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<String>,
    /// The column whose largest value wins between rows of one key, for `mode: upsert`. A row without it is rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_by: Option<String>,
    /// Of `delta`: changes by others up to this version of the table are as intended: the way on after a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept_version: Option<u64>,
}

/// Where rows go beside the layers' own: dead letters, or a quarantine. One of `delta` and `files`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SideSink {
    /// A Delta table: a path relative to this file, or a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<String>,
    /// A folder of files, and of markers that say which of them count: a path relative to this file, or a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<String>,
    /// Of `files`: `parquet` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<FileFormat>,
    /// Of `files`: `zstd` for Parquet, `none` for texts, unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
    /// Of `delta`: changes by others up to this version of the table are as intended: the way on after a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept_version: Option<u64>,
}

fn default_file_size() -> ByteSize {
    ByteSize::mebibytes(128)
}

/// How rows enter a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    #[default]
    Append,
    /// A row replaces the row of the same `key`, unless that one is newer by `order_by`.
    Upsert,
}

/// What the files of a folder are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileFormat {
    #[default]
    Parquet,
    /// One JSON object a line: nulls are written, binary in base64.
    JsonLines,
    /// With a line of names. Nested columns have no place in it.
    Csv,
}

/// How the files of a folder are compressed: Parquet by its pages, texts as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    None,
    Gzip,
    Zstd,
    Snappy,
}

/// What says where rows go.
#[derive(Debug, Clone, Copy)]
pub(super) struct SinkPlace<'a> {
    pub delta: Option<&'a str>,
    pub files: Option<&'a str>,
    pub kafka: Option<&'a KafkaSink>,
    pub format: Option<FileFormat>,
    pub compression: Option<Compression>,
    pub accept_version: Option<u64>,
}

impl LayerSink {
    pub(super) fn place(&self) -> SinkPlace<'_> {
        let Self { delta, files, kafka, format, compression, accept_version, .. } = self;
        SinkPlace {
            delta: delta.as_deref(),
            files: files.as_deref(),
            kafka: kafka.as_ref(),
            format: *format,
            compression: *compression,
            accept_version: *accept_version,
        }
    }
}

impl SideSink {
    pub(super) fn place(&self) -> SinkPlace<'_> {
        let Self { delta, files, format, compression, accept_version } = self;
        SinkPlace {
            delta: delta.as_deref(),
            files: files.as_deref(),
            kafka: None,
            format: *format,
            compression: *compression,
            accept_version: *accept_version,
        }
    }
}

pub(super) fn check(sink: &LayerSink, path: &DocumentPath, pipeline: &Pipeline, found: &mut Findings) {
    let places =
        [sink.delta.is_some(), sink.files.is_some(), sink.kafka.is_some()].into_iter().filter(|given| *given);
    found.expect(places.count() == 1, path.clone(), "give one of `delta`, `files` and `kafka`");
    check_place(sink.place(), path, found);
    if let Some(kafka) = &sink.kafka {
        kafka_sink::check(kafka, &path.key("kafka"), pipeline, found);
        found.expect(
            sink.partition_by.is_empty(),
            path.key("partition_by"),
            "goes into `kafka`: there it chooses the partition of a message",
        );
    }
    found.above_zero(sink.file_size, path.key("file_size"));
    for (key, columns) in [("partition_by", &sink.partition_by), ("key", &sink.key)] {
        let mut seen = HashSet::new();
        for (index, column) in columns.iter().enumerate() {
            let new = !column.is_empty() && seen.insert(column);
            found.expect(new, path.key(key).index(index), "each column is named, and only once");
        }
    }
    match sink.mode {
        Mode::Upsert => {
            found.expect(sink.delta.is_some(), path.key("mode"), "`mode: upsert` goes with `delta`");
            found.expect(!sink.key.is_empty(), path.key("key"), "`mode: upsert` needs `key`");
            found.expect(
                sink.order_by.is_some(),
                path.key("order_by"),
                "`mode: upsert` needs `order_by`: it decides between rows of one key",
            );
        }
        Mode::Append => {
            found.expect(sink.key.is_empty(), path.key("key"), "`key` goes with `mode: upsert`");
            found.expect(
                sink.order_by.is_none(),
                path.key("order_by"),
                "`order_by` goes with `mode: upsert`",
            );
        }
    }
}

pub(super) fn check_side(sink: &SideSink, path: &DocumentPath, found: &mut Findings) {
    let one = sink.delta.is_some() != sink.files.is_some();
    found.expect(one, path.clone(), "give one of `delta` and `files`");
    check_place(sink.place(), path, found);
}

fn check_place(place: SinkPlace<'_>, path: &DocumentPath, found: &mut Findings) {
    for (key, is_given) in [("format", place.format.is_some()), ("compression", place.compression.is_some())]
    {
        found.expect(!is_given || place.files.is_some(), path.key(key), "goes with `files`");
    }
    found.expect(
        place.accept_version.is_none() || place.delta.is_some(),
        path.key("accept_version"),
        "goes with `delta`",
    );
}
