//! Ledger entries to transactions.

use std::sync::Arc;

use async_trait::async_trait;
use object_store::ObjectStore;
use uuid::Uuid;

use super::cluster::{Cluster, ClusterError, Look};
use super::mark::{FORMAT, Mark};
use super::staged::{StagedError, StagedFiles};
use crate::crash;
use crate::ledger::entry::{Entry, EntryNumber, SinkRecord, TableVersion};
use crate::sink::{Applied, SinkApplier, SinkError, SinkMark};

/// Messages of entries that one transaction takes well.
const MESSAGES_AT_ONCE: u64 = 500_000;

/// One topic, and how it is followed.
#[derive(Debug, Clone)]
pub struct KafkaSinkSettings {
    /// The pipeline's id, not its file's name.
    pub pipeline: String,
    pub sink: String,
    /// The topic, for messages.
    pub topic: String,
    /// Where the ledger is, and the entry at which this sink starts if it has no mark.
    pub ledger: Uuid,
    pub start: EntryNumber,
    /// Bytes of the largest message.
    pub max_message_bytes: usize,
    /// What the ledger last recorded of the sink, if anything: one that was there is not begun again.
    pub record: Option<SinkRecord>,
}

/// Applies entries to a topic: their messages and the mark in one transaction.
pub struct KafkaApplier {
    settings: KafkaSinkSettings,
    cluster: Box<dyn Cluster>,
    files: StagedFiles,
    /// As it was last seen.
    mark: Mark,
    /// Whether the sink was taken over, and nothing went wrong since.
    owns: bool,
}

impl KafkaApplier {
    /// Takes up the sink, or begins it. Refuses one that is not the one that it was.
    pub async fn open(
        settings: KafkaSinkSettings,
        store: Arc<dyn ObjectStore>,
        mut cluster: Box<dyn Cluster>,
    ) -> Result<Self, SinkError> {
        let look = cluster.look().await.map_err(|error| settings.failed(error))?;
        let owns = look.mark.is_none();
        let mark = match owns {
            true => take_over(&settings, &mut *cluster).await?,
            false => settings.judge(look)?,
        };
        let (topic, max_message_bytes) = (settings.topic.clone(), settings.max_message_bytes);
        let files = StagedFiles { store, topic, max_message_bytes };
        Ok(Self { settings, cluster, files, mark, owns })
    }

    /// Takes the sink over. `false` if its mark is not the one that was seen: then somebody else had more to say.
    async fn take_over(&mut self) -> Result<bool, SinkError> {
        let mark = take_over(&self.settings, &mut *self.cluster).await?;
        self.owns = true;
        let is_as_seen = mark == self.mark;
        self.mark = mark;
        Ok(is_as_seen)
    }

    async fn send(&mut self, entries: &[Arc<Entry>], to: EntryNumber) -> Result<Mark, SendError> {
        self.cluster.begin().await?;
        for entry in entries {
            let files = entry.part_of(&self.settings.sink).into_iter().flat_map(|part| &part.files);
            for file in files {
                for messages in self.files.open(entry.number, file).await? {
                    self.cluster.send(messages.map_err(StagedError::from)?).await?;
                }
            }
        }
        crash::sink_point("before_commit", &self.settings.sink);
        let mark = Mark { entry: to, ..self.mark.clone() };
        self.cluster.commit(&mark).await?;
        crash::sink_point("after_commit", &self.settings.sink);
        Ok(mark)
    }
}

#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Staged(#[from] StagedError),
}

impl KafkaSinkSettings {
    fn known_id(&self) -> Option<&str> {
        self.record.as_ref()?.table.id.as_deref()
    }

    pub fn failed(&self, error: ClusterError) -> SinkError {
        match error {
            ClusterError::Refused(what) => self.refused(&what),
            error => SinkError::Unavailable(format!("topic `{}`: {error}", self.topic)),
        }
    }

    fn refused(&self, what: &str) -> SinkError {
        SinkError::Refused(format!("topic `{}`: {what}", self.topic))
    }

