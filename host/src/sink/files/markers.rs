//! The folder of markers.

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::marker::{FORMAT, Identity, Marker};
use crate::ledger::entry::EntryNumber;
use crate::sink::SinkError;

const FOLDER: &str = "_markers";
const IDENTITY: &str = "_markers/sink.json";
/// Entries whose markers share a folder, so that none has to be listed whole that has grown for years.
const ENTRIES_IN_FOLDER: u64 = 10_000;

/// The markers in a sink's folder.
pub(super) struct Markers {
    store: Arc<dyn ObjectStore>,
    /// The sink's folder, for messages.
    location: String,
}

impl Markers {
    pub fn new(store: Arc<dyn ObjectStore>, location: String) -> Self {
        Self { store, location }
    }

    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    pub async fn identity(&self) -> Result<Option<Identity>, SinkError> {
        let Some(identity) = self.read::<Identity>(IDENTITY).await? else { return Ok(None) };
        self.check_format(identity.format, IDENTITY)?;
        Ok(Some(identity))
    }

    /// Nothing is changed if there is one already.
    pub async fn put_identity(&self, identity: &Identity) -> Result<(), SinkError> {
        self.put_if_absent(IDENTITY, &document(identity)?).await.map(|_| ())
    }

    /// The highest entry that has a marker.
    pub async fn newest(&self) -> Result<Option<EntryNumber>, SinkError> {
        let failed = |error: Error| self.unavailable("listing the markers", &error);
        let folders = self.store.list_with_delimiter(Some(&Path::from(FOLDER))).await.map_err(failed)?;
        // Folders and markers sort as their numbers do.
        let Some(newest) = folders.common_prefixes.into_iter().max() else { return Ok(None) };
        let mut markers = self.store.list(Some(&newest));
        let mut highest = None;
        while let Some(marker) = markers.try_next().await.map_err(failed)? {
            highest = highest.max(number_of(&marker.location));
        }
        Ok(highest)
    }

    /// All markers, in the order of their entries.
    pub async fn all(&self) -> Result<Vec<Marker>, SinkError> {
        let failed = |error: Error| self.unavailable("listing the markers", &error);
        let listed: Vec<_> =
            self.store.list(Some(&Path::from(FOLDER))).try_collect().await.map_err(failed)?;
        let mut numbers: Vec<_> = listed.iter().filter_map(|marker| number_of(&marker.location)).collect();
        numbers.sort_unstable();
        let mut markers = Vec::with_capacity(numbers.len());
        for number in numbers {
            markers.extend(self.marker(number).await?);
        }
        Ok(markers)
    }

    async fn marker(&self, number: EntryNumber) -> Result<Option<Marker>, SinkError> {
        let path = path_of(number);
        let Some(marker) = self.read::<Marker>(&path).await? else { return Ok(None) };
        self.check_format(marker.format, &path)?;
        Ok(Some(marker))
    }

    /// Written in order, and never over another one. Refuses if there is one that says something else.
    pub async fn put(&self, marker: &Marker) -> Result<(), SinkError> {
        let path = path_of(marker.entry);
        if self.put_if_absent(&path, &document(marker)?).await? {
            return Ok(());
        }
        match self.marker(marker.entry).await? {
            Some(there) if there == *marker => Ok(()),
            Some(_) => self.refuse(&format!(
                "`{path}` lists other files than entry {} of the ledger: somebody changed it, or the folder is of \
                 another ledger. Restore it from a copy, or give the sink a folder of its own",
                marker.entry
            )),
            None => Err(SinkError::Unavailable(format!("{}: `{path}` comes and goes", self.location))),
        }
    }

    /// Whether it was put: `false` if there was an object already.
    async fn put_if_absent(&self, path: &str, document: &Bytes) -> Result<bool, SinkError> {
        let payload = document.clone().into();
        match self.store.put_opts(&Path::from(path), payload, PutMode::Create.into()).await {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(false),
            Err(error) => Err(self.unavailable(&format!("writing `{path}`"), &error)),
        }
    }

    async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, SinkError> {
        let reading = |error: &Error| self.unavailable(&format!("reading `{path}`"), error);
        let bytes = match self.store.get(&Path::from(path)).await {
            Ok(found) => found.bytes().await.map_err(|error| reading(&error))?,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(reading(&error)),
        };
        match serde_json::from_slice(&bytes) {
            Ok(document) => Ok(Some(document)),
            Err(error) => self.refuse(&format!(
                "`{path}` cannot be read as what Sluicebox wrote ({error}): restore it from a copy"
            )),
        }
    }

    fn check_format(&self, format: u32, path: &str) -> Result<(), SinkError> {
        match format {
            FORMAT => Ok(()),
            other => self.refuse(&format!(
                "`{path}` has format {other}, and this version of Sluicebox knows format {FORMAT}: use the version \
                 that wrote it, or a newer one"
            )),
        }
    }

    pub fn refuse<T>(&self, what: &str) -> Result<T, SinkError> {
        Err(SinkError::Refused(format!("{}: {what}", self.location)))
    }

    pub fn unavailable(&self, doing: &str, error: &Error) -> SinkError {
        SinkError::Unavailable(format!("{}: {doing}: {error}", self.location))
    }
}

fn path_of(number: EntryNumber) -> String {
    format!("{FOLDER}/{:012}/{number:020}.json", number / ENTRIES_IN_FOLDER)
}

fn number_of(path: &Path) -> Option<EntryNumber> {
    path.filename()?.strip_suffix(".json")?.parse().ok()
}

fn document(of: &impl Serialize) -> Result<Bytes, SinkError> {
    let mut json = serde_json::to_vec(of).map_err(|error| SinkError::Refused(error.to_string()))?;
    json.push(b'\n');
    Ok(json.into())
}
