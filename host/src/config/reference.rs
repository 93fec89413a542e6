//! The table in which a step looks rows up.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::DocumentPath;
use super::location::Location;
use super::units::{ByteSize, Period};
use super::validate::Findings;

/// The table in which a plugin looks rows up: one of `parquet`, `csv` and `delta`. It is read wholly into memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableReference {
    /// A Parquet file, or a folder of them: a path relative to this file, or a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parquet: Option<String>,
    /// A CSV file, or a folder of them: a path relative to this file, or a URL. An empty field is null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csv: Option<String>,
    /// A Delta table: a path relative to this file, or a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<String>,
    /// The version of the Delta table; the newest unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// The columns of CSV files with their types, as in `decode.schema`; all columns of the header, as text, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<IndexMap<String, String>>,
    /// What stands between the fields of CSV files: one ASCII character, `,` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(equal = 1))]
    pub delimiter: Option<String>,
    /// Whether the first line of CSV files names their columns, as it does unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<bool>,
    /// How often the table is looked at, and read if it has changed. Absent: it is read at the start only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<Period>,
    /// Of memory that its rows may take. Each instance of the plugin holds the columns that it needs once more, within
    /// the step's `limits.memory`.
    #[serde(default = "default_max_bytes")]
    pub max_bytes: ByteSize,
}

fn default_max_bytes() -> ByteSize {
    ByteSize::mebibytes(256)
}

impl TableReference {
    /// Where the table is, as written.
    pub fn location(&self) -> &str {
        self.parquet.as_ref().or(self.csv.as_ref()).or(self.delta.as_ref()).map_or("", String::as_str)
    }

    pub fn delimiter(&self) -> u8 {
        self.delimiter.as_ref().and_then(|text| text.bytes().next()).unwrap_or(b',')
    }
}

pub(super) fn check(reference: &TableReference, path: &DocumentPath, found: &mut Findings) {
    let forms = [("parquet", &reference.parquet), ("csv", &reference.csv), ("delta", &reference.delta)];
    let given: Vec<&str> = forms.iter().filter(|(_, form)| form.is_some()).map(|(key, _)| *key).collect();
    match given.as_slice() {
        [key] => {
            // The folder that relative paths start from makes no difference here.
            if let Err(error) = Location::resolve(reference.location(), std::path::Path::new("/")) {
                found.add(path.key(key), error.to_string());
            }
        }
        _ => found.add(path.clone(), "give one of `parquet`, `csv` and `delta`"),
    }
    let of_csv = [
        ("schema", reference.schema.is_some()),
        ("delimiter", reference.delimiter.is_some()),
        ("header", reference.header.is_some()),
    ];
    for (key, _) in of_csv.iter().filter(|(_, is_given)| *is_given && reference.csv.is_none()) {
        found.add(path.key(key), "goes with `csv`");
    }
    if reference.version.is_some() && reference.delta.is_none() {
        found.add(path.key("version"), "goes with `delta`");
    }
    if reference.version.is_some() && reference.delta.is_some() && reference.refresh.is_some() {
        found
            .add(path.key("refresh"), "one version of a table never changes: remove `refresh`, or `version`");
    }
    if reference.header == Some(false) && reference.schema.is_none() {
        found.add(path.key("header"), "without a header the columns must be named: give `schema`");
    }
    if reference.delimiter.as_ref().is_some_and(|text| text.len() != 1 || !text.is_ascii()) {
        found.add(path.key("delimiter"), "a delimiter is one ASCII character");
    }
    if reference.refresh.is_some_and(Period::is_zero) {
        found.add(path.key("refresh"), "must be above zero");
    }
    if reference.max_bytes.as_bytes() == 0 {
        found.add(path.key("max_bytes"), "must be above zero");
    }
}