    /// The mark, which must be as the ledger has it.
    fn judge(&self, look: Look) -> Result<Mark, SinkError> {
        const NEW_NAME: &str = "give the sink another name, under which it starts at the ledger's newest entry, to go on \
                                with what is there";
        let refuse = |what: &str| Err(self.refused(what));
        let Some(mark) = look.mark else { return refuse(&format!("the sink's mark is gone; {NEW_NAME}")) };
        if mark.format != FORMAT {
            return refuse(&format!(
                "the sink's mark has layout {}, and this version knows {FORMAT}: run the version that wrote it",
                mark.format
            ));
        }
        if (&mark.pipeline, &mark.sink) != (&self.pipeline, &self.sink) {
            return refuse(&format!(
                "the mark is that of sink `{}` of pipeline `{}`: somebody else writes to this sink's marks",
                mark.sink, mark.pipeline
            ));
        }
        if self.known_id().is_some_and(|known| known != mark.id.to_string()) {
            return refuse(&format!("the sink's marks were deleted and begun anew; {NEW_NAME}"));
        }
        if mark.topic != self.topic {
            return refuse(&format!(
                "the sink's messages are in topic `{}` so far: name that one again, or {NEW_NAME}",
                mark.topic
            ));
        }
        match (&mark.topic_id, &look.topic) {
            (Some(was), Some(is)) if was != is => refuse(&format!(
                "it was deleted and created again (its id is {is} and was {was}), so that the messages of earlier entries \
                 are gone; {NEW_NAME}"
            )),
            _ => Ok(mark),
        }
    }
}

/// Shuts out whoever wrote to the sink before. Then its mark is the truth; it is written if there never was one.
async fn take_over(settings: &KafkaSinkSettings, cluster: &mut dyn Cluster) -> Result<Mark, SinkError> {
    let failed = |error| settings.failed(error);
    cluster.take_over().await.map_err(failed)?;
    let look = cluster.look().await.map_err(failed)?;
    if look.mark.is_some() || settings.known_id().is_some() {
        return settings.judge(look);
    }
    let first = Mark {
        format: FORMAT,
        id: Uuid::new_v4(),
        pipeline: settings.pipeline.clone(),
        sink: settings.sink.clone(),
        ledger: settings.ledger,
        entry: settings.start,
        topic: settings.topic.clone(),
        topic_id: look.topic,
    };
    let begun = match cluster.begin().await {
        Ok(()) => cluster.commit(&first).await,
        Err(error) => Err(error),
    };
    match begun {
        Ok(()) => Ok(first),
        // By another worker, which starts at the same time, and may not have written its mark yet.
        Err(ClusterError::Fenced) => match cluster.look().await.map_err(failed)? {
            look if look.mark.is_some() => settings.judge(look),
            _ => Err(failed(ClusterError::Fenced)),
        },
        Err(error) => Err(failed(error)),
    }
}

#[async_trait]
impl SinkApplier for KafkaApplier {
    fn recorded(&mut self, record: &SinkRecord) {
        self.settings.record = Some(record.clone());
    }

    fn table(&self) -> TableVersion {
        TableVersion { id: Some(self.mark.id.to_string()), version: None }
    }

    fn rows_at_once(&self) -> u64 {
        MESSAGES_AT_ONCE
    }

    async fn mark(&mut self) -> Result<SinkMark, SinkError> {
        let look = self.cluster.look().await.map_err(|error| self.settings.failed(error))?;
        let recorded = self.settings.record.as_ref().map_or(0, |record| record.mark);
        // What was committed a moment ago may not be seen yet. What we have committed ourselves we know; what others have,
        // once they are shut out.
        let known = look.mark.as_ref().map(|seen| match self.owns && seen.id == self.mark.id {
            true => seen.entry.max(self.mark.entry),
            false => seen.entry,
        });
        match known.filter(|known| *known >= recorded) {
            Some(entry) => self.mark = Mark { entry, ..self.settings.judge(look)? },
            None => drop(self.take_over().await?),
        }
        Ok(SinkMark { number: self.mark.entry, ledger: self.mark.ledger })
    }

    async fn apply(&mut self, entries: &[Arc<Entry>], to: EntryNumber) -> Result<Applied, SinkError> {
        let seen = self.mark.entry;
        if to <= seen || entries.iter().any(|entry| entry.number <= seen || entry.number > to) {
            return Ok(Applied::Busy);
        }
        if !self.owns && !self.take_over().await? {
            return Ok(Applied::Busy);
        }
        // Until all went well, it is not known any more.
        self.owns = false;
        match self.send(entries, to).await {
            Ok(mark) => {
                (self.mark, self.owns) = (mark, true);
                Ok(Applied::Done)
            }
            Err(SendError::Cluster(ClusterError::Fenced)) => Ok(Applied::Busy),
            Err(SendError::Cluster(error)) => Err(self.settings.failed(error)),
            Err(SendError::Staged(StagedError::Sink(error))) => Err(error),
            Err(SendError::Staged(StagedError::Gone(error))) => {
                let is_as_seen = self.take_over().await?;
                if is_as_seen { Err(error) } else { Ok(Applied::Busy) }
            }
        }
    }
}
