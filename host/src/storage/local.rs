//! An object store on the local disk whose writes survive a loss of power once they have returned.
//! `object_store`'s own `LocalFileSystem` writes and renames without syncing.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
};

const STORE: &str = "local disk";

/// The whole file system; paths are absolute without their first slash.
#[derive(Debug, Clone, Default)]
pub struct DurableLocal {
    files: Arc<LocalFileSystem>,
}

impl DurableLocal {
    pub fn new() -> Self {
        Self::default()
    }
}

impl fmt::Display for DurableLocal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(STORE)
    }
}

#[async_trait]
impl ObjectStore for DurableLocal {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let create_only = match options.mode {
            PutMode::Create => true,
            PutMode::Overwrite => false,
            PutMode::Update(_) => {
                return Err(Error::NotImplemented {
                    operation: "put with an expected version".to_owned(),
                    implementer: STORE.to_owned(),
                });
            }
        };
        let target = self.files.path_to_filesystem(location)?;
        let written = tokio::task::spawn_blocking(move || put_durably(&target, &payload, create_only)).await;
        match written.map_err(|source| Error::JoinError { source })? {
            Ok(()) => Ok(PutResult { e_tag: None, version: None }),
            Err(source) if source.kind() == io::ErrorKind::AlreadyExists => {
                Err(Error::AlreadyExists { path: location.to_string(), source: source.into() })
            }
            Err(source) => Err(Error::Generic { store: STORE, source: source.into() }),
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let target = self.files.path_to_filesystem(location)?;
        let upload = self.files.put_multipart_opts(location, options).await?;
        Ok(Box::new(SyncedUpload { upload, target }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.files.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.files.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.files.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.files.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.files.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.files.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.files.rename_opts(from, to, options).await
    }
}

/// A temporary file beside the target, synced, then linked or renamed into place, then the directory synced:
/// the target is never seen torn, not even after a loss of power.
fn put_durably(target: &FilePath, payload: &PutPayload, create_only: bool) -> io::Result<()> {
    let directory = target.parent().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    create_directories(directory)?;
    let (mut file, staged) = stage(target)?;
    let placed =
        payload.iter().try_for_each(|part| file.write_all(part)).and_then(|()| file.sync_all()).and_then(
            |()| if create_only { fs::hard_link(&staged, target) } else { fs::rename(&staged, target) },
        );
    if create_only || placed.is_err() {
        // A staged file that stays behind is hidden from listings and harms nothing.
        let _ = fs::remove_file(&staged);
    }
    placed?;
    sync_directory(directory)
}

/// Names as `LocalFileSystem` stages uploads (`<target>#<digits>`): its listings leave them out.
fn stage(target: &FilePath) -> io::Result<(File, PathBuf)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    loop {
        let mut name = target.as_os_str().to_owned();
        name.push(format!("#{}{:06}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
        let staged = PathBuf::from(name);
        match OpenOptions::new().write(true).create_new(true).open(&staged) {
            Ok(file) => return Ok((file, staged)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

/// Creates what is missing of `directory`, and syncs the parent of each directory that it created.
fn create_directories(directory: &FilePath) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    if let Some(parent) = directory.parent() {
        create_directories(parent)?;
        match fs::create_dir(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => sync_directory(parent)?,
        }
    }
    Ok(())
}

fn sync_directory(directory: &FilePath) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[derive(Debug)]
struct SyncedUpload {
    upload: Box<dyn MultipartUpload>,
    target: PathBuf,
}

#[async_trait]
impl MultipartUpload for SyncedUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.upload.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let result = self.upload.complete().await?;
        let target = self.target.clone();
        let synced = tokio::task::spawn_blocking(move || {
            File::open(&target)?.sync_all()?;
            target.parent().map_or(Ok(()), sync_directory)
        });
        match synced.await.map_err(|source| Error::JoinError { source })? {
            Ok(()) => Ok(result),
            Err(source) => Err(Error::Generic { store: STORE, source: source.into() }),
        }
    }

    async fn abort(&mut self) -> Result<()> {
        self.upload.abort().await
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;
    use object_store::ObjectStoreExt;

    use super::*;

    #[tokio::test]
    async fn creates_once_and_leaves_nothing_staged() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let root = Path::from_absolute_path(directory.path()).expect("a path");
        let store = DurableLocal::new();
        let file = root.clone().join("a").join("b").join("one.json");
        let create = || PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        store.put_opts(&file, "first".into(), create()).await.expect("the first put");
        let second = store.put_opts(&file, "second".into(), create()).await;
        assert!(matches!(second, Err(Error::AlreadyExists { .. })), "{second:?}");
        assert_eq!(store.get(&file).await.expect("get").bytes().await.expect("bytes"), "first");
        store.put(&file, "third".into()).await.expect("overwriting");
        assert_eq!(store.get(&file).await.expect("get").bytes().await.expect("bytes"), "third");
        let names: Vec<_> = fs::read_dir(directory.path().join("a/b")).expect("a directory").collect();
        assert_eq!(names.len(), 1, "{names:?}");
        let listed: Vec<_> = store.list(Some(&root)).try_collect().await.expect("a listing");
        assert_eq!(listed.len(), 1);
    }
}
