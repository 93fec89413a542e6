//! A folder as its markers tell of it.

use std::sync::Arc;

use object_store::ObjectStore;
use uuid::Uuid;

use super::marker::Marker;
use super::markers::Markers;
use crate::sink::{SinkError, SinkMark};

/// What a sink's folder holds for readers.
#[derive(Debug)]
pub struct FolderView {
    pub mark: SinkMark,
    /// In the order of the entries.
    pub markers: Vec<Marker>,
}

impl FolderView {
    pub fn rows(&self) -> u64 {
        self.markers.iter().flat_map(|marker| &marker.files).map(|file| file.rows).sum()
    }

    pub fn files(&self) -> usize {
        self.markers.iter().map(|marker| marker.files.len()).sum()
    }
}

/// `None` if the folder was never begun.
pub async fn inspect(store: Arc<dyn ObjectStore>, location: &str) -> Result<Option<FolderView>, SinkError> {
    let markers = Markers::new(store, location.to_owned());
    let Some(identity) = markers.identity().await? else { return Ok(None) };
    let all = markers.all().await?;
    let number = all.last().map_or(identity.since, |marker| marker.entry.max(identity.since));
    Ok(Some(FolderView { mark: SinkMark { number, ledger: identity.ledger }, markers: all }))
}

/// The ledger that the folder follows, if it is the sink's.
pub async fn ledger_of_mark(
    store: Arc<dyn ObjectStore>,
    location: &str,
    pipeline: &str,
    sink: &str,
) -> Result<Option<Uuid>, SinkError> {
    let identity = Markers::new(store, location.to_owned()).identity().await?;
    let ours = identity.filter(|identity| identity.pipeline == pipeline && identity.sink == sink);
    Ok(ours.map(|identity| identity.ledger))
}
