//! Writing the lock file: whole or not at all, for workers may be watching it.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::Result;
use uuid::Uuid;

use crate::config::Lock;

/// Puts the lock in place of what the file says; a lock that says nothing has no file.
pub fn write(file: &Path, lock: &Lock) -> Result<()> {
    let Some(text) = lock.to_text() else {
        return match fs::remove_file(file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(error, file)),
            _ => Ok(()),
        };
    };
    let temporary = file.with_extension(format!("lock.{}", Uuid::new_v4()));
    let written = fs::File::create_new(&temporary)
        .and_then(|mut new| {
            new.write_all(text.as_bytes())?;
            new.sync_all()
        })
        .and_then(|()| fs::rename(&temporary, file))
        .and_then(|()| fs::File::open(file.parent().unwrap_or(Path::new(".")))?.sync_all());
    written.map_err(|error| {
        // The first error is the one to tell.
        let _ = fs::remove_file(&temporary);
        failed(error, file)
    })
}

fn failed(error: std::io::Error, file: &Path) -> anyhow::Error {
    anyhow::Error::new(error).context(format!(
        "cannot write {}: run this where its folder can be written to, and bring the file to the workers",
        file.display()
    ))
}
