//! Ledger entries to markers.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::Utc;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStore;
use object_store::path::Path;
use uuid::Uuid;

use super::marker::{FORMAT, Identity, Marker};
use super::markers::Markers;
use crate::crash;
use crate::ledger::entry::{DataFile, Entry, EntryNumber, SinkEntry, SinkRecord, TableVersion};
use crate::sink::rows::{InPlace, in_place, is_staged};
use crate::sink::{Applied, SinkApplier, SinkError, SinkMark};

const CHECKS_AT_ONCE: usize = 16;

/// One folder, and how it is followed.
#[derive(Debug, Clone)]
pub struct FilesSettings {
    /// The pipeline's id, not its file's name.
    pub pipeline: String,
    pub sink: String,
    /// The folder, for messages.
    pub location: String,
    /// Where the ledger is, and the entry at which this sink starts if the folder is new.
    pub ledger: Uuid,
    pub start: EntryNumber,
    /// What the ledger last recorded of the folder, if anything: one that was there is not begun again.
    pub record: Option<SinkRecord>,
    /// Entries older than this (milliseconds) have their files looked for before they are marked.
    pub verify_files_after_ms: i64,
}

impl FilesSettings {
    pub fn new(pipeline: &str, sink: &str, location: &str, ledger: Uuid, start: EntryNumber) -> Self {
        Self {
            pipeline: pipeline.to_owned(),
            sink: sink.to_owned(),
            location: location.to_owned(),
            ledger,
            start,
            record: None,
            verify_files_after_ms: 3_600_000,
        }
    }
}

/// Applies entries to a folder: a marker for each, in their order. What was applied is always all of some first
/// entries.
pub struct FilesApplier {
    settings: FilesSettings,
    markers: Markers,
    identity: Identity,
    mark: EntryNumber,
}

impl FilesApplier {
    /// Takes up the folder, or begins it. Refuses one that is another sink's, or not the one that it was.
    pub async fn open(settings: FilesSettings, store: Arc<dyn ObjectStore>) -> Result<Self, SinkError> {
        let markers = Markers::new(store, settings.location.clone());
        if markers.identity().await?.is_none() && known_id(&settings).is_none() {
            let identity = Identity {
                format: FORMAT,
                id: Uuid::new_v4(),
                pipeline: settings.pipeline.clone(),
                sink: settings.sink.clone(),
                ledger: settings.ledger,
                since: settings.start,
            };
            markers.put_identity(&identity).await?;
        }
        let identity = identity(&markers, &settings).await?;
        let mut applier = Self { settings, markers, mark: identity.since, identity };
        applier.refresh().await?;
        Ok(applier)
    }

    async fn refresh(&mut self) -> Result<(), SinkError> {
        self.identity = identity(&self.markers, &self.settings).await?;
        self.mark = self.markers.newest().await?.unwrap_or_default().max(self.identity.since);
        Ok(())
    }

    /// Files of entries that waited for long may have been taken for garbage and removed.
    async fn check_files(&self, parts: &[(&Entry, &SinkEntry)]) -> Result<(), SinkError> {
        let trusted_from = Utc::now().timestamp_millis() - self.settings.verify_files_after_ms;
        let mut checks = Vec::new();
        for (entry, part) in parts {
            if let Some(file) = part.files.iter().find(|file| is_staged(&file.path)) {
                return self.markers.refuse(&format!(
                    "`{}` of entry {} was written for a table that is kept by key: give the sink another name, under \
                     which it starts at the ledger's newest entry",
                    file.path, entry.number
                ));
            }
            if entry.written_at_ms < trusted_from {
                checks.extend(part.files.iter().map(|file| self.check_file(entry.number, file)));
            }
        }
        stream::iter(checks).buffer_unordered(CHECKS_AT_ONCE).try_collect().await
    }

    async fn check_file(&self, number: EntryNumber, file: &DataFile) -> Result<(), SinkError> {
        let path = Path::parse(&file.path).or_else(|error| self.markers.refuse(&error.to_string()))?;
        let found = in_place(&**self.markers.store(), &path, file.size).await;
        match found.map_err(|error| self.markers.unavailable(&format!("looking for `{path}`"), &error))? {
            InPlace::Whole => Ok(()),
            InPlace::OtherSize(bytes) => self.markers.refuse(&format!(
                "file `{path}` of entry {number} has {bytes} bytes, and was written with {}; restore it from a copy",
                file.size
            )),
            InPlace::Gone => self.markers.refuse(&format!(
                "file `{path}` of entry {number} is gone before the entry was applied: somebody removed it. Restore \
                 it from a copy, or skip the rows by giving the sink another name"
            )),
        }
    }
}

/// Reads whose folder it is, which must be as the ledger has it.
async fn identity(markers: &Markers, settings: &FilesSettings) -> Result<Identity, SinkError> {
    let Some(identity) = markers.identity().await? else {
        return markers.refuse(
            "the folder's markers are gone; put them back, or give the sink another name, under which it starts at the \
             ledger's newest entry",
        );
    };
    let FilesSettings { pipeline, sink, .. } = settings;
    if (&identity.pipeline, &identity.sink) != (pipeline, sink) {
        return markers.refuse(&format!(
            "the folder belongs to sink `{}` of pipeline `{}`: give each sink a folder of its own",
            identity.sink, identity.pipeline
        ));
    }
    if let Some(known) = known_id(settings)
        && known != identity.id.to_string()
    {
        return markers.refuse(
            "the folder was emptied and begun anew: put the old one back, or give the sink another name, under which it \
             starts at the ledger's newest entry",
        );
    }
    Ok(identity)
}

fn known_id(settings: &FilesSettings) -> Option<&str> {
    settings.record.as_ref()?.table.id.as_deref()
}

#[async_trait]
impl SinkApplier for FilesApplier {
    fn recorded(&mut self, record: &SinkRecord) {
        self.settings.record = Some(record.clone());
    }

    fn table(&self) -> TableVersion {
        TableVersion { id: Some(self.identity.id.to_string()), version: None }
    }

    async fn mark(&mut self) -> Result<SinkMark, SinkError> {
        self.refresh().await?;
        Ok(SinkMark { number: self.mark, ledger: self.identity.ledger })
    }

    async fn apply(&mut self, entries: &[Arc<Entry>], to: EntryNumber) -> Result<Applied, SinkError> {
        if to <= self.mark || entries.iter().any(|entry| entry.number <= self.mark || entry.number > to) {
            return Ok(Applied::Busy);
        }
        let sink = self.settings.sink.clone();
        let parts: Vec<(&Entry, &SinkEntry)> =
            entries.iter().filter_map(|entry| Some((entry.as_ref(), entry.part_of(&sink)?))).collect();
        self.check_files(&parts).await?;
        crash::sink_point("before_commit", &sink);
        for (entry, part) in parts {
            self.markers.put(&Marker::of(entry, part)).await?;
            self.mark = entry.number;
        }
        if self.mark < to {
            self.markers.put(&Marker::without_rows(self.settings.ledger, to)).await?;
            self.mark = to;
        }
        crash::sink_point("after_commit", &sink);
        Ok(Applied::Done)
    }
}
