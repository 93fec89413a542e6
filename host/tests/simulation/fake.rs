//! The outside as the ledger and the applier see it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sluicebox::clock::Clock;
use sluicebox::ledger::entry::{Body, Entry, EntryNumber};
use sluicebox::ledger::store::{EntryStore, Listed, Put, StoreError};
use sluicebox::ledger::sweep::{FoundFile, PipelineFiles};
use sluicebox::sink::{Applied, SinkApplier, SinkError, SinkMark};

use crate::world::{Shared, step_aside};

pub struct FakeStore(pub Shared);

fn silent(operation: &'static str, name: &str) -> StoreError {
    StoreError::new(operation, name, "nobody answered")
}

#[async_trait]
impl EntryStore for FakeStore {
    async fn put_if_absent(&self, name: &str, bytes: Bytes) -> Result<Put, StoreError> {
        let owned = name.to_owned();
        let put = self.0.remote(true, move |world| world.put(&owned, &bytes)).await;
        put.ok_or_else(|| silent("put", name))
    }

    async fn get(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        let owned = name.to_owned();
        let found =
            self.0.remote(false, move |world| world.objects.get(&owned).map(|object| object.bytes.clone()));
        found.await.ok_or_else(|| silent("get", name))
    }

    async fn list(&self, directory: &str, after: &str) -> Result<Vec<Listed>, StoreError> {
        let (prefix, after) = (format!("{directory}/"), format!("{directory}/{after}"));
        let listed = self.0.remote(false, move |world| {
            let above = world.objects.range(after.clone()..).filter(|(name, _)| **name > after);
            above
                .map_while(|(name, object)| {
                    let file = name.strip_prefix(&prefix)?.to_owned();
                    Some(Listed { file, modified_at_ms: object.modified_at_ms })
                })
                .collect()
        });
        listed.await.ok_or_else(|| silent("list", directory))
    }

    async fn delete(&self, name: &str) -> Result<(), StoreError> {
        let owned = name.to_owned();
        self.0.remote(true, move |world| world.delete(&owned)).await.ok_or_else(|| silent("delete", name))
    }
}

/// A clock that may be far wrong: no invariant hangs on clocks.
pub struct FakeClock {
    pub shared: Shared,
    pub skew_ms: i64,
}

#[async_trait]
impl Clock for FakeClock {
    fn now_ms(&self) -> i64 {
        self.shared.world().now_ms + self.skew_ms
    }

    fn chance(&self) -> f64 {
        self.shared.world().random.fraction()
    }

    async fn pause(&self, _duration: Duration) {
        step_aside().await;
    }
}

pub struct FakeFiles(pub Shared);

#[async_trait]
impl PipelineFiles for FakeFiles {
    async fn list(&self) -> Result<Vec<FoundFile>, StoreError> {
        let found = self.0.remote(false, |world| world.files.values().cloned().collect());
        found.await.ok_or_else(|| silent("list", "files"))
    }

    async fn delete(&self, file: &FoundFile) -> Result<(), StoreError> {
        let path = file.path.clone();
        let deleted = self.0.remote(true, move |world| {
            world.is_changed = true;
            world.files.remove(&path);
        });
        deleted.await.ok_or_else(|| silent("delete", &file.path))
    }
}

/// A table that is a list of files, committed if nobody else committed since the mark was read.
pub struct FakeSink {
    pub shared: Shared,
    pub name: String,
    pub version: u64,
}

#[async_trait]
impl SinkApplier for FakeSink {
    async fn mark(&mut self) -> Result<SinkMark, SinkError> {
        let name = self.name.clone();
        let seen = self.shared.remote(false, move |world| {
            let ledger = world.history.first().map(|entry| entry.ledger).unwrap_or_default();
            let table = world.tables.entry(name).or_default();
            (SinkMark { number: table.mark, ledger }, table.version)
        });
        let (mark, version) =
            seen.await.ok_or_else(|| SinkError::Unavailable("nobody answered".to_owned()))?;
        self.version = version;
        Ok(mark)
    }

    async fn apply(&mut self, entries: &[Arc<Entry>], to: EntryNumber) -> Result<Applied, SinkError> {
        let (name, version, files) = (self.name.clone(), self.version, files_for(entries, &self.name));
        let committed = self.shared.remote(true, move |world| {
            let table = world.tables.entry(name).or_default();
            if table.version != version {
                return Applied::Busy;
            }
            table.version += 1;
            table.mark = to;
            table.files.extend(files);
            world.is_changed = true;
            world.tally.commits += 1;
            Applied::Done
        });
        committed.await.ok_or_else(|| SinkError::Unavailable("nobody answered".to_owned()))
    }
}

fn files_for(entries: &[Arc<Entry>], sink: &str) -> Vec<String> {
    let of_entry = |entry: &Arc<Entry>| match &entry.body {
        Body::Epoch(epoch) => epoch.sinks.get(sink).map(|part| part.files.clone()).unwrap_or_default(),
        _ => Vec::new(),
    };
    entries.iter().flat_map(of_entry).map(|file| file.path).collect()
}
