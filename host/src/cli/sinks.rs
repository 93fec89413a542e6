//! The sinks of a pipeline, and where their rows live.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use async_trait::async_trait;
use object_store::ObjectStore;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use tracing::warn;
use url::Url;
use uuid::Uuid;

use super::stores::{state_store, store_options};
use crate::config::{self, Loaded, Target};
use crate::ledger::entry::Configuration;
use crate::ledger::{Ledger, LedgerState};
use crate::pipeline::TaskPlan;
use crate::pipeline::blueprint::TableSpec;
use crate::pipeline::outputs::SinkLayout;
use crate::pipeline::worker::{OpenSinks, WorkerError};
use crate::sink::delta::{self, DeltaApplier, DeltaSettings, DeltaStorage, Mode, RowKey, TableView};
use crate::sink::files::{self, FilesApplier, FilesSettings, FolderView};
use crate::sink::kafka::{
    self, Connection, KafkaApplier, KafkaCluster, KafkaSinkSettings, Mark, MessageSettings,
};
use crate::sink::rows::{Compression, Encoding, FileFormat};
use crate::sink::{SinkApplier, SinkError};
use crate::storage;

/// The folder of messages at the state location.
const MESSAGES: &str = "messages";

/// Bytes of the files of dead letters and quarantines.
const SIDE_FILE_SIZE: usize = 128 << 20;
/// Bytes of the files in which messages wait: each is read as a whole.
const MESSAGE_FILE_SIZE: usize = 16 << 20;

/// The dead letters first: the tree wants it so.
pub fn sinks_in_order(pipeline: &Loaded) -> impl Iterator<Item = &config::Sink> {
    let (dead_letters, others): (Vec<_>, Vec<_>) =
        pipeline.sinks.iter().partition(|sink| sink.kind == config::SinkKind::DeadLetters);
    dead_letters.into_iter().chain(others)
}

pub fn table_spec(pipeline: &Loaded, sink: &config::Sink) -> TableSpec {
    let format = match sink.target {
        Target::Delta { .. } | Target::Kafka(_) => FileFormat::TABLE,
        Target::Files { format, compression, .. } => file_format(format, compression),
    };
    let file_size = match (&sink.target, pipeline.pipeline.layers.get(&sink.name)) {
        (Target::Kafka(_), _) => MESSAGE_FILE_SIZE,
        (_, Some(layer)) => layer.sink.file_size.as_usize(),
        (_, None) => SIDE_FILE_SIZE,
    };
    match pipeline.pipeline.layers.get(&sink.name) {
        Some(layer) => TableSpec {
            mode: row_key(&layer.sink).map_or(Mode::Append, Mode::Upsert),
            partition_by: layer.sink.partition_by.clone(),
            file_size,
            format,
        },
        None => TableSpec { mode: Mode::Append, partition_by: Vec::new(), file_size, format },
    }
}

fn file_format(format: config::FileFormat, compression: config::Compression) -> FileFormat {
    FileFormat {
        encoding: match format {
            config::FileFormat::Parquet => Encoding::Parquet,
            config::FileFormat::JsonLines => Encoding::JsonLines,
            config::FileFormat::Csv => Encoding::Csv,
        },
        compression: match compression {
            config::Compression::None => Compression::None,
            config::Compression::Gzip => Compression::Gzip,
            config::Compression::Zstd => Compression::Zstd,
            config::Compression::Snappy => Compression::Snappy,
        },
    }
}

/// What names a row of the sink's table, if it is kept by key.
pub fn row_key_of(pipeline: &Loaded, sink: &str) -> Option<RowKey> {
    row_key(&pipeline.pipeline.layers.get(sink)?.sink)
}

pub fn row_key(sink: &config::LayerSink) -> Option<RowKey> {
    let order_by = sink.order_by.clone().filter(|_| sink.mode == config::Mode::Upsert)?;
    Some(RowKey { columns: sink.key.clone(), order_by })
}

/// How rows become the messages of a topic.
pub fn message_settings(kafka: &config::KafkaSink) -> MessageSettings {
    MessageSettings {
        key: kafka.key.clone(),
        partition_by: kafka.partition_by.clone(),
        headers: kafka.headers.iter().map(|(name, column)| (name.clone(), column.clone())).collect(),
        max_bytes: kafka.max_message.as_usize(),
    }
}

