//! Entries into a table that is kept by key: their rows are merged into the table's files, by rewriting those that
//! hold rows of the same keys.
//!
//! 1. `incoming`: the staged files of all entries, keys only, come to one winning row for each key.
//! 2. `candidates`: statistics and partitions say which files of the table may hold one of the keys.
//! 3. `matching`: those are looked through, keys only, for rows that a winner replaces, or that are newer than it.
//! 4. `rewriting`: files with replaced rows are written anew without them, and the winners after them.
//!
//! Files are read row group by row group. What is held in memory is the keys of the staged rows, the positions of
//! the replaced rows, and the files being written. Nothing of it is visible before the commit; an applier that
//! loses leaves files that nothing refers to, for VACUUM, which a table that is rewritten needs anyway.
//!
//! Between rows of one key the larger `order_by` wins; then the later entry; then the later place in the entry's
//! files. A row in the table loses to an incoming one of the same `order_by`, and where it has none.

mod candidates;
mod incoming;
mod matching;
mod reading;
mod rewriting;

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use deltalake_core::kernel::StructType;
use deltalake_core::kernel::engine::arrow_conversion::TryIntoArrow;
use object_store::ObjectStore;

use self::incoming::Incoming;
use super::DeltaSettings;
use super::changes::{Changes, Operation};
use super::files::{ActiveFile, ActiveFiles};
use super::guard::Guard;
use super::log::State;
use super::row_key::RowKey;
use crate::crash;
use crate::ledger::entry::{DataFile, Entry, EntryNumber, SinkEntry};
use crate::sink::SinkError;
use crate::sink::rows::{Partitioning, RowsError, is_staged};

/// Staged rows of one merge: it holds their keys in memory.
pub(super) const ROWS_AT_ONCE: u64 = 1_000_000;

pub(super) struct Upsert {
    sink: String,
    key: RowKey,
    partitioning: Partitioning,
    file_size: usize,
    store: Arc<dyn ObjectStore>,
}

/// Why a merge came to nothing.
#[derive(Debug, thiserror::Error)]
enum MergeError {
    /// A fault of the moment.
    #[error("`{path}`: {what}")]
    Unavailable { path: String, what: String },
    #[error("`{path}` is gone")]
    Gone { path: String },
    #[error("`{path}` cannot be read: {what}")]
    Unreadable { path: String, what: String },
    #[error("a row of `{path}` lacks its key or its order, and such rows are never staged")]
    Keyless { path: String },
    #[error(transparent)]
    Write(#[from] RowsError),
    #[error(transparent)]
    Arrow(#[from] ArrowError),
}

/// A file of an entry, whose rows wait to be merged.
#[derive(Clone, Copy)]
struct Staged<'a> {
    number: EntryNumber,
    file: &'a DataFile,
}

/// One merge into one version of the table.
struct Merge<'a> {
    key: &'a RowKey,
    /// Of rows that are laid out as the table is.
    partitioning: Partitioning,
    /// The table's schema after the merge.
    table: SchemaRef,
    file_size: usize,
    store: &'a Arc<dyn ObjectStore>,
    staged: &'a [Staged<'a>],
    files: &'a ActiveFiles,
}

impl Upsert {
    pub fn new(
        settings: &DeltaSettings,
        key: RowKey,
        partitioning: Partitioning,
        store: Arc<dyn ObjectStore>,
    ) -> Self {
        Self { sink: settings.sink.clone(), key, partitioning, file_size: settings.file_size, store }
    }

    /// What the entries change in the table as `state` has it. The files that it adds are in place afterwards.
    pub async fn changes(
        &self,
        guard: &Guard,
        state: &State,
        parts: &[(&Entry, &SinkEntry)],
        table: &StructType,
    ) -> Result<Changes, SinkError> {
        let mut staged = Vec::new();
        for (entry, part) in parts {
            if let Some(file) = part.files.iter().find(|file| !is_staged(&file.path)) {
                return guard.other_mode(entry.number, &file.path);
            }
            staged.extend(part.files.iter().map(|file| Staged { number: entry.number, file }));
        }
        let none = ActiveFiles::new(&[], &[]);
        let files = state.files.as_deref().unwrap_or(&none);
        for (path, file) in files.iter() {
            check_file(guard, path, file)?;
        }
        let merge = self.merge(&staged, files, table).or_else(|error| guard.refuse(&error.to_string()))?;
        crash::sink_point("before_merge", &self.sink);
        let changes = merge.run().await.or_else(|error| self.explain(guard, &staged, error))?;
        crash::sink_point("after_merge", &self.sink);
        Ok(changes)
    }

