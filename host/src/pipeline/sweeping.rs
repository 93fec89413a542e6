//! Removing what nothing reaches: files of epochs that were never entered, state that was superseded, old
//! entries.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tracing::{info, warn};
use uuid::Uuid;

use super::kept_plugins::KeptPlugins;
use super::state_objects::STATE_FOLDER;
use crate::ledger::entry::{EntryNumber, Writer};
use crate::ledger::store::StoreError;
use crate::ledger::sweep::{FoundFile, Holds, PipelineFiles, writer_of};
use crate::ledger::{Ledger, LedgerError};
use crate::sink::rows::is_staged;

/// Stands between the place of a table and a path in it; no path holds it.
const IN_TABLE: &str = "//";

/// The files of all sinks, and the state objects.
pub struct Files {
    pub tables: Arc<[Arc<dyn ObjectStore>]>,
    pub state: Arc<dyn ObjectStore>,
}

#[async_trait]
impl PipelineFiles for Files {
    async fn list(&self) -> Result<Vec<FoundFile>, StoreError> {
        let mut found = Vec::new();
        for (index, table) in self.tables.iter().enumerate() {
            let prefix = format!("{index}{IN_TABLE}");
            let holds = |path: &str| if is_staged(path) { Holds::Staged } else { Holds::Rows };
            collect(table, None, holds, &prefix, &mut found).await?;
        }
        collect(&self.state, Some(&Path::from(STATE_FOLDER)), |_| Holds::State, "", &mut found).await?;
        Ok(found)
    }

    async fn delete(&self, file: &FoundFile) -> Result<(), StoreError> {
        let (store, path) = match file.path.split_once(IN_TABLE) {
            Some((index, path)) => (index.parse().ok().and_then(|index: usize| self.tables.get(index)), path),
            None => (Some(&self.state), file.path.as_str()),
        };
        let Some(store) = store else { return Ok(()) };
        match store.delete(&Path::from(path)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(StoreError::new("delete", path, error)),
        }
    }
}

async fn collect(
    store: &Arc<dyn ObjectStore>,
    folder: Option<&Path>,
    holds: impl Fn(&str) -> Holds,
    prefix: &str,
    found: &mut Vec<FoundFile>,
) -> Result<(), StoreError> {
    let mut files = store.list(folder);
    let failed = |error| StoreError::new("list", prefix, error);
    while let Some(file) = files.try_next().await.map_err(failed)? {
        if let Some(writer) = writer_of(file.location.as_ref()) {
            let path = format!("{prefix}{}", file.location);
            let (holds, modified_at_ms) =
                (holds(file.location.as_ref()), file.last_modified.timestamp_millis());
            found.push(FoundFile { path, writer, modified_at_ms, holds });
        }
    }
    Ok(())
}

/// One sweep. `marks` are the sinks' own.
pub async fn sweep(ledger: &Ledger, files: &Files, marks: &BTreeMap<String, EntryNumber>) {
    match try_sweep(ledger, files, marks).await {
        Ok((condemned, deleted, entries)) if condemned + deleted > 0 || entries > 0 => {
            info!(condemned, deleted, entries, "swept");
        }
        Ok(_) => {}
        Err(error) => warn!(%error, "the sweep stopped; the next one goes on"),
    }
}