fn connection(pipeline: &Loaded, sink: &str, kafka: &config::KafkaSink) -> Connection {
    let (brokers, settings) = kafka.reached(pipeline.pipeline.source.kafka.as_ref());
    let settings = settings.into_iter();
    Connection {
        brokers: brokers.to_owned(),
        overrides: settings.map(|(name, value)| (name.to_owned(), value.expose().to_owned())).collect(),
        pipeline: pipeline.pipeline.id.clone(),
        sink: sink.to_owned(),
        topic: kafka.topic.clone(),
        partitions: kafka.partitions.map(|partitions| i32::try_from(partitions).unwrap_or(i32::MAX)),
        max_message_bytes: kafka.max_message.as_usize(),
    }
}

/// Where a sink's rows live.
#[derive(Clone)]
pub enum SinkStorage {
    Delta {
        storage: DeltaStorage,
        location: Url,
        accept_version: Option<u64>,
    },
    Files {
        folder: Arc<dyn ObjectStore>,
        location: String,
    },
    /// Messages wait in a folder at the state location.
    Kafka {
        folder: Arc<dyn ObjectStore>,
        connection: Box<Connection>,
    },
}

/// What is there.
pub enum SinkView {
    Table(TableView),
    Folder(FolderView),
    /// What the topic's mark says.
    Topic(Mark),
}

impl SinkStorage {
    /// The store with the sink's folder as its root.
    pub fn folder(&self) -> Arc<dyn ObjectStore> {
        match self {
            Self::Delta { storage, .. } => storage.table_store(),
            Self::Files { folder, .. } | Self::Kafka { folder, .. } => folder.clone(),
        }
    }

    /// `None` where nothing is yet. Of tables, up to so many rows are read.
    pub async fn view(&self, pipeline: &str, sink: &str, rows: usize) -> Result<Option<SinkView>> {
        Ok(match self {
            Self::Delta { storage, .. } => {
                delta::inspect(storage, pipeline, sink, rows).await?.map(SinkView::Table)
            }
            Self::Files { folder, location } => {
                files::inspect(folder.clone(), location).await?.map(SinkView::Folder)
            }
            Self::Kafka { connection, .. } => {
                let look = kafka::inspect(connection).await?;
                look.and_then(|look| look.mark).map(SinkView::Topic)
            }
        })
    }

    async fn ledger_of_mark(&self, pipeline: &str, sink: &str) -> Result<Option<Uuid>> {
        Ok(match self {
            Self::Delta { storage, .. } => delta::ledger_of_mark(storage, pipeline, sink).await?,
            Self::Files { folder, location } => {
                files::ledger_of_mark(folder.clone(), location, pipeline, sink).await?
            }
            Self::Kafka { connection, .. } => {
                kafka::inspect(connection).await?.and_then(|look| look.mark).map(|mark| mark.ledger)
            }
        })
    }
}

/// The ledger that the sinks' marks name, if any of them has one.
pub async fn ledger_of_marks(pipeline: &Loaded, storages: &[SinkStorage]) -> Result<Option<Uuid>> {
    for (sink, storage) in sinks_in_order(pipeline).zip(storages) {
        let named = storage.ledger_of_mark(&pipeline.pipeline.id, &sink.name).await;
        if let Some(ledger) = named.with_context(|| sink.name.clone())? {
            return Ok(Some(ledger));
        }
    }
    Ok(None)
}

/// Of all sinks, in their order.
pub fn storages(pipeline: &Loaded) -> Result<Vec<SinkStorage>> {
    let options = store_options(pipeline)?;
    let open = |sink: &config::Sink| -> Result<SinkStorage> {
        Ok(match &sink.target {
            Target::Delta { location, accept_version } => {
                let location = location.url();
                let root = storage::open_root(&location, &options)?;
                let storage = DeltaStorage::new(root, &location)?;
                SinkStorage::Delta { storage, location, accept_version: *accept_version }
            }
            Target::Files { location, .. } => SinkStorage::Files {
                folder: storage::open_folder(&location.url(), &options)?,
                location: location.to_string(),
            },
            Target::Kafka(kafka) => SinkStorage::Kafka {
                folder: Arc::new(PrefixStore::new(
                    state_store(pipeline)?,
                    Path::from_iter([MESSAGES, &sink.name]),
                )),
                connection: Box::new(connection(pipeline, &sink.name, kafka)),
            },
        })
    };
    sinks_in_order(pipeline).map(|sink| open(sink).with_context(|| sink.name.clone())).collect()
}

