//! Whether a data file is where it was put.

use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InPlace {
    Whole,
    Gone,
    /// With so many bytes instead.
    OtherSize(u64),
}

/// `size` is what the file was written with, in bytes.
pub async fn in_place(store: &dyn ObjectStore, path: &Path, size: u64) -> Result<InPlace> {
    match store.head(path).await {
        Ok(found) if found.size == size => Ok(InPlace::Whole),
        Ok(found) => Ok(InPlace::OtherSize(found.size)),
        Err(Error::NotFound { .. }) => Ok(InPlace::Gone),
        Err(error) => Err(error),
    }
}
