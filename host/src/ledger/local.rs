//! A ledger's objects on a local disk.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use async_trait::async_trait;
use bytes::Bytes;
use uuid::Uuid;

use super::store::{EntryStore, Listed, Put, StoreError};

const TEMPORARY: &str = ".tmp";

/// Files under one directory. object_store's local store links atomically but syncs nothing; an entry
/// must outlive a power cut, so a put is: temporary file, fsync, link to the name, fsync of the directory.
#[derive(Debug, Clone)]
pub struct LocalEntries {
    root: PathBuf,
}

impl LocalEntries {
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        name: &str,
        work: impl FnOnce(PathBuf) -> io::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let path = self.root.join(name);
        match tokio::task::spawn_blocking(move || work(path)).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(StoreError::new(operation, name, error)),
            Err(error) => Err(StoreError::new(operation, name, error)),
        }
    }
}

#[async_trait]
impl EntryStore for LocalEntries {
    async fn put_if_absent(&self, name: &str, bytes: Bytes) -> Result<Put, StoreError> {
        self.run("put", name, move |path| put(&path, &bytes)).await
    }

    async fn get(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        self.run("get", name, |path| get(&path)).await
    }

    async fn list(&self, directory: &str, after: &str) -> Result<Vec<Listed>, StoreError> {
        let after = after.to_owned();
        self.run("list", directory, move |path| list(&path, &after)).await
    }

    async fn delete(&self, name: &str) -> Result<(), StoreError> {
        self.run("delete", name, |path| match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
        .await
    }
}

fn put(path: &Path, bytes: &[u8]) -> io::Result<Put> {
    let directory = directory_of(path)?;
    create_directory(directory)?;
    let temporary = path.with_extension(format!("{}{TEMPORARY}", Uuid::new_v4()));
    let linked = write_synced(&temporary, bytes).and_then(|()| fs::hard_link(&temporary, path));
    let removed = fs::remove_file(&temporary);
    match linked {
        Ok(()) => {
            sync_directory(directory)?;
            removed?;
            Ok(Put::Created)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Put::Taken),
        Err(error) => Err(error),
    }
}

fn get(path: &Path) -> io::Result<Option<Bytes>> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(mut file) => file.read_to_end(&mut bytes)?,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // The writer may have died, or may still be, between its link and its sync.
    sync_directory(directory_of(path)?)?;
    Ok(Some(bytes.into()))
}

fn list(path: &Path, after: &str) -> io::Result<Vec<Listed>> {
    let files = match fs::read_dir(path) {
        Ok(files) => files,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut listed = Vec::new();
    for file in files {
        let file = file?;
        let Ok(name) = file.file_name().into_string() else { continue };
        if name.ends_with(TEMPORARY) || name.as_str() <= after {
            continue;
        }
        let modified = match file.metadata().and_then(|metadata| metadata.modified()) {
            Ok(modified) => modified,
            // Deleted since the directory was read.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let age = modified.duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
        let modified_at_ms = i64::try_from(age.as_millis()).map_err(io::Error::other)?;
        listed.push(Listed { file: name, modified_at_ms });
    }
    listed.sort_by(|left, right| left.file.cmp(&right.file));
    Ok(listed)
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Creates the directory and its missing parents, each synced into its own parent.
fn create_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = directory_of(path)?;
    create_directory(parent)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => sync_directory(parent),
    }
}

fn directory_of(path: &Path) -> io::Result<&Path> {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Ok(Path::new(".")),
        Some(parent) => Ok(parent),
        None => Err(io::Error::new(ErrorKind::InvalidInput, "the path has no directory")),
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