    fn merge<'a>(
        &'a self,
        staged: &'a [Staged<'a>],
        files: &'a ActiveFiles,
        table: &StructType,
    ) -> Result<Merge<'a>, RowsError> {
        let table: Schema = table.try_into_arrow()?;
        Ok(Merge {
            key: &self.key,
            partitioning: self.partitioning.of_table(&table)?,
            table: Arc::new(table),
            file_size: self.file_size,
            store: &self.store,
            staged,
            files,
        })
    }

    fn explain(&self, guard: &Guard, staged: &[Staged<'_>], error: MergeError) -> Result<Changes, SinkError> {
        let moment = |what: &str| Err(SinkError::Unavailable(format!("{}: merging: {what}", guard.location)));
        match error {
            MergeError::Unavailable { .. } | MergeError::Write(RowsError::Store { .. }) => {
                moment(&error.to_string())
            }
            MergeError::Gone { path } => match staged.iter().find(|staged| staged.file.path == path) {
                Some(staged) => guard.gone(staged.number, &path),
                // A newer version that we have not seen may have done without the file.
                None => moment(&format!(
                    "file `{path}` of the table is gone; if no newer version explains that, restore it from a copy"
                )),
            },
            MergeError::Unreadable { .. } => guard.refuse(&format!("{error}; restore it from a copy")),
            MergeError::Keyless { .. } | MergeError::Write(_) | MergeError::Arrow(_) => {
                guard.refuse(&error.to_string())
            }
        }
    }
}

/// What a merge would misread.
fn check_file(guard: &Guard, path: &str, file: &ActiveFile) -> Result<(), SinkError> {
    if file.has_deletion_vector {
        return guard.refuse(&format!(
            "file `{path}` of the table has a deletion vector, which `mode: upsert` does not read; run `REORG TABLE ... APPLY (PURGE)`, and set `delta.enableDeletionVectors` to `false`"
        ));
    }
    if path.contains("://") {
        return guard.refuse(&format!(
            "file `{path}` lies outside of the table: a shallow clone cannot be merged into; write to another table"
        ));
    }
    Ok(())
}

impl Merge<'_> {
    async fn run(&self) -> Result<Changes, MergeError> {
        let mut incoming = Incoming::read(self).await?;
        let candidates = candidates::of(self.files, self.key, &self.table, &incoming)?;
        let matches = matching::find(self, &mut incoming, &candidates).await?;
        let added = rewriting::rewrite(self, &incoming, &matches).await?;
        let copied = matches.iter().map(|found| found.rows - found.replaced.len() as u64).sum();
        let removed: Vec<_> =
            matches.into_iter().map(|found| (found.path.clone(), found.file.clone())).collect();
        let operation = operation(self.key, &incoming, copied, removed.len(), &added);
        Ok(Changes { removed, added, operation })
    }
}

fn operation(
    key: &RowKey,
    incoming: &Incoming,
    copied: u64,
    removed: usize,
    added: &[DataFile],
) -> Operation {
    let same: Vec<String> = key.columns.iter().map(|name| format!("target.{name} = source.{name}")).collect();
    let newer = format!("source.{0} >= target.{0}", key.order_by);
    let matched = serde_json::json!([{"predicate": newer, "actionType": "update"}]);
    let counts = incoming.counts();
    Operation {
        name: "MERGE",
        parameters: vec![
            ("predicate", same.join(" AND ")),
            ("matchedPredicates", matched.to_string()),
            ("notMatchedPredicates", r#"[{"actionType":"insert"}]"#.to_owned()),
        ],
        metrics: vec![
            ("numSourceRows", incoming.rows),
            ("numSourceRowsSuperseded", incoming.rows - counts.inserted - counts.updated - counts.outdated),
            ("numSourceRowsOutdated", counts.outdated),
            ("numTargetRowsInserted", counts.inserted),
            ("numTargetRowsUpdated", counts.updated),
            ("numTargetRowsCopied", copied),
            ("numTargetFilesRemoved", removed as u64),
            ("numTargetFilesAdded", added.len() as u64),
            ("numOutputRows", added.iter().map(|file| file.rows).sum()),
        ],
        is_blind_append: false,
    }
}
