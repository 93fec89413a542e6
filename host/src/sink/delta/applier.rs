//! Ledger entries to commits.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::Utc;
use deltalake_core::kernel::{Action, MetadataExt, StructType};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStore;
use object_store::path::Path;

use super::changes::Changes;
use super::guard::Guard;
use super::log::{Commit, News, Put, State, TableLog};
use super::opening::{Opening, check_opened};
use super::row_key::Mode;
use super::schema::{grow, table_type};
use super::upsert::{self, Upsert};
use super::{DeltaSettings, DeltaStorage, actions, append, application_id};
use crate::crash;
use crate::ledger::entry::{DataFile, Entry, EntryNumber, SinkEntry, SinkRecord, TableVersion};
use crate::sink::rows::{InPlace, Partitioning, in_place, written_schema};
use crate::sink::{Applied, SinkApplier, SinkError, SinkMark};

const CHECKS_AT_ONCE: usize = 16;

/// Applies entries to a Delta table: what all entries of a call change, the schema that it needs and the mark in
/// one commit.
pub struct DeltaApplier {
    settings: DeltaSettings,
    log: TableLog,
    files: Arc<dyn ObjectStore>,
    guard: Guard,
    way: Way,
    /// The newest layout of rows that entries of this sink may have.
    rows: StructType,
    state: State,
    checkpoint_considered: u64,
}

/// How entries become changes of the table's files.
enum Way {
    Append,
    Upsert(Upsert),
}

impl DeltaApplier {
    /// Opens the table, or creates it with its mark in one commit. `partitioning` is that of the rows as the
    /// pipeline has them now. Fails with `Refused` if the table cannot take them, or is not what it was.
    pub async fn open(
        settings: DeltaSettings,
        storage: &DeltaStorage,
        partitioning: &Partitioning,
    ) -> Result<Self, SinkError> {
        let log = TableLog::new(storage, application_id(&settings.pipeline, &settings.sink));
        let (log, way) = match &settings.mode {
            Mode::Append => (log, Way::Append),
            Mode::Upsert(key) => {
                let way = Upsert::new(&settings, key.clone(), partitioning.clone(), storage.table_store());
                (log.following_files(key.columns.clone()), Way::Upsert(way))
            }
        };
        let partition_by = partitioning.columns().map(str::to_owned).collect();
        let guard = Guard::new(log.location(), &settings, partition_by);
        let rows =
            table_type(partitioning.table_schema()).or_else(|error| guard.refuse(&error.to_string()))?;
        let opening = Opening { settings: &settings, log: &log, guard: &guard, rows: &rows };
        let state = opening.open().await?;
        Ok(Self {
            checkpoint_considered: state.version,
            files: storage.table_store(),
            settings,
            log,
            guard,
            way,
            rows,
            state,
        })
    }

    /// The table as of the last call of `open`, `mark` or `apply`.
    fn record(&self) -> SinkRecord {
        SinkRecord { mark: self.number(), table: self.table() }
    }

    fn number(&self) -> EntryNumber {
        self.state.mark.and_then(|mark| u64::try_from(mark).ok()).unwrap_or_default()
    }

    async fn refresh(&mut self) -> Result<(), SinkError> {
        match self.log.news(&self.state).await? {
            News::Commits(commits) => {
                for commit in commits {
                    self.guard.check_commit(&self.state, &commit)?;
                    self.state.take(commit);
                }
            }
            News::Broken => self.reopen().await?,
        }
        if !self.state.has_tip() {
            self.state.set_tip(self.log.tip(self.state.version).await?);
        }
        Ok(())
    }

    /// The log does not go on from our state: loads it anew, and compares.
    async fn reopen(&mut self) -> Result<(), SinkError> {
        if !self.log.exists().await? {
            return self.guard.refuse(
                "the table is gone; put it back, or give the sink another name, under which it starts at the ledger's newest entry",
            );
        }
        let state = self.log.load().await?;
        self.guard.check_not_backwards(&self.record(), &state)?;
        check_opened(&self.log, &self.guard, &state, self.state.version).await?;
        self.state = state;
        Ok(())
    }

    /// Files of entries that waited for long may have been taken for garbage and removed.
    async fn check_files(&self, entries: &[(&Entry, &SinkEntry)]) -> Result<(), SinkError> {
        let trusted_from = Utc::now().timestamp_millis() - self.settings.verify_files_after_ms;
        let mut checks = Vec::new();
        for (entry, part) in entries {
            if entry.written_at_ms < trusted_from {
                checks.extend(part.files.iter().map(|file| self.check_file(entry.number, file)));
            }
        }
        stream::iter(checks).buffer_unordered(CHECKS_AT_ONCE).try_collect().await
    }

    async fn check_file(&self, number: EntryNumber, file: &DataFile) -> Result<(), SinkError> {
        let path = Path::parse(&file.path).or_else(|error| self.guard.refuse(&error.to_string()))?;
        match in_place(&*self.files, &path, file.size).await {
            Ok(InPlace::Whole) => Ok(()),
            Ok(InPlace::OtherSize(bytes)) => self.guard.refuse(&format!(
                "file `{}` of entry {number} has {bytes} bytes, and was written with {}; restore it from a copy",
                file.path, file.size
            )),
            Ok(InPlace::Gone) => self.guard.gone(number, &file.path),
            Err(error) => Err(SinkError::Unavailable(format!(
                "{}: looking for `{}`: {error}",
                self.guard.location, file.path
            ))),
        }
    }

