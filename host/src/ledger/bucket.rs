//! A ledger's objects in an object store.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Attribute, Attributes, Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions};

use super::store::{EntryStore, Listed, Put, StoreError};

/// Anything with put-if-absent and listings that see every put: S3, Azure, GCS, and memory. Not for local
/// disks: object_store does not sync them (see [`LocalEntries`](super::local::LocalEntries)).
#[derive(Debug)]
pub struct BucketEntries {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
}

impl BucketEntries {
    pub fn new(store: Arc<dyn ObjectStore>, prefix: Path) -> Self {
        Self { store, prefix }
    }

    fn path(&self, name: &str) -> Path {
        name.split('/').fold(self.prefix.clone(), |path, part| path.join(part))
    }
}

#[async_trait]
impl EntryStore for BucketEntries {
    async fn put_if_absent(&self, name: &str, bytes: Bytes) -> Result<Put, StoreError> {
        // A 404 or a stale listing from a cache on the way would be believed.
        let attributes = Attributes::from_iter([(Attribute::CacheControl, "no-store")]);
        let options = PutOptions { mode: PutMode::Create, attributes, ..PutOptions::default() };
        match self.store.put_opts(&self.path(name), bytes.into(), options).await {
            Ok(_) => Ok(Put::Created),
            Err(Error::AlreadyExists { .. }) => Ok(Put::Taken),
            Err(error) => Err(StoreError::new("put", name, error)),
        }
    }

    async fn get(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        let failed = |error| StoreError::new("get", name, error);
        match self.store.get(&self.path(name)).await {
            Ok(found) => found.bytes().await.map(Some).map_err(failed),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    async fn list(&self, directory: &str, after: &str) -> Result<Vec<Listed>, StoreError> {
        let directory_path = self.path(directory);
        // An empty part would make an offset that some stores refuse, and everything is above nothing.
        let objects = match after {
            "" => self.store.list(Some(&directory_path)),
            after => self.store.list_with_offset(Some(&directory_path), &directory_path.clone().join(after)),
        };
        let mut listed: Vec<Listed> = objects
            .try_filter_map(async |object| {
                let modified_at_ms = object.last_modified.timestamp_millis();
                let file = object.location.filename().map(str::to_owned);
                Ok(file.map(|file| Listed { file, modified_at_ms }))
            })
            .try_collect()
            .await
            .map_err(|error| StoreError::new("list", directory, error))?;
        listed.sort_by(|left, right| left.file.cmp(&right.file));
        Ok(listed)
    }

    async fn delete(&self, name: &str) -> Result<(), StoreError> {
        match self.store.delete(&self.path(name)).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(StoreError::new("delete", name, error)),
        }
    }
}
