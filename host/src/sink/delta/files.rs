//! The files that a table consists of, kept by reading commit after commit: for sinks that look for rows.
//!
//! Their number is what it costs in memory: of each file its path, its partition and the bounds of a few columns.

use std::collections::{BTreeMap, HashMap};

use deltalake_core::kernel::{Add, LogicalFileView};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::ledger::entry::DataFile;
use crate::sink::rows::Values;

/// The active files by path, with the bounds of `columns`.
#[derive(Debug, Clone)]
pub(super) struct ActiveFiles {
    columns: Vec<String>,
    partition_columns: Vec<String>,
    files: BTreeMap<String, ActiveFile>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ActiveFile {
    pub size: u64,
    /// In the order of the table's partition columns.
    pub partition: Values,
    /// For each of the columns what its values lie between, as the statistics spell it; `None` if unknown.
    pub bounds: Vec<Option<Bounds>>,
    /// Some of its rows are deleted by a file of their own.
    pub has_deletion_vector: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bounds {
    pub min: Box<str>,
    pub max: Box<str>,
}

/// What one commit does to the files: all removals come before all additions.
#[derive(Debug, Clone, Default)]
pub(super) struct FileChanges {
    pub removed: Vec<String>,
    pub added: Vec<AddedFile>,
}

/// A file as a log tells of it.
#[derive(Debug, Clone)]
pub(super) struct AddedFile {
    pub path: String,
    pub size: u64,
    pub partition_values: HashMap<String, Option<String>>,
    pub stats: Option<String>,
    pub has_deletion_vector: bool,
}

/// Statistics of columns that are not nested; the values are looked at only where they are asked for.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stats<'a> {
    #[serde(borrow, default)]
    min_values: Option<HashMap<String, &'a RawValue>>,
    #[serde(borrow, default)]
    max_values: Option<HashMap<String, &'a RawValue>>,
}

impl ActiveFiles {
    pub fn new(columns: &[String], partition_columns: &[String]) -> Self {
        let (columns, partition_columns) = (columns.to_vec(), partition_columns.to_vec());
        Self { columns, partition_columns, files: BTreeMap::new() }
    }

    pub fn take(&mut self, changes: FileChanges) {
        for path in &changes.removed {
            self.files.remove(path);
        }
        for file in changes.added {
            let active = ActiveFile {
                size: file.size,
                partition: self
                    .partition_columns
                    .iter()
                    .map(|column| file.partition_values.get(column).cloned().flatten())
                    .map(|value| value.filter(|text| !text.is_empty()))
                    .collect(),
                bounds: bounds(file.stats.as_deref(), &self.columns),
                has_deletion_vector: file.has_deletion_vector,
            };
            self.files.insert(file.path, active);
        }
    }

    /// The place of a column in the files' partitions.
    pub fn partition_column(&self, name: &str) -> Option<usize> {
        self.partition_columns.iter().position(|column| column == name)
    }

    /// In the order of their paths.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&String, &ActiveFile)> {
        self.files.iter()
    }
}

impl From<Add> for AddedFile {
    fn from(add: Add) -> Self {
        Self {
            path: add.path,
            size: u64::try_from(add.size).unwrap_or_default(),
            partition_values: add.partition_values,
            stats: add.stats,
            has_deletion_vector: add.deletion_vector.is_some(),
        }
    }
}

impl From<&DataFile> for AddedFile {
    fn from(file: &DataFile) -> Self {
        Self {
            path: file.path.clone(),
            size: file.size,
            partition_values: file.partition_values.iter().cloned().collect(),
            stats: file.stats.clone(),
            has_deletion_vector: false,
        }
    }
}

impl From<&LogicalFileView> for AddedFile {
    fn from(file: &LogicalFileView) -> Self {
        Self {
            path: file.path().into_owned(),
            size: u64::try_from(file.size()).unwrap_or_default(),
            partition_values: file.partition_values_map(),
            stats: file.stats(),
            has_deletion_vector: file.deletion_vector_descriptor().is_some(),
        }
    }
}

fn bounds(stats: Option<&str>, columns: &[String]) -> Vec<Option<Bounds>> {
    // Statistics that cannot be read only cost a look into the file.
    let stats = stats.and_then(|stats| serde_json::from_str::<Stats<'_>>(stats).ok());
    let value = |of: Option<&HashMap<String, &RawValue>>, column: &String| text(of?.get(column)?);
    columns
        .iter()
        .map(|column| {
            let stats = stats.as_ref()?;
            let min = value(stats.min_values.as_ref(), column)?;
            let max = value(stats.max_values.as_ref(), column)?;
            Some(Bounds { min, max })
        })
        .collect()
}

/// A value without its quotes. Numbers stay as they are spelled: a decimal has no other exact form.
fn text(value: &RawValue) -> Option<Box<str>> {
    match value.get() {
        "null" => None,
        quoted if quoted.starts_with('"') => serde_json::from_str::<String>(quoted).ok().map(Into::into),
        other => Some(other.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(path: &str, stats: &str) -> AddedFile {
        let partition_values = HashMap::from([("site".to_owned(), Some(String::new()))]);
        let stats = Some(stats.to_owned());
        AddedFile { path: path.to_owned(), size: 1, partition_values, stats, has_deletion_vector: false }
    }

    #[test]
    fn a_file_that_is_removed_and_added_in_one_commit_stays() {
        let mut files = ActiveFiles::new(&["a".to_owned(), "b".to_owned()], &["site".to_owned()]);
        let stats =
            r#"{"minValues": {"a": 1.50, "b": "x\"y"}, "maxValues": {"a": 2, "b": null, "s": {"c": 1}}}"#;
        files.take(FileChanges { removed: Vec::new(), added: vec![added("one", stats), added("two", "?")] });
        let removed = vec!["one".to_owned(), "two".to_owned()];
        files.take(FileChanges { removed, added: vec![added("one", stats)] });
        let found: Vec<_> = files.iter().collect();
        assert_eq!(found.len(), 1);
        let bounds = &found[0].1.bounds;
        assert_eq!(bounds[0], Some(Bounds { min: "1.50".into(), max: "2".into() }));
        assert_eq!(bounds[1], None, "a bound that is missing is none");
        assert_eq!(found[0].1.partition, [None], "an empty partition value is null to Delta");
    }
}