    /// The newest layout among the entries, over that of the rows as the pipeline has them.
    fn newest_rows(&self, entries: &[(&Entry, &SinkEntry)]) -> Result<StructType, SinkError> {
        let mut rows = self.rows.clone();
        for (entry, part) in entries {
            let Some(schema) = &part.schema else { continue };
            let number = entry.number;
            let schema = written_schema(&schema.to_arrow())
                .and_then(|schema| table_type(&schema))
                .and_then(|schema| grow(&rows, &schema));
            rows = schema
                .or_else(|error| self.guard.refuse(&format!("the schema of entry {number}: {error}")))?;
        }
        Ok(rows)
    }

    /// What is to be committed, and what it makes of our state.
    fn commit(
        &self,
        parts: &[(&Entry, &SinkEntry)],
        changes: &Changes,
        table: &StructType,
        to: EntryNumber,
    ) -> Result<(Commit, Vec<Action>), SinkError> {
        let State { version, metadata, .. } = &self.state;
        let mut commit = Commit {
            version: version + 1,
            mark: i64::try_from(to).ok(),
            files: changes.in_log(),
            ..Commit::default()
        };
        // A mark alone changes nothing that readers see, so it changes no schema either.
        if !changes.added.is_empty() && *table != self.guard.schema_of(metadata)? {
            let metadata = metadata.clone().with_schema(table);
            commit.metadata = Some(metadata.or_else(|error| self.guard.refuse(&error.to_string()))?);
        }
        let (operation, changes_schema) = (&changes.operation, commit.metadata.is_some());
        let info = actions::application_info(&self.settings, *version, parts, to, operation, changes_schema);
        let mut actions = vec![info];
        actions.extend(commit.metadata.clone().map(Action::Metadata));
        let columns = metadata.partition_columns();
        actions.extend(changes.removed.iter().map(|(path, file)| actions::remove(path, file, columns)));
        actions.extend(changes.added.iter().map(actions::add));
        actions.push(actions::txn(&self.settings, to));
        Ok((commit, actions))
    }

    async fn checkpoint_if_due(&mut self) {
        let interval = self.settings.checkpoint_interval.max(1);
        let due = self.state.version / interval > self.checkpoint_considered / interval;
        self.checkpoint_considered = self.state.version;
        if !due {
            return;
        }
        let version = self.state.version;
        crash::point("before_checkpoint");
        match self.log.checkpoint(version).await {
            Ok(()) => {
                crash::point("after_checkpoint");
                tracing::debug!(sink = %self.settings.sink, version, "checkpoint of the table's log written")
            }
            // Only readers are slower for it; the next one comes after as many commits.
            Err(error) => {
                tracing::warn!(sink = %self.settings.sink, version, %error, "no checkpoint of the table's log")
            }
        }
    }
}

#[async_trait]
impl SinkApplier for DeltaApplier {
    fn recorded(&mut self, record: &SinkRecord) {
        self.settings.record = Some(record.clone());
    }

    fn table(&self) -> TableVersion {
        TableVersion { id: Some(self.state.metadata.id().to_owned()), version: Some(self.state.version) }
    }

    fn rows_at_once(&self) -> u64 {
        match self.way {
            Way::Append => u64::MAX,
            Way::Upsert(_) => upsert::ROWS_AT_ONCE,
        }
    }

    async fn mark(&mut self) -> Result<SinkMark, SinkError> {
        self.refresh().await?;
        if let Some(record) = &self.settings.record {
            self.guard.check_not_backwards(record, &self.state)?;
        }
        Ok(SinkMark { number: self.number(), ledger: self.settings.ledger })
    }

    async fn apply(&mut self, entries: &[Arc<Entry>], to: EntryNumber) -> Result<Applied, SinkError> {
        let mark = self.number();
        if to <= mark || entries.iter().any(|entry| entry.number <= mark || entry.number > to) {
            return Ok(Applied::Busy);
        }
        let parts: Vec<(&Entry, &SinkEntry)> = entries
            .iter()
            .filter_map(|entry| Some((entry.as_ref(), entry.part_of(&self.settings.sink)?)))
            .collect();
        self.check_files(&parts).await?;
        let rows = self.newest_rows(&parts)?;
        let table = match parts.iter().any(|(_, part)| !part.files.is_empty()) {
            true => self.guard.grown(&self.state.metadata, &rows)?,
            false => self.guard.schema_of(&self.state.metadata)?,
        };
        let changes = match &self.way {
            Way::Append => append::changes(&self.guard, &parts)?,
            Way::Upsert(upsert) => upsert.changes(&self.guard, &self.state, &parts, &table).await?,
        };
        let (commit, actions) = self.commit(&parts, &changes, &table, to)?;
        crash::sink_point("before_commit", &self.settings.sink);
        match self.log.put(commit.version, &actions).await? {
            Put::Taken => Ok(Applied::Busy),
            Put::Committed => {
                crash::sink_point("after_commit", &self.settings.sink);
                // If this fails, the next look at the log finds out.
                let tip = self.log.tip(commit.version).await.unwrap_or_default();
                self.state.take(commit);
                self.state.set_tip(tip);
                self.rows = rows;
                self.checkpoint_if_due().await;
                Ok(Applied::Done)
            }
        }
    }
}
