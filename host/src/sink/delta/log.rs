//! A table's log: the state that commits are decided on, kept by reading commit after commit.
//!
//! The state is loaded in full only when the table is opened, or when its log no longer goes on from where
//! we were. A commit is one put-if-absent of the next version; it is never retried here.

use std::sync::Arc;

use bytes::Bytes;
use delta_kernel::Snapshot;
use deltalake_core::kernel::transaction::TransactionError;
use deltalake_core::kernel::{
    Action, Add, Metadata, Protocol, Remove, Snapshot as FileSnapshot, Transaction,
};
use deltalake_core::logstore::{CommitOrBytes, LogStoreRef, commit_uri_from_version};
use futures::TryStreamExt;
use object_store::{ObjectMeta, ObjectStoreExt};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::DeltaStorage;
use super::files::{ActiveFiles, AddedFile, FileChanges};
use crate::sink::SinkError;

/// A table as of one version, as far as commits need it.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub version: u64,
    pub protocol: Protocol,
    pub metadata: Metadata,
    /// The `txn` version under our application id.
    pub mark: Option<i64>,
    /// What the table consists of, if the log follows it.
    pub files: Option<Arc<ActiveFiles>>,
    /// The object that holds the commit of `version`: another one there means another table.
    tip: Option<ObjectMeta>,
}

/// One commit, reduced to what decides whether we may go on.
#[derive(Debug, Default)]
pub(super) struct Commit {
    pub version: u64,
    pub protocol: Option<Protocol>,
    pub metadata: Option<Metadata>,
    /// Set if the commit is ours.
    pub mark: Option<i64>,
    pub info: Option<Value>,
    /// Whether it takes rows out of the table.
    pub removes_rows: bool,
    /// Empty unless the log follows files.
    pub files: FileChanges,
}

/// A line of a commit. Actions that do not concern us, known or not, are passed over.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    /// Files are only read into where the log follows them: they are most of what commits say.
    #[serde(borrow)]
    add: Option<&'a RawValue>,
    protocol: Option<Protocol>,
    meta_data: Option<Metadata>,
    txn: Option<Transaction>,
    #[serde(borrow)]
    remove: Option<&'a RawValue>,
    commit_info: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Removal {
    #[serde(default = "removes_rows")]
    data_change: bool,
}

fn removes_rows() -> bool {
    true
}

/// What became of an attempt to commit.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Put {
    Committed,
    /// Somebody has committed this version.
    Taken,
}

/// What has happened since a state.
#[derive(Debug)]
pub(super) enum News {
    Commits(Vec<Commit>),
    /// The log does not go on from the state: it was cleaned up, or it is another table's.
    Broken,
}

pub(super) struct TableLog {
    log_store: LogStoreRef,
    application: String,
    /// The columns whose bounds are kept of each file; `None` if files are not followed.
    bounded: Option<Vec<String>>,
}

impl TableLog {
    pub fn new(storage: &DeltaStorage, application: String) -> Self {
        Self { log_store: storage.log_store.clone(), application, bounded: None }
    }

    /// Follows the table's files too, with the bounds of `columns` in each.
    pub fn following_files(self, columns: Vec<String>) -> Self {
        Self { bounded: Some(columns), ..self }
    }

    pub async fn exists(&self) -> Result<bool, SinkError> {
        self.log_store
            .is_delta_table_location()
            .await
            .map_err(|error| self.unavailable("looking for the table", &error))
    }

    /// The newest state, from the newest checkpoint on.
    pub async fn load(&self) -> Result<State, SinkError> {
        let (log_store, application) = (self.log_store.clone(), self.application.clone());
        let engine = log_store.engine(None);
        let load = move || -> Result<State, delta_kernel::Error> {
            let snapshot = Snapshot::builder_for(folder(&log_store)).build(engine.as_ref())?;
            let configuration = snapshot.table_configuration();
            Ok(State {
                version: snapshot.version(),
                protocol: configuration.protocol().clone(),
                metadata: configuration.metadata().clone(),
                mark: snapshot.get_app_id_version(&application, engine.as_ref())?,
                files: None,
                tip: None,
            })
        };
        let loaded =
            tokio::task::spawn_blocking(load).await.map_err(|error| self.unavailable("loading", &error))?;
        let mut state = loaded.map_err(|error| self.unavailable("loading the table", &error))?;
        state.files = self.files(&state).await?;
        state.tip = self.tip(state.version).await?;
        Ok(state)
    }

    /// The files of `state`, read from the log in full.
    async fn files(&self, state: &State) -> Result<Option<Arc<ActiveFiles>>, SinkError> {
        let Some(bounded) = &self.bounded else { return Ok(None) };
        let failed = |error| self.unavailable("reading the table's files", &error);
        let snapshot = FileSnapshot::try_new(&*self.log_store, Some(state.version)).await.map_err(failed)?;
        let mut files = ActiveFiles::new(bounded, state.metadata.partition_columns());
        let mut views = snapshot.file_views(&*self.log_store, None);
        while let Some(view) = views.try_next().await.map_err(failed)? {
            files.take(FileChanges { removed: Vec::new(), added: vec![AddedFile::from(&view)] });
        }
        Ok(Some(Arc::new(files)))
    }

    /// All commits after `state`. They are not yet part of it: see [`State::take`].
    pub async fn news(&self, state: &State) -> Result<News, SinkError> {
        let mut commits = Vec::new();
        let mut next = state.version + 1;
        while let Some(bytes) = self.read(next).await? {
            commits.push(self.parse(next, &bytes)?);
            next += 1;
        }
        // Without this, a log that was cleaned up behind us or begun anew would look like its own end.
        let tip = self.tip(state.version).await?;
        let same = tip.is_some() && (state.tip.is_none() || state.tip == tip);
        Ok(if same { News::Commits(commits) } else { News::Broken })
    }

