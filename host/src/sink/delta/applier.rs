//! Ledger entries to commits.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::Schema;
use async_trait::async_trait;
use chrono::Utc;
use deltalake_core::kernel::{
    Action, Add, CommitInfo, Metadata, MetadataExt, Protocol, StructType, Transaction, new_metadata,
};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::{Value, json};

use super::guard::Guard;
use super::log::{Commit, News, Put, State, TableLog};
use super::schema::{delta_schema, table_type};
use super::{DeltaSettings, DeltaStorage, Partitioning, TableSeen, application_id, ledger_property};
use crate::ledger::entry::{Body, DataFile, Entry, EntryNumber, SinkEntry};
use crate::schema::RecordSchema;
use crate::sink::{Applied, SinkApplier, SinkError, SinkMark};

/// Attempts to create or adopt a table against others who do so at the same time.
const OPEN_ATTEMPTS: usize = 20;
/// How far back, at opening, others' commits are looked at.
const LOOK_BACK: u64 = 10_000;
const CHECKS_AT_ONCE: usize = 16;

/// Reads the textual types of an entry's schema into Arrow's.
pub type SchemaReader = fn(&RecordSchema) -> Result<Schema, String>;

/// Applies entries to a Delta table: all files of a call, the schema that they need and the mark in one commit.
pub struct DeltaApplier {
    settings: DeltaSettings,
    log: TableLog,
    files: Arc<dyn ObjectStore>,
    guard: Guard,
    read_schema: SchemaReader,
    /// The newest layout of rows that entries of this sink may have.
    rows: StructType,
    state: State,
    checkpoint_considered: u64,
}

