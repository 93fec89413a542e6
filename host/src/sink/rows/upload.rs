//! Data files to their place in the sink's folder.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::{EncodedFile, RowsError};
use crate::ledger::entry::DataFile;

const UPLOADS_AT_ONCE: usize = 8;

/// Puts all files in place, and returns what an entry says of them, in the same order. On local disk the
/// files and their directories are synced before it returns (by [`DurableLocal`](crate::storage::DurableLocal)).
/// After an error, or if the future is dropped, some may be in place: nothing refers to them.
pub async fn upload(
    store: &Arc<dyn ObjectStore>,
    files: Vec<EncodedFile>,
) -> Result<Vec<DataFile>, RowsError> {
    stream::iter(files)
        .map(|EncodedFile { bytes, mut file }| async move {
            let failed = |source| RowsError::Store { path: file.path.clone(), source };
            let path = Path::parse(&file.path).map_err(|error| failed(error.into()))?;
            store.put(&path, bytes.into()).await.map_err(failed)?;
            file.modified_at_ms = chrono::Utc::now().timestamp_millis();
            Ok(file)
        })
        .buffered(UPLOADS_AT_ONCE)
        .try_collect()
        .await
}
