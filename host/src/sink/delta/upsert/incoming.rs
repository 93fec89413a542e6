//! The staged rows of all entries, reduced to one winning row for each key.

use std::collections::{HashMap, HashSet};

use futures::TryStreamExt;

use super::reading::{self, KeyEncoder};
use super::{Merge, MergeError, Staged};

/// One winner for each key that the entries name.
pub(super) struct Incoming {
    pub encoder: KeyEncoder,
    /// Staged rows in all.
    pub rows: u64,
    by_key: HashMap<Box<[u8]>, WinnerIndex>,
    pub winners: Vec<Winner>,
    /// Of each of the key's columns but the first the distinct values: what files are passed over by.
    pub distinct: Vec<HashSet<Box<[u8]>>>,
}

pub(super) type WinnerIndex = u32;

pub(super) struct Winner {
    order: Box<[u8]>,
    /// The place in the list of staged files, and in the file.
    pub file: u32,
    pub row: u32,
    pub fate: Fate,
}

/// What the table has of a winner's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing.
    Inserted,
    /// An older row, or several.
    Updates,
    /// A newer row: the winner does not get in.
    Outdated,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub inserted: u64,
    pub updated: u64,
    pub outdated: u64,
}

impl Incoming {
    pub async fn read(merge: &Merge<'_>) -> Result<Self, MergeError> {
        let columns = merge.key.columns.len();
        let mut incoming = Self {
            encoder: KeyEncoder::new(&merge.table, merge.key)?,
            rows: 0,
            by_key: HashMap::new(),
            winners: Vec::new(),
            distinct: vec![HashSet::new(); columns.saturating_sub(1)],
        };
        for (file, staged) in (0u32..).zip(merge.staged) {
            incoming.read_file(merge, file, staged).await?;
        }
        Ok(incoming)
    }

    async fn read_file(
        &mut self,
        merge: &Merge<'_>,
        file: u32,
        staged: &Staged<'_>,
    ) -> Result<(), MergeError> {
        let path = &staged.file.path;
        let names: Vec<&str> = merge.key.names().collect();
        let mut batches = reading::open(merge.store, path, staged.file.size, Some(&names)).await?;
        let (mut row, mut key) = (0u32, Vec::new());
        while let Some(batch) = batches.try_next().await.map_err(|error| reading::failure(path, error))? {
            let keys = self.encoder.encode(&batch, &[])?;
            for index in 0..batch.num_rows() {
                if !keys.key(index, &mut key) || !keys.has_order(index) {
                    return Err(MergeError::Keyless { path: path.clone() });
                }
                self.take(&key, keys.order.row(index).data(), file, row);
                for (distinct, column) in self.distinct.iter_mut().zip(keys.columns.iter().skip(1)) {
                    let value = column.row(index);
                    if !distinct.contains(value.data()) {
                        distinct.insert(value.data().into());
                    }
                }
                row += 1;
            }
            tokio::task::yield_now().await;
        }
        self.rows += u64::from(row);
        Ok(())
    }

    /// Rows come in the order of entries and positions, so of two that are equal the second wins.
    fn take(&mut self, key: &[u8], order: &[u8], file: u32, row: u32) {
        if let Some(index) = self.find(key) {
            if let Some(winner) =
                self.winners.get_mut(index as usize).filter(|winner| *winner.order <= *order)
            {
                *winner = Winner { order: order.into(), file, row, fate: Fate::Inserted };
            }
            return;
        }
        let index = WinnerIndex::try_from(self.winners.len()).unwrap_or(WinnerIndex::MAX);
        self.by_key.insert(key.into(), index);
        self.winners.push(Winner { order: order.into(), file, row, fate: Fate::Inserted });
    }

    pub fn find(&self, key: &[u8]) -> Option<WinnerIndex> {
        self.by_key.get(key).copied()
    }

    /// Whether the winner takes the place of a row of this order.
    pub fn replaces(&self, winner: WinnerIndex, order: &[u8]) -> bool {
        self.winners.get(winner as usize).is_some_and(|winner| *winner.order >= *order)
    }

    pub fn settle(&mut self, winner: WinnerIndex, fate: Fate) {
        if let Some(winner) = self.winners.get_mut(winner as usize)
            && winner.fate != Fate::Outdated
        {
            winner.fate = fate;
        }
    }

    pub fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.by_key.keys().map(AsRef::as_ref)
    }

    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for winner in &self.winners {
            match winner.fate {
                Fate::Inserted => counts.inserted += 1,
                Fate::Updates => counts.updated += 1,
                Fate::Outdated => counts.outdated += 1,
            }
        }
        counts
    }

    /// For each staged file the rows that get into the table, ascending.
    pub fn rows_by_file(&self, files: usize) -> Vec<Vec<u32>> {
        let mut rows = vec![Vec::new(); files];
        for winner in self.winners.iter().filter(|winner| winner.fate != Fate::Outdated) {
            if let Some(rows) = rows.get_mut(winner.file as usize) {
                rows.push(winner.row);
            }
        }
        rows.iter_mut().for_each(|rows: &mut Vec<u32>| rows.sort_unstable());
        rows
    }
}