impl DeltaApplier {
    /// Opens the table, or creates it with its mark in one commit. `partitioning` is that of the rows as the
    /// pipeline has them now. Fails with `Refused` if the table cannot take them, or is not what it was.
    pub async fn open(
        settings: DeltaSettings,
        storage: &DeltaStorage,
        partitioning: &Partitioning,
        read_schema: SchemaReader,
    ) -> Result<Self, SinkError> {
        let log = TableLog::new(storage, application_id(&settings.pipeline, &settings.sink));
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
            read_schema,
            rows,
            state,
        })
    }

    /// What an entry records of the table, as of the last call of `open`, `mark` or `apply`.
    pub fn seen(&self) -> TableSeen {
        TableSeen {
            table_id: self.state.metadata.id().to_owned(),
            version: self.state.version,
            mark: self.number(),
        }
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
        self.guard.check_not_backwards(&self.seen(), &state)?;
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
        match self.files.head(&path).await {
            Ok(meta) if meta.size == file.size => Ok(()),
            Ok(meta) => self.guard.refuse(&format!(
                "file `{}` of entry {number} has {} bytes, and was written with {}; restore it from a copy",
                file.path, meta.size, file.size
            )),
            Err(object_store::Error::NotFound { .. }) => self.guard.refuse(&format!(
                "file `{}` of entry {number} is gone before the entry was applied, most likely by a VACUUM with a shorter retention than the entry's age; restore it from a copy, or skip the rows by giving the sink another name",
                file.path
            )),
            Err(error) => Err(SinkError::Unavailable(format!("{}: looking for `{}`: {error}", self.guard.location, file.path))),
        }
    }

    /// The newest layout among the entries, over that of the rows as the pipeline has them.
    fn newest_rows(&self, entries: &[(&Entry, &SinkEntry)]) -> Result<StructType, SinkError> {
        let mut rows = self.rows.clone();
        for (entry, part) in entries {
            let Some(schema) = &part.schema else { continue };
            let number = entry.number;
            let refused = |error: String| format!("the schema of entry {number}: {error}");
            let schema = (self.read_schema)(schema).or_else(|error| self.guard.refuse(&refused(error)))?;
            let schema = delta_schema(&schema)
                .and_then(|schema| table_type(&schema))
                .and_then(|schema| super::schema::grow(&rows, &schema));
            rows = schema.or_else(|error| self.guard.refuse(&refused(error.to_string())))?;
        }
        Ok(rows)
    }

    async fn checkpoint_if_due(&mut self) {
        let interval = self.settings.checkpoint_interval.max(1);
        let due = self.state.version / interval > self.checkpoint_considered / interval;
        self.checkpoint_considered = self.state.version;
        if !due {
            return;
        }
        let version = self.state.version;
        match self.log.checkpoint(version).await {
            Ok(()) => {
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
    async fn mark(&mut self) -> Result<SinkMark, SinkError> {
        self.refresh().await?;
        Ok(SinkMark { number: self.number(), ledger: self.settings.ledger })
    }

    async fn apply(&mut self, entries: &[Arc<Entry>], to: EntryNumber) -> Result<Applied, SinkError> {
        let mark = self.number();
        if to <= mark || entries.iter().any(|entry| entry.number <= mark || entry.number > to) {
            return Ok(Applied::Busy);
        }
        let parts: Vec<(&Entry, &SinkEntry)> = entries
            .iter()
            .filter_map(|entry| Some((entry.as_ref(), part(entry, &self.settings.sink)?)))
            .collect();
        self.check_files(&parts).await?;
        let rows = self.newest_rows(&parts)?;
        let version = self.state.version + 1;
        let mut commit = Commit { version, ..Commit::default() };
        let mut actions = Vec::new();
        // A mark alone changes nothing that readers see, so it changes no schema either.
        if parts.iter().any(|(_, part)| !part.files.is_empty()) {
            let grown = self.guard.grown(&self.state.metadata, &rows)?;
            if grown != self.guard.schema_of(&self.state.metadata)? {
                let metadata = with_schema(&self.guard, self.state.metadata.clone(), &grown)?;
                commit.metadata = Some(metadata.clone());
                actions.push(Action::Metadata(metadata));
            }
        }
        actions.insert(
            0,
            commit_info(&self.settings, self.state.version, &parts, to, commit.metadata.is_some()),
        );
        actions.extend(parts.iter().flat_map(|(_, part)| &part.files).map(add));
        let Some(number) = mark_of(to) else {
            return self.guard.refuse("the entry's number is too large for a mark");
        };
        commit.mark = Some(number);
        actions.push(txn(&self.log, number));
        match self.log.put(version, &actions).await? {
            Put::Taken => Ok(Applied::Busy),
            Put::Committed => {
                self.state.take(commit);
                self.rows = rows;
                // If this fails, the next look at the log finds out.
                let tip = self.log.tip(version).await.unwrap_or_default();
                self.state.set_tip(tip);
                self.checkpoint_if_due().await;
                Ok(Applied::Done)
            }
        }
    }
}

/// Creating, adopting or taking up a table.
struct Opening<'a> {
    settings: &'a DeltaSettings,
    log: &'a TableLog,
    guard: &'a Guard,
    rows: &'a StructType,
}

impl Opening<'_> {
    async fn open(&self) -> Result<State, SinkError> {
        for _ in 0..OPEN_ATTEMPTS {
            if !self.log.exists().await? {
                if self.settings.seen.is_some() {
                    return self.guard.refuse(
                        "the table is gone; put it back, or give the sink another name, under which it starts at the ledger's newest entry",
                    );
                }
                self.create().await?;
                continue;
            }
            let state = self.log.load().await?;
            self.guard.check_table(&state.protocol, &state.metadata)?;
            self.guard.grown(&state.metadata, self.rows)?;
            if let Some(seen) = &self.settings.seen {
                self.guard.check_not_backwards(seen, &state)?;
            }
            if state.mark.is_some() {
                check_opened(self.log, self.guard, &state, state.version.saturating_sub(LOOK_BACK)).await?;
                return Ok(state);
            }
            self.adopt(&state).await?;
        }
        Err(SinkError::Unavailable(format!("{}: others keep changing the table", self.guard.location)))
    }

    /// Version 0, with the mark: a table that exists without it would be open to commits that check nothing.
    /// Whoever else creates it first wins; either way it exists afterwards.
    async fn create(&self) -> Result<(), SinkError> {
        let refused = |error: &dyn std::fmt::Display| format!("the table cannot be created: {error}");
        let protocol: Protocol =
            serde_json::from_value(json!({"minReaderVersion": 1, "minWriterVersion": 2}))
                .or_else(|error| self.guard.refuse(&refused(&error)))?;
        let configuration = [(self.ledger_property(), self.settings.ledger.to_string())];
        let metadata = new_metadata(self.rows, &self.guard.partition_by, configuration)
            .or_else(|error| self.guard.refuse(&refused(&error)))?;
        let info = self.info("CREATE TABLE", None);
        let actions = [info, Action::Protocol(protocol), Action::Metadata(metadata), self.first_txn()?];
        self.log.put(0, &actions).await.map(|_| ())
    }

    /// The first mark in a table that others made.
    async fn adopt(&self, state: &State) -> Result<(), SinkError> {
        let property = self.ledger_property();
        if let Some(ledger) = state.metadata.configuration().get(&property) {
            return self.guard.refuse(&format!(
                "the table has the property `{property}` of the ledger {ledger}, but no mark: its log was tampered with; give the sink another name, under which it starts at the ledger's newest entry"
            ));
        }
        let metadata = state
            .metadata
            .clone()
            .add_config_key(property, self.settings.ledger.to_string())
            .or_else(|error| self.guard.refuse(&error.to_string()))?;
        let info = self.info("SET TBLPROPERTIES", Some(state.version));
        let actions = [info, Action::Metadata(metadata), self.first_txn()?];
        self.log.put(state.version + 1, &actions).await.map(|_| ())
    }

    fn ledger_property(&self) -> String {
        ledger_property(&self.settings.pipeline, &self.settings.sink)
    }

    fn first_txn(&self) -> Result<Action, SinkError> {
        match mark_of(self.settings.start) {
            Some(start) => Ok(txn(self.log, start)),
            None => self.guard.refuse("the entry's number is too large for a mark"),
        }
    }

    fn info(&self, operation: &str, read_version: Option<u64>) -> Action {
        Action::CommitInfo(CommitInfo {
            timestamp: Some(Utc::now().timestamp_millis()),
            operation: Some(operation.to_owned()),
            operation_parameters: Some(HashMap::new()),
            read_version,
            is_blind_append: Some(false),
            engine_info: Some(ENGINE.to_owned()),
            info: provenance(self.settings, &[]),
            ..CommitInfo::default()
        })
    }
}

