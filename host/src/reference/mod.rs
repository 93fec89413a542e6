//! Reading reference tables: Parquet and CSV files, and Delta tables, each wholly and within a bound.
//!
//! | module | what it does |
//! |---|---|
//! | `files` | which files a table of files is, and their bytes |
//! | `parquet`, `csv` | a file's bytes to rows |
//! | `rows` | rows of several files put together, within the bound |

mod csv;
mod files;
mod parquet;
mod rows;

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::DataType;
use object_store::ObjectStore;
use sha2::{Digest, Sha256};
use tokio::time::timeout;
use url::Url;

use self::files::{Listing, MOST_FILES, TableFile, read};
use self::rows::CollectedRows;
use crate::reference_table::ReferenceTable;
use crate::sink::delta::{DeltaStorage, TableSnapshot};
use crate::storage::{StoreOptions, open_root};

/// How long a table may take to be looked at, and to be read.
const PATIENCE: Duration = Duration::from_secs(600);

/// What a reference table is made of.
#[derive(Debug, Clone, PartialEq)]
pub enum ReferenceForm {
    Parquet,
    Csv(CsvForm),
    /// The newest version, or this one.
    Delta {
        version: Option<u64>,
    },
}

/// How CSV files are written. Text may stand in double quotes; an empty field is null.
#[derive(Debug, Clone, PartialEq)]
pub struct CsvForm {
    /// The columns with their types. With a header, those to take; all of them, as text, if absent. Without a header, all
    /// columns of the files in their order.
    pub columns: Option<Vec<(String, DataType)>>,
    pub delimiter: u8,
    pub header: bool,
}

/// Where a reference table is read from. Cheap to clone.
#[derive(Clone)]
pub struct ReferenceSource {
    form: ReferenceForm,
    location: Url,
    store: Arc<dyn ObjectStore>,
    /// Of memory that the rows may take.
    max_bytes: usize,
    patience: Duration,
}

/// Says cheaply whether a table may have changed: while it is the same, so is the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp(String);

#[derive(Debug, thiserror::Error)]
pub enum ReferenceError {
    #[error("`{location}` cannot be read: {source}")]
    Store { location: String, source: object_store::Error },
    #[error("{0}")]
    Storage(#[from] crate::storage::StorageError),
    #[error("there is no {what} at `{location}`")]
    Missing { location: String, what: &'static str },
    #[error("`{file}` cannot be read: {what}")]
    Unreadable { file: String, what: String },
    #[error(
        "the table at `{location}` takes more than `max_bytes` ({max_bytes}): raise it, or make the table smaller"
    )]
    TooLarge { location: String, max_bytes: usize },
    #[error("there are more than {most} files at `{0}`: make larger ones of them", most = MOST_FILES)]
    TooMany(String),
    #[error("`{location}` was not read within {} s", .patience.as_secs())]
    TooSlow { location: String, patience: Duration },
    #[error("the files at `{0}` changed while they were read")]
    Changed(String),
    #[error("{0}")]
    Delta(#[from] crate::sink::delta::DeltaError),
    #[error("reading `{location}` failed: {what}")]
    Failed { location: String, what: String },
}

impl ReferenceSource {
    /// `location`: of a file, or of a folder.
    pub fn new(
        form: ReferenceForm,
        location: Url,
        options: &StoreOptions,
        max_bytes: usize,
    ) -> Result<Self, ReferenceError> {
        let store = open_root(&location, options)?;
        Ok(Self { form, location, store, max_bytes, patience: PATIENCE })
    }

    /// The table's stamp as it is now.
    pub async fn stamp(&self) -> Result<Stamp, ReferenceError> {
        let stamp = async {
            match &self.form {
                ReferenceForm::Delta { version } => Ok(Stamp(self.snapshot(*version).await?.name())),
                form => Ok(self.list(form).await?.stamp()),
            }
        };
        self.in_time(stamp).await
    }

    /// Reads the table.
    pub async fn read(&self) -> Result<(Stamp, ReferenceTable), ReferenceError> {
        let read = async {
            match &self.form {
                ReferenceForm::Delta { version } => self.read_delta(*version).await,
                form => self.read_files(form).await,
            }
        };
        self.in_time(read).await
    }

    async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, ReferenceError>>,
    ) -> Result<T, ReferenceError> {
        timeout(self.patience, work).await.unwrap_or_else(|_| {
            let (location, patience) = (self.location.to_string(), self.patience);
            Err(ReferenceError::TooSlow { location, patience })
        })
    }

