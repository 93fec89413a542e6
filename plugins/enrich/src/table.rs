//! The reference table in memory: the selected columns, and an index by the key.

use sluicebox_kernels::{NULL, append, empty, gather};
use sluicebox_plugin::{Batch, Column, Error, Key, KeyReader, KeyShape, Place, serde_json};

use crate::config::OnDuplicate;
use crate::index::Index;

pub struct Table {
    key: Vec<Place>,
    selected: Vec<Place>,
    on_duplicate: OnDuplicate,
    index: Index,
    /// The rows of each of `selected`.
    columns: Vec<Vec<Column>>,
    rows: i32,
}

impl Table {
    pub fn new(key: Vec<Place>, selected: Vec<Place>, on_duplicate: OnDuplicate) -> Table {
        let columns = selected.iter().map(|place| empty(place.fields())).collect();
        Table { key, selected, on_duplicate, index: Index::default(), columns, rows: 0 }
    }

    pub fn load(&mut self, rows: &Batch) -> Result<(), Error> {
        let keys = KeyReader::new(&self.key, rows)?;
        let mut key = Vec::new();
        for row in 0..rows.rows as usize {
            key.clear();
            // A null equals nothing, not even a null.
            if keys.append(row, &mut key).is_some() {
                continue;
            }
            let known = self.index.row_of(&key);
            if *known == NULL || self.on_duplicate == OnDuplicate::Last {
                *known = self.rows + row as i32;
            } else if self.on_duplicate == OnDuplicate::Error {
                return Err(self.duplicate(&key));
            }
        }
        let more = i32::try_from(rows.rows).ok().and_then(|more| self.rows.checked_add(more));
        self.rows = more.ok_or_else(|| Error::Data("the reference table has more than 2^31 rows".into()))?;
        let more = self.selected.iter().map(|place| place.columns(rows).to_vec());
        self.columns.iter_mut().zip(more).try_for_each(|(columns, more)| append(columns, more))
    }

    fn duplicate(&self, key: &[u8]) -> Error {
        Error::Data(format!(
            "the reference table has more than one row with {}: keep one, or choose by `on_duplicate: first` or `last`",
            shown(&self.key, key)
        ))
    }

    /// The table's row for each row of a batch, with these columns as the key; [`NULL`] where there is none.
    pub fn find(&self, key: &[Place], batch: &Batch) -> Result<Vec<i32>, Error> {
        let keys = KeyReader::new(key, batch)?;
        let mut bytes = Vec::new();
        let find = |row| {
            bytes.clear();
            match keys.append(row, &mut bytes) {
                None => self.index.get(&bytes),
                Some(_) => NULL,
            }
        };
        Ok((0..batch.rows as usize).map(find).collect())
    }

    /// The selected columns of these rows.
    pub fn pick(&self, rows: &[i32]) -> Vec<Column> {
        let columns = self.selected.iter().zip(&self.columns);
        columns.flat_map(|(place, columns)| gather(place.fields(), columns, rows)).collect()
    }
}

/// A key for people: `code = "DE", year = 2026`.
pub fn shown(columns: &[Place], key: &[u8]) -> String {
    let shape = KeyShape(columns.iter().map(|place| place.field().clone()).collect());
    let values = shape.decode(&Key::from(key)).unwrap_or_default();
    let part = |(place, value): (&Place, _)| {
        let value = serde_json::to_string(&value).unwrap_or_default();
        format!("`{}` = {value}", place.field().name)
    };
    columns.iter().zip(values).map(part).collect::<Vec<_>>().join(", ")
}