/// A loaded table that has our mark: the ledger must be ours, and nothing that we would have stopped at may
/// have happened since our newest commit, nor before that down to `oldest`.
async fn check_opened(log: &TableLog, guard: &Guard, state: &State, oldest: u64) -> Result<(), SinkError> {
    guard.check_table(&state.protocol, &state.metadata)?;
    for commit in log.back_to_ours(state.version, oldest).await?.iter().rev() {
        guard.check_foreign(commit)?;
    }
    guard.check_ledger(&state.metadata)
}

const ENGINE: &str = concat!("sluicebox/", env!("CARGO_PKG_VERSION"));

fn part<'a>(entry: &'a Entry, sink: &str) -> Option<&'a SinkEntry> {
    match &entry.body {
        Body::Epoch(epoch) => epoch.sinks.get(sink),
        Body::Genesis(_) | Body::Configure(_) | Body::Sweep(_) => None,
    }
}

fn mark_of(number: EntryNumber) -> Option<i64> {
    i64::try_from(number).ok()
}

fn txn(log: &TableLog, mark: i64) -> Action {
    let now = Utc::now().timestamp_millis();
    Action::Txn(Transaction::new_with_last_update(log.application(), mark, Some(now)))
}

fn add(file: &DataFile) -> Action {
    Action::Add(Add {
        path: file.path.clone(),
        partition_values: file.partition_values.iter().cloned().collect(),
        size: i64::try_from(file.size).unwrap_or(i64::MAX),
        modification_time: file.modified_at_ms,
        data_change: true,
        stats: file.stats.clone(),
        ..Add::default()
    })
}

fn with_schema(guard: &Guard, metadata: Metadata, schema: &StructType) -> Result<Metadata, SinkError> {
    metadata.with_schema(schema).or_else(|error| guard.refuse(&error.to_string()))
}

fn commit_info(
    settings: &DeltaSettings,
    read_version: u64,
    parts: &[(&Entry, &SinkEntry)],
    to: EntryNumber,
    changes_schema: bool,
) -> Action {
    let files = parts.iter().flat_map(|(_, part)| &part.files);
    let (count, rows) = files.fold((0u64, 0u64), |(count, rows), file| (count + 1, rows + file.rows));
    let mut info = provenance(settings, parts);
    info.insert(
        "operationMetrics".to_owned(),
        json!({"numAddedFiles": count.to_string(), "numOutputRows": rows.to_string()}),
    );
    let parameters = [
        ("outputMode", "Append".to_owned()),
        ("queryId", application_id(&settings.pipeline, &settings.sink)),
        ("epochId", to.to_string()),
    ];
    Action::CommitInfo(CommitInfo {
        timestamp: Some(Utc::now().timestamp_millis()),
        operation: Some("STREAMING UPDATE".to_owned()),
        operation_parameters: Some(parameters.map(|(key, value)| (key.to_owned(), value.into())).into()),
        read_version: Some(read_version),
        is_blind_append: Some(!changes_schema),
        engine_info: Some(ENGINE.to_owned()),
        info,
        ..CommitInfo::default()
    })
}

/// Where the rows of a commit come from.
fn provenance(settings: &DeltaSettings, parts: &[(&Entry, &SinkEntry)]) -> HashMap<String, Value> {
    let entries: Vec<EntryNumber> = parts.iter().map(|(entry, _)| entry.number).collect();
    let sluicebox = json!({
        "pipeline": settings.pipeline,
        "sink": settings.sink,
        "ledger": settings.ledger,
        "entries": entries,
        "plugins": settings.plugins,
    });
    HashMap::from([("sluicebox".to_owned(), sluicebox)])
}