    async fn snapshot(&self, version: Option<u64>) -> Result<TableSnapshot, ReferenceError> {
        let storage = DeltaStorage::new(self.store.clone(), &self.location)?;
        let snapshot = TableSnapshot::load(&storage, version).await?;
        snapshot.ok_or_else(|| self.missing("Delta table"))
    }

    async fn read_delta(&self, version: Option<u64>) -> Result<(Stamp, ReferenceTable), ReferenceError> {
        let snapshot = self.snapshot(version).await?;
        let name = snapshot.name();
        let mut rows = CollectedRows::new(self.location.to_string(), self.max_bytes);
        let table = self.off_the_runtime(move || {
            rows.expect(snapshot.schema()?);
            snapshot.read(|batch| rows.push(batch))?;
            rows.into_table(name)
        });
        let table = table.await?;
        Ok((Stamp(table.version.clone()), table))
    }

    async fn list(&self, form: &ReferenceForm) -> Result<Listing, ReferenceError> {
        let (extension, what) = match form {
            ReferenceForm::Csv(_) => ("csv", "CSV file (`.csv`)"),
            ReferenceForm::Parquet | ReferenceForm::Delta { .. } => ("parquet", "Parquet file (`.parquet`)"),
        };
        let listing = Listing::read(&self.store, &self.location, extension)
            .await
            .map_err(|source| self.store_error(source))?;
        if listing.files.is_empty() {
            return Err(self.missing(what));
        }
        if listing.files.len() > MOST_FILES {
            return Err(ReferenceError::TooMany(self.location.to_string()));
        }
        Ok(listing)
    }

    async fn read_files(&self, form: &ReferenceForm) -> Result<(Stamp, ReferenceTable), ReferenceError> {
        let listing = self.list(form).await?;
        let too_large = || {
            let (location, max_bytes) = (self.location.to_string(), self.max_bytes);
            ReferenceError::TooLarge { location, max_bytes }
        };
        let mut left = self.max_bytes as u64;
        if listing.bytes() > left {
            return Err(too_large());
        }
        let mut digest = Sha256::new();
        let mut rows = CollectedRows::new(self.location.to_string(), self.max_bytes);
        for file in &listing.files {
            let bytes = read(&self.store, &file.location, left).await;
            let bytes = bytes.map_err(|source| self.store_error(source))?.ok_or_else(too_large)?;
            left = left.saturating_sub(bytes.len() as u64);
            let size = (bytes.len() as u64).to_le_bytes();
            for part in [file.name.as_bytes(), &[0][..], &size[..], &bytes[..]] {
                digest.update(part);
            }
            let (form, name) = (form.clone(), self.told(file));
            let decode = move || {
                let unreadable = |what: String| ReferenceError::Unreadable { file: name.clone(), what };
                match &form {
                    ReferenceForm::Csv(form) => csv::read(&bytes, form, &mut rows, unreadable)?,
                    _ => parquet::read(bytes, &mut rows, unreadable)?,
                }
                Ok(rows)
            };
            rows = self.off_the_runtime(decode).await?;
        }
        // The files of one state only: somebody may be in the middle of replacing them.
        if self.list(form).await?.stamp() != listing.stamp() {
            return Err(ReferenceError::Changed(self.location.to_string()));
        }
        Ok((listing.stamp(), rows.into_table(format!("sha256:{:x}", digest.finalize()))?))
    }

    /// Decoding takes time, and a file may be anything.
    async fn off_the_runtime<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ReferenceError> + Send + 'static,
    ) -> Result<T, ReferenceError> {
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
            Err(ReferenceError::Failed { location: self.location.to_string(), what: error.to_string() })
        })
    }

    /// A file as people find it.
    fn told(&self, file: &TableFile) -> String {
        let location = self.location.as_str();
        let is_table = self.location.path().trim_end_matches('/').ends_with(&format!("/{}", file.name));
        match is_table {
            true => location.trim_end_matches('/').to_owned(),
            false => format!("{}/{}", location.trim_end_matches('/'), file.name),
        }
    }

    fn missing(&self, what: &'static str) -> ReferenceError {
        let location = self.location.as_str().trim_end_matches('/').to_owned();
        ReferenceError::Missing { location, what }
    }

    fn store_error(&self, source: object_store::Error) -> ReferenceError {
        ReferenceError::Store { location: self.location.to_string(), source }
    }
}

#[cfg(test)]
mod tests;
