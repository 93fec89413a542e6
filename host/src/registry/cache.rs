//! Manifests and components that were pulled, each in a file named by its digest. Whatever is read is held against its
//! name, so that it does not matter who else writes there; files are put whole, so that any number of processes may.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use uuid::Uuid;

use super::reference::Digest;

#[derive(Debug, Clone)]
pub(super) struct Cache {
    folder: PathBuf,
}

impl Cache {
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What has the digest, if it is here and whole and no longer than `limit`.
    pub fn get(&self, digest: &Digest, limit: u64) -> Option<Bytes> {
        let path = self.folder.join(digest.hex());
        let mut bytes = Vec::new();
        let read = fs::File::open(&path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes));
        match read {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cannot read what was pulled before, pulling it anew");
                return None;
            }
        }
        if bytes.len() as u64 > limit {
            return None;
        }
        if Digest::of(&bytes) != *digest {
            tracing::warn!(path = %path.display(), "what was pulled before is damaged, pulling it anew");
            return None;
        }
        Some(bytes.into())
    }

    /// Keeps what was pulled. A failure costs only the next start's time.
    pub fn put(&self, digest: &Digest, bytes: &[u8]) {
        if let Err(error) = self.try_put(digest, bytes) {
            tracing::warn!(folder = %self.folder.display(), %error, "cannot keep what was pulled");
        }
    }

    fn try_put(&self, digest: &Digest, bytes: &[u8]) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let temporary = self.folder.join(format!("{}.tmp", Uuid::new_v4()));
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)
            .and_then(|mut file| file.write_all(bytes))
            .and_then(|()| fs::rename(&temporary, self.folder.join(digest.hex())));
        if written.is_err() {
            // Nothing reads it; the first error is the one to tell.
            let _ = fs::remove_file(&temporary);
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_whole_is_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().join("new"));
        let digest = Digest::of(b"component");
        assert!(cache.get(&digest, 100).is_none());
        cache.put(&digest, b"component");
        assert_eq!(cache.get(&digest, 9).unwrap(), "component");
        assert!(cache.get(&digest, 8).is_none());
        fs::write(cache.folder().join(digest.hex()), b"componenT").unwrap();
        assert!(cache.get(&digest, 100).is_none());
        cache.put(&digest, b"component");
        assert_eq!(cache.get(&digest, 100).unwrap(), "component");
        assert_eq!(fs::read_dir(cache.folder()).unwrap().count(), 1);
    }
}
