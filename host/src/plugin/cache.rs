//! Compiled plugins, kept between starts in a directory that only this user writes.
//!
//! Loading compiled code is as good as running it, so a file counts only if it lies in that directory and
//! its content has the digest that it starts with. Its name holds everything that the code depends on:
//! the component's digest, the version of wasmtime and the engine's settings.

use std::fs::{self, DirBuilder, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use uuid::Uuid;
use wasmtime::component::Component;

use super::error::PluginError;

const DIGEST_LENGTH: usize = 32;

pub(super) struct CodeCache {
    directory: PathBuf,
    /// Of wasmtime and the engine's settings.
    settings: String,
}

impl CodeCache {
    /// Creates the directory if need be; refuses one that others may write to.
    pub fn open(directory: PathBuf, engine: &wasmtime::Engine) -> Result<Self, PluginError> {
        prepare(&directory)
            .map_err(|reason| PluginError::Cache { path: directory.clone(), reason: reason.to_string() })?;
        let mut hasher = StableHasher(Sha256::new());
        // wasmtime puts its own version into this hash.
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Ok(Self { directory, settings: format!("{:x}", hasher.0.finalize()) })
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.directory.join(format!("{digest}-{}.cwasm", &self.settings[..16]))
    }

    /// The compiled component, if it is here and whole.
    pub fn load(&self, digest: &str, engine: &wasmtime::Engine) -> Option<Component> {
        let path = self.path(digest);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cannot read a compiled plugin, compiling anew");
                return None;
            }
        };
        let Some(code) = checked(&bytes) else {
            tracing::warn!(path = %path.display(), "a compiled plugin is damaged, compiling anew");
            return None;
        };
        // SAFETY: these bytes were written by `store` below: the directory belongs to this user and nobody
        // else may write there, and the digest shows that they are as they were written.
        unsafe { Component::deserialize(engine, code) }
            .inspect_err(
                |error| tracing::warn!(path = %path.display(), %error, "a compiled plugin does not fit, compiling anew"),
            )
            .ok()
    }

    /// Keeps the compiled component. A failure costs only the next start's time.
    pub fn store(&self, digest: &str, code: &[u8]) {
        let path = self.path(digest);
        if let Err(error) = write_whole(&self.directory, &path, code) {
            tracing::warn!(path = %path.display(), %error, "cannot keep a compiled plugin");
        }
    }
}

fn prepare(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let metadata = fs::metadata(directory)?;
    // SAFETY: geteuid only returns a number.
    let user = unsafe { libc::geteuid() };
    if metadata.uid() != user {
        return Err(io::Error::other("it belongs to another user: compiled code there is not to be trusted"));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(io::Error::other("others may write to it: take that right away (chmod go-w)"));
    }
    Ok(())
}

/// The code behind its digest.
fn checked(bytes: &[u8]) -> Option<&[u8]> {
    let (digest, code) = bytes.split_at_checked(DIGEST_LENGTH)?;
    (Sha256::digest(code).as_slice() == digest).then_some(code)
}

/// Readers see the whole file or none.
fn write_whole(directory: &Path, path: &Path, code: &[u8]) -> io::Result<()> {
    let temporary = directory.join(format!("{}.tmp", Uuid::new_v4()));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| {
            file.write_all(&Sha256::digest(code))?;
            file.write_all(code)
        })
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // Nothing reads it; the first error is the one to tell.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// The standard library's hasher may change with its version; file names must not.
struct StableHasher(Sha256);

impl Hasher for StableHasher {
    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        digest.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_damaged_file_is_compiled_anew() {
        let directory = tempfile::tempdir().unwrap();
        let engine = wasmtime::Engine::default();
        let cache = CodeCache::open(directory.path().join("code"), &engine).unwrap();
        let code = engine.precompile_component(&wat::parse_str("(component)").unwrap()).unwrap();
        assert!(cache.load("ab", &engine).is_none());
        cache.store("ab", &code);
        assert!(cache.load("ab", &engine).is_some());
        let path = cache.path("ab");
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert!(cache.load("ab", &engine).is_none());
        fs::write(&path, &bytes[..7]).unwrap();
        assert!(cache.load("ab", &engine).is_none());
    }

    #[test]
    fn a_directory_that_others_write_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let refused =
            CodeCache::open(directory.path().to_owned(), &wasmtime::Engine::default()).err().unwrap();
        assert!(refused.to_string().contains("chmod go-w"), "{refused}");
    }
}