/// How long brokers that do not answer are asked again.
const PATIENCE: Duration = Duration::from_secs(120);
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(1);

/// Brokers restart, also while a running pipeline takes up a changed file.
async fn open_topic(
    settings: KafkaSinkSettings,
    connection: &Connection,
    folder: &Arc<dyn ObjectStore>,
) -> Result<KafkaApplier, SinkError> {
    let begun = Instant::now();
    loop {
        let opened = match KafkaCluster::connect(connection.clone()).await {
            Ok(cluster) => KafkaApplier::open(settings.clone(), folder.clone(), Box::new(cluster)).await,
            Err(error) => Err(settings.failed(error)),
        };
        match opened {
            Err(SinkError::Unavailable(why)) if begun.elapsed() < PATIENCE => {
                warn!(sink = settings.sink, why, "the sink cannot be opened; trying again");
                tokio::time::sleep(BETWEEN_ATTEMPTS).await;
            }
            opened => return opened,
        }
    }
}

/// Opens the tables, folders and topics of a pipeline, or creates them.
pub struct PipelineSinks {
    pub pipeline: String,
    pub ledger: Ledger,
    pub sinks: Vec<config::Sink>,
    /// For each sink.
    pub specs: Vec<TableSpec>,
    pub storages: Vec<SinkStorage>,
    pub configuration: Configuration,
}

#[async_trait]
impl OpenSinks for PipelineSinks {
    async fn open(&mut self, plan: &TaskPlan) -> Result<Vec<(String, Box<dyn SinkApplier>)>, WorkerError> {
        let state = self.ledger.state();
        let mut appliers = Vec::new();
        let sinks = self.sinks.iter().zip(&self.specs).zip(&self.storages);
        for (((sink, spec), storage), layout) in sinks.zip(plan.layouts.iter()) {
            let applier = self.open_sink(&state, sink, spec, storage, layout).await;
            let applier = applier
                .map_err(|error| WorkerError::Sink { sink: sink.name.clone(), what: error.to_string() })?;
            appliers.push((sink.name.clone(), applier));
        }
        Ok(appliers)
    }
}

impl PipelineSinks {
    async fn open_sink(
        &self,
        state: &LedgerState,
        sink: &config::Sink,
        spec: &TableSpec,
        storage: &SinkStorage,
        layout: &SinkLayout,
    ) -> Result<Box<dyn SinkApplier>, SinkError> {
        let known = state.sinks.get(&sink.name);
        let start = known.map_or(0, |sink| sink.since);
        let record = known.and_then(|sink| sink.record.clone());
        Ok(match storage {
            SinkStorage::Delta { storage, location, accept_version } => {
                let settings = DeltaSettings {
                    mode: spec.mode.clone(),
                    file_size: spec.file_size,
                    configuration: self.configuration.digest.clone(),
                    plugins: self.configuration.plugins.clone(),
                    accept_version: *accept_version,
                    record,
                    ..DeltaSettings::new(&self.pipeline, &sink.name, location.clone(), state.ledger, start)
                };
                Box::new(DeltaApplier::open(settings, storage, &layout.partitioning).await?)
            }
            SinkStorage::Files { folder, location } => {
                let settings = FilesSettings {
                    record,
                    ..FilesSettings::new(&self.pipeline, &sink.name, location, state.ledger, start)
                };
                Box::new(FilesApplier::open(settings, folder.clone()).await?)
            }
            SinkStorage::Kafka { folder, connection } => {
                let settings = KafkaSinkSettings {
                    pipeline: self.pipeline.clone(),
                    sink: sink.name.clone(),
                    topic: connection.topic.clone(),
                    ledger: state.ledger,
                    start,
                    max_message_bytes: connection.max_message_bytes,
                    record,
                };
                Box::new(open_topic(settings, connection, folder).await?)
            }
        })
    }
}