async fn try_sweep(
    ledger: &Ledger,
    files: &Files,
    marks: &BTreeMap<String, EntryNumber>,
) -> Result<(usize, usize, u64), LedgerError> {
    // An incarnation of its own: the worker's proposals count from 1.
    let writer = Writer { incarnation: Uuid::new_v4(), epoch: 1 };
    let swept = ledger.sweep_files(writer, files, marks).await?;
    let entries = ledger.sweep_entries(marks).await?;
    let plugins = KeptPlugins::new(files.state.clone());
    let plugins = plugins.sweep(&ledger.state(), ledger.clock().now_ms()).await?;
    Ok((swept.condemned, swept.deleted + plugins, entries))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use object_store::memory::InMemory;

    use super::*;
    use crate::clock::Clock;
    use crate::ledger::bucket::BucketEntries;
    use crate::ledger::entry::{Body, Configuration, Epoch};
    use crate::ledger::{Appended, LedgerSettings, Opening, Proposal};

    /// Two days from now: everything that is written now is old.
    struct Later;

    #[async_trait]
    impl Clock for Later {
        fn now_ms(&self) -> i64 {
            chrono::Utc::now().timestamp_millis() + 2 * 24 * 3_600_000
        }

        fn chance(&self) -> f64 {
            0.5
        }

        async fn pause(&self, _: Duration) {}
    }

    /// A ledger with one sink, at its first entry.
    async fn open(store: &Arc<dyn ObjectStore>) -> Ledger {
        let configuration = Configuration {
            digest: "d".to_owned(),
            layers: BTreeMap::new(),
            sinks: vec!["bronze".to_owned()],
            plugins: Vec::new(),
        };
        let opening = Opening {
            pipeline: "p".to_owned(),
            configuration,
            incarnation: Uuid::new_v4(),
            new_id: Uuid::new_v4(),
            known: None,
        };
        let entries = Arc::new(BucketEntries::new(store.clone(), Path::from("ledger")));
        Ledger::open(entries, Arc::new(Later), LedgerSettings::default(), opening).await.unwrap()
    }

    #[tokio::test]
    async fn staged_files_stay_until_their_rows_are_merged() {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let table: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let ledger = open(&store).await;
        let files = Files { tables: [table.clone()].into(), state: store.clone() };
        let mut staged = Vec::new();
        for epoch in [1, 2] {
            let writer = Writer { incarnation: Uuid::new_v4(), epoch };
            let file = Path::from(format!("_staged/{}-{epoch}-0-0.parquet", writer.incarnation));
            table.put(&file, "rows".into()).await.unwrap();
            staged.push(file);
            let body = Body::Epoch(Epoch {
                configuration: "d".to_owned(),
                schema_version: 0,
                proposes_schema: None,
                tasks: Vec::new(),
                sinks: BTreeMap::new(),
                seen: BTreeMap::new(),
                references: BTreeMap::new(),
            });
            let opened_at_ms = Later.now_ms();
            let appended = ledger.append(Proposal { writer, opened_at_ms, body }).await.unwrap();
            assert!(matches!(appended, Appended::Entered(_)), "{appended:?}");
        }
        let left = async || {
            let found = table.list(None).try_collect::<Vec<_>>().await.unwrap();
            staged.iter().map(|file| found.iter().any(|found| found.location == *file)).collect::<Vec<_>>()
        };
        for (mark, expected) in [(None, [true, true]), (Some(1), [false, true]), (Some(2), [false, false])] {
            let marks = mark.map(|mark| ("bronze".to_owned(), mark)).into_iter().collect();
            sweep(&ledger, &files, &marks).await;
            assert_eq!(left().await, expected, "{mark:?}");
        }
    }

    #[tokio::test]
    async fn files_of_epochs_that_never_were_entered_go_and_others_stay() {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let table: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let ledger = open(&store).await;
        let lost = Uuid::new_v4();
        let orphan = Path::from(format!("date=2026-11-21/{lost}-3-0-0.parquet"));
        let foreign = Path::from("part-00000.parquet");
        let state = Path::from(format!("{STATE_FOLDER}/{lost}-3-state"));
        table.put(&orphan, "rows".into()).await.unwrap();
        table.put(&foreign, "rows".into()).await.unwrap();
        store.put(&state, "state".into()).await.unwrap();

        let files = Files { tables: [table.clone()].into(), state: store.clone() };
        sweep(&ledger, &files, &BTreeMap::new()).await;

        assert!(table.get(&orphan).await.is_err());
        assert!(store.get(&state).await.is_err());
        assert!(table.get(&foreign).await.is_ok());
        let writer = Writer { incarnation: lost, epoch: 3 };
        assert!(ledger.state().is_condemned(writer), "a late entry of the epoch must not get in");
    }
}