    /// The commits at and below `version`, newest first, back to our own newest one (which is not among
    /// them), to `oldest`, or to where the log was cleaned up.
    pub async fn back_to_ours(&self, version: u64, oldest: u64) -> Result<Vec<Commit>, SinkError> {
        let mut commits = Vec::new();
        for version in (oldest..=version).rev() {
            let Some(bytes) = self.read(version).await? else { break };
            let commit = self.parse(version, &bytes)?;
            if commit.mark.is_some() {
                break;
            }
            commits.push(commit);
        }
        Ok(commits)
    }

    /// Commits `actions` as `version`, or nothing. After an error it is not known whether it happened.
    pub async fn put(&self, version: u64, actions: &[Action]) -> Result<Put, SinkError> {
        let mut lines = Vec::new();
        for action in actions {
            serde_json::to_writer(&mut lines, action)
                .map_err(|error| self.unavailable("writing a commit", &error))?;
            lines.push(b'\n');
        }
        let bytes = CommitOrBytes::LogBytes(lines.into());
        match self.log_store.write_commit_entry(version, bytes, Uuid::new_v4()).await {
            Ok(()) => Ok(Put::Committed),
            Err(TransactionError::VersionAlreadyExists(_)) => Ok(Put::Taken),
            Err(error) => Err(self.unavailable("committing", &error)),
        }
    }

    /// Writes a checkpoint of `version`.
    pub async fn checkpoint(&self, version: u64) -> Result<(), SinkError> {
        let log_store = self.log_store.clone();
        let engine = log_store.engine(None);
        let write = move || -> Result<(), delta_kernel::Error> {
            let snapshot =
                Snapshot::builder_for(folder(&log_store)).at_version(version).build(engine.as_ref())?;
            snapshot.checkpoint(engine.as_ref(), None)?;
            Ok(())
        };
        let written = tokio::task::spawn_blocking(write)
            .await
            .map_err(|error| self.unavailable("checkpoint", &error))?;
        written.map_err(|error| self.unavailable("writing a checkpoint", &error))
    }

    pub async fn tip(&self, version: u64) -> Result<Option<ObjectMeta>, SinkError> {
        match self.log_store.object_store(None).head(&commit_uri_from_version(Some(version))).await {
            Ok(meta) => Ok(Some(meta)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.unavailable("reading the log", &error)),
        }
    }

    async fn read(&self, version: u64) -> Result<Option<Bytes>, SinkError> {
        self.log_store
            .read_commit_entry(version)
            .await
            .map_err(|error| self.unavailable("reading the log", &error))
    }

    fn parse(&self, version: u64, bytes: &[u8]) -> Result<Commit, SinkError> {
        let mut commit = Commit { version, ..Commit::default() };
        let unreadable = |error| {
            SinkError::Refused(format!(
                "{}: commit {version} cannot be read ({error}); restore `_delta_log/{version:020}.json` from a copy",
                self.location()
            ))
        };
        for line in serde_json::Deserializer::from_slice(bytes).into_iter::<Line<'_>>() {
            let line = line.map_err(unreadable)?;
            commit.protocol = line.protocol.or(commit.protocol);
            commit.metadata = line.meta_data.or(commit.metadata);
            commit.info = line.commit_info.or(commit.info);
            if let Some(remove) = line.remove {
                let removal: Removal = serde_json::from_str(remove.get()).map_err(unreadable)?;
                commit.removes_rows |= removal.data_change;
            }
            if self.bounded.is_some() {
                let added = line.add.map(|add| serde_json::from_str::<Add>(add.get()));
                commit.files.added.extend(added.transpose().map_err(unreadable)?.map(AddedFile::from));
                let removed = line.remove.map(|remove| serde_json::from_str::<Remove>(remove.get()));
                let removed = removed.transpose().map_err(unreadable)?;
                commit.files.removed.extend(removed.map(|remove| remove.path));
            }
            if let Some(txn) = line.txn.filter(|txn| txn.app_id == self.application) {
                commit.mark = Some(txn.version);
            }
        }
        Ok(commit)
    }

    pub fn location(&self) -> String {
        self.log_store.root_url().to_string()
    }

    fn unavailable(&self, what: &str, error: &dyn std::fmt::Display) -> SinkError {
        SinkError::Unavailable(format!("{}: {what}: {error}", self.location()))
    }
}

impl State {
    /// The state after one more commit.
    pub fn take(&mut self, commit: Commit) {
        self.version = commit.version;
        self.tip = None;
        if let Some(protocol) = commit.protocol {
            self.protocol = protocol;
        }
        if let Some(metadata) = commit.metadata {
            self.metadata = metadata;
        }
        self.mark = commit.mark.or(self.mark);
        if let Some(files) = &mut self.files {
            Arc::make_mut(files).take(commit.files);
        }
    }

    pub fn has_tip(&self) -> bool {
        self.tip.is_some()
    }

    pub fn set_tip(&mut self, tip: Option<ObjectMeta>) {
        self.tip = tip;
    }
}

/// The kernel takes what follows the last slash for a file.
pub(super) fn folder(log_store: &LogStoreRef) -> String {
    let url = log_store.root_url().as_str();
    format!("{}/", url.trim_end_matches('/'))
}

/// A commit's own account of itself: the ledger that its rows come from.
pub(super) fn ledger_of(commit: &Commit) -> Option<Uuid> {
    commit.info.as_ref()?.get("sluicebox")?.get("ledger")?.as_str()?.parse().ok()
}

/// What an operation calls itself, in capitals.
pub(super) fn operation_of(commit: &Commit) -> Option<String> {
    Some(commit.info.as_ref()?.get("operation")?.as_str()?.to_uppercase())
}
