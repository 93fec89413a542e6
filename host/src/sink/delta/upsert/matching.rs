//! Which rows of the table's files have the keys of winners.

use futures::{StreamExt, TryStreamExt, stream};

use super::incoming::{Fate, Incoming, WinnerIndex};
use super::reading::{self, named};
use super::{Merge, MergeError};
use crate::sink::delta::files::ActiveFile;

/// Files that are looked through at once: each holds the keys of one row group.
const FILES_AT_ONCE: usize = 4;

/// A file that holds rows which winners replace.
pub(super) struct Match<'a> {
    pub path: &'a String,
    pub file: &'a ActiveFile,
    pub rows: u64,
    /// The rows that leave it, ascending.
    pub replaced: Vec<u32>,
}

/// What looking through a file has found.
struct Found<'a> {
    matched: Match<'a>,
    updated: Vec<WinnerIndex>,
    outdated: Vec<WinnerIndex>,
}

/// Looks through the candidates, and says of each winner what the table has of its key.
pub(super) async fn find<'f>(
    merge: &Merge<'_>,
    incoming: &mut Incoming,
    candidates: &[(&'f String, &'f ActiveFile)],
) -> Result<Vec<Match<'f>>, MergeError> {
    let all: Vec<Found<'f>> = {
        let known: &Incoming = incoming;
        let looks: Vec<_> = candidates.iter().map(|&(path, file)| look(merge, known, path, file)).collect();
        stream::iter(looks).buffered(FILES_AT_ONCE).try_collect().await?
    };
    let mut matches = Vec::new();
    for found in all {
        found.updated.into_iter().for_each(|winner| incoming.settle(winner, Fate::Updates));
        found.outdated.into_iter().for_each(|winner| incoming.settle(winner, Fate::Outdated));
        if !found.matched.replaced.is_empty() {
            matches.push(found.matched);
        }
    }
    Ok(matches)
}

async fn look<'f>(
    merge: &Merge<'_>,
    incoming: &Incoming,
    path: &'f String,
    file: &'f ActiveFile,
) -> Result<Found<'f>, MergeError> {
    let partition_columns: Vec<&str> = merge.partitioning.columns().collect();
    let partition = named(&partition_columns, &file.partition);
    let names: Vec<&str> = merge.key.names().collect();
    let mut batches = reading::open(merge.store, path, file.size, Some(&names)).await?;
    let matched = Match { path, file, rows: 0, replaced: Vec::new() };
    let mut found = Found { matched, updated: Vec::new(), outdated: Vec::new() };
    let (mut row, mut key) = (0u32, Vec::new());
    while let Some(batch) = batches.try_next().await.map_err(|error| reading::failure(path, error))? {
        let keys = incoming.encoder.encode(&batch, &partition)?;
        for index in 0..batch.num_rows() {
            let winner = if keys.key(index, &mut key) { incoming.find(&key) } else { None };
            if let Some(winner) = winner {
                // A row without order is older than any: nulls sort first.
                if incoming.replaces(winner, keys.order.row(index).data()) {
                    found.updated.push(winner);
                    found.matched.replaced.push(row);
                } else {
                    found.outdated.push(winner);
                }
            }
            row += 1;
        }
        tokio::task::yield_now().await;
    }
    found.matched.rows = u64::from(row);
    Ok(found)
}
