//! The files that entries list: each must be there, whole.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Result;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt};

use crate::ledger::entry::{Body, DataFile, Entry, EntryNumber};
use crate::sink::delta::TableView;

const CHECKS_AT_ONCE: usize = 16;

/// Files of entries above the mark are still to be applied; of the others those count that the table still has,
/// for what a merge, a rewriting or a VACUUM took out of it may be gone.
pub async fn audit(
    sink: &str,
    store: &dyn ObjectStore,
    table: &TableView,
    entries: &[Arc<Entry>],
    mark: EntryNumber,
) -> Result<Vec<String>> {
    let active: HashMap<&str, &Path> =
        table.files.iter().map(|file| (file.path.as_str(), &file.object)).collect();
    let mut checks = Vec::new();
    for entry in entries {
        let Body::Epoch(epoch) = &entry.body else { continue };
        for file in epoch.sinks.get(sink).iter().flat_map(|part| &part.files) {
            let object = match active.get(file.path.as_str()) {
                Some(object) => (*object).clone(),
                None if entry.number > mark => Path::parse(&file.path)?,
                None => continue,
            };
            let at = format!("{sink}: entry {}: {}", entry.number, file.path);
            checks.push(async move { check(store, &object, file, &at).await });
        }
    }
    let found: Vec<_> = stream::iter(checks).buffer_unordered(CHECKS_AT_ONCE).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

async fn check(store: &dyn ObjectStore, object: &Path, file: &DataFile, at: &str) -> Result<Option<String>> {
    match store.head(object).await {
        Ok(found) if found.size == file.size => Ok(None),
        Ok(found) => Ok(Some(format!("{at} has {} bytes of {}", found.size, file.size))),
        Err(Error::NotFound { .. }) => Ok(Some(format!("{at} is gone"))),
        Err(error) => Err(error.into()),
    }
}
