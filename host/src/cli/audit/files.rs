//! The files that entries list: each must be there, whole.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Result;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStore;
use object_store::path::Path;

use crate::ledger::entry::{Body, Entry, EntryNumber};
use crate::sink::delta::ActiveFile;
use crate::sink::files::FolderView;
use crate::sink::rows::{InPlace, in_place};

const CHECKS_AT_ONCE: usize = 16;

/// Files of entries above the mark are still to be applied; of the others those count that the table still lists,
/// for what a merge, a rewriting or a VACUUM took out of it may be gone, as may what was sent.
pub async fn audit(
    sink: &str,
    store: &dyn ObjectStore,
    listed: &[ActiveFile],
    entries: &[Arc<Entry>],
    mark: EntryNumber,
) -> Result<Vec<String>> {
    let active: HashMap<&str, &Path> = listed.iter().map(|file| (file.path.as_str(), &file.object)).collect();
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
            checks.push(async move { check(store, &object, file.size, &at).await });
        }
    }
    let found: Vec<_> = stream::iter(checks).buffer_unordered(CHECKS_AT_ONCE).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

/// Every file that a marker lists.
pub async fn audit_marked(sink: &str, store: &dyn ObjectStore, folder: &FolderView) -> Result<Vec<String>> {
    let mut checks = Vec::new();
    for marker in &folder.markers {
        for file in &marker.files {
            let (object, at) =
                (Path::parse(&file.path)?, format!("{sink}: entry {}: {}", marker.entry, file.path));
            checks.push(async move { check(store, &object, file.size, &at).await });
        }
    }
    let found: Vec<_> = stream::iter(checks).buffer_unordered(CHECKS_AT_ONCE).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

async fn check(store: &dyn ObjectStore, object: &Path, size: u64, at: &str) -> Result<Option<String>> {
    Ok(match in_place(store, object, size).await? {
        InPlace::Whole => None,
        InPlace::OtherSize(bytes) => Some(format!("{at} has {bytes} bytes of {size}")),
        InPlace::Gone => Some(format!("{at} is gone")),
    })
}
