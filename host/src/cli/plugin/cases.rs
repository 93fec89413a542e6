//! The file of cases for `plugin test`: its types, and what serde cannot check.

use anyhow::Result;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::expectation::Expectation;
use super::json_rows::Row;
use super::reference_rows::ReferenceRows;
use crate::config::{DocumentPath, Period, Places, StepLimits, Timestamp};

/// Cases for one plugin: rows in, and what must become of them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CasesFile {
    /// The path of a component, ending in `.wasm`, relative to this file, or the name of a bundled plugin.
    pub plugin: String,
    /// The configuration of all cases that have none of their own.
    #[serde(default)]
    pub config: Option<Value>,
    /// Columns of the input with their types, as in a pipeline's `decode.schema`; others are inferred from the rows.
    #[serde(default)]
    pub columns: IndexMap<String, String>,
    /// Where rows get their event time from. Without it they have none.
    #[serde(default)]
    pub event_time: Option<EventTime>,
    /// The table of a plugin that looks rows up.
    #[serde(default)]
    pub reference: Option<ReferenceRows>,
    #[serde(default)]
    pub limits: StepLimits,
    /// In which batches each case is run beside its own.
    #[serde(default)]
    pub cuts: Cuts,
    #[schemars(length(min = 1))]
    pub cases: Vec<Case>,
}

/// Rows and what must become of them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// In place of the file's.
    #[serde(default)]
    pub config: Option<Value>,
    /// In place of the file's.
    #[serde(default)]
    pub columns: Option<IndexMap<String, String>>,
    /// In place of the file's.
    #[serde(default)]
    pub event_time: Option<EventTime>,
    /// In place of the file's.
    #[serde(default)]
    pub reference: Option<ReferenceRows>,
    /// The rows, in one batch. `_key` (text) and `_timestamp` stand for the record's own.
    #[serde(default)]
    pub input: Option<Vec<Row>>,
    /// The rows in batches, in place of `input`.
    #[serde(default)]
    pub batches: Option<Vec<Batch>>,
    pub expect: Expectation,
}

/// Rows that come to the plugin in one call.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Batch {
    pub rows: Vec<Row>,
    /// The watermark after this batch, where it is to move further than the rows say.
    pub watermark: Option<Timestamp>,
}

/// Where rows get their event time from, as in a pipeline file.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventTime {
    /// A timestamp column of the input.
    pub column: String,
    /// The watermark follows the largest event time seen at this distance.
    pub delay: Period,
    /// Event times further ahead of their row's `_timestamp`, if it has one, do not move the watermark.
    #[serde(default)]
    pub max_ahead: Option<Period>,
}

/// In which batches each case is run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cuts {
    /// As written, row by row and all at once, a plugin with state also with its state restored between batches. What
    /// comes out must be the same.
    #[default]
    All,
    /// Only as written: for a plugin whose rows are meant to depend on batches.
    AsWritten,
}

impl CasesFile {
    /// Checks what the types do not.
    pub fn check(&self, places: &Places) -> Result<()> {
        let cases = DocumentPath::default().key("cases");
        if self.cases.is_empty() {
            return Err(places.error(&cases, "there is no case").into());
        }
        for (index, case) in self.cases.iter().enumerate() {
            let at = cases.index(index);
            let earlier = &self.cases[..index];
            if earlier.iter().any(|other| other.name == case.name) {
                return Err(places.error(&at.key("name"), "another case has this name").into());
            }
            match (&case.input, &case.batches) {
                (Some(_), Some(_)) => {
                    return Err(places.error(&at.key("batches"), "there is an `input` already").into());
                }
                (None, None) => return Err(places.error(&at, "it has neither `input` nor `batches`").into()),
                (Some(rows), None) => check_rows(rows, &at.key("input"), places)?,
                (None, Some(batches)) => {
                    for (number, batch) in batches.iter().enumerate() {
                        check_rows(&batch.rows, &at.key("batches").index(number).key("rows"), places)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Columns that a row may have although the host makes them.
pub const KEY: &str = "_key";
pub const TIMESTAMP: &str = "_timestamp";

fn check_rows(rows: &[Row], at: &DocumentPath, places: &Places) -> Result<()> {
    for (index, row) in rows.iter().enumerate() {
        let at = at.index(index);
        for (name, value) in row.iter().filter(|(name, _)| name.starts_with('_')) {
            let fault = match (name.as_str(), value) {
                (_, Value::Null) | (KEY, Value::String(_)) => continue,
                (KEY, _) => "expected text",
                (TIMESTAMP, Value::String(text)) if timestamp_ms(text).is_some() => continue,
                (TIMESTAMP, _) => "expected a time, such as `2026-01-31T00:00:00Z`",
                _ => "the host makes this column; only `_key` and `_timestamp` may be given",
            };
            return Err(places.error(&at.key(name), fault).into());
        }
    }
    Ok(())
}

pub fn timestamp_ms(text: &str) -> Option<i64> {
    Some(chrono::DateTime::parse_from_rfc3339(text).ok()?.timestamp_millis())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use schemars::generate::SchemaSettings;

    use super::*;
    use crate::config::read_text;

    const PUBLISHED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/plugin-cases.schema.json");

    fn schema() -> schemars::Schema {
        SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<CasesFile>()
    }

    /// `UPDATE_SCHEMA=1 cargo test --workspace --lib` writes the file anew.
    #[test]
    fn the_published_schema_is_the_types() {
        let generated = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(PUBLISHED, &generated).unwrap();
        }
        let published = std::fs::read_to_string(PUBLISHED).unwrap();
        assert_eq!(
            published, generated,
            "docs/plugin-cases.schema.json is stale: run the tests with UPDATE_SCHEMA=1"
        );
    }

    fn read(text: &str) -> Result<CasesFile> {
        let (file, places) = read_text::<CasesFile>(Path::new("cases.yaml"), text)?;
        file.check(&places)?;
        Ok(file)
    }

    const FULL: &str = "plugin: window\nconfig: {size: 1m}\ncolumns: {ts: timestamp}\n\
        event_time: {column: ts, delay: 10s}\nlimits: {memory: 8MiB}\ncuts: as_written\ncases:\n\
        - name: closes\n  batches:\n  - rows: [{ts: '2026-01-01T00:00:00Z', n: 1, _key: k}]\n  \
        - watermark: 2026-01-01T00:05:00Z\n  expect:\n    new: [{n: 1}]\n    late: 0\n    \
        rejected: [{rule: r, reason: why, row: {n: 1}}]\n";

    #[test]
    fn a_full_file_is_read_and_fits_the_schema() {
        let file = read(FULL).unwrap();
        assert_eq!(file.cuts, Cuts::AsWritten);
        assert_eq!(file.cases[0].batches.as_ref().unwrap()[0].rows[0]["n"], 1);
        let validator = jsonschema::validator_for(schema().as_value()).unwrap();
        let document: Value = serde_saphyr::from_str(FULL).unwrap();
        let problems: Vec<_> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
        assert_eq!(problems, Vec::<String>::new());
        let unknown: Value = serde_saphyr::from_str(&FULL.replace("cuts:", "cutz:")).unwrap();
        assert!(!validator.is_valid(&unknown));
    }

    #[test]
    fn what_is_wrong_has_its_place() {
        let one = |case: &str| format!("plugin: filter\ncases:\n- name: a\n{case}");
        for (text, says) in [
            ("plugin: filter\ncasez: []\n".to_owned(), "cases.yaml:2:1: casez: unknown key"),
            ("plugin: filter\ncases: []\n".to_owned(), "cases.yaml:2:1: cases: there is no case"),
            (one("  expect: {}\n"), "cases.yaml:3:3: cases[0]: it has neither"),
            (
                one("  expect: {}\n  input: []\n  batches: []\n"),
                "cases.yaml:6:3: cases[0].batches: there is an",
            ),
            (one("  expect: {keep: 1}\n  input: []\n"), "cases.yaml:4:12: cases[0].expect.keep: unknown key"),
            (
                one("  expect: {kept: two}\n  input: []\n"),
                "cases.yaml:4:18: cases[0].expect.kept: `two`: expected",
            ),
            (
                one("  expect: {}\n  input:\n  - {_offset: 1}\n"),
                "cases.yaml:6:15: cases[0].input[0]._offset: the host",
            ),
            (one("  expect: {}\n  input:\n  - {_timestamp: 1}\n"), "expected a time"),
            (
                one("  expect: {}\n  input: []\n- name: a\n  expect: {}\n  input: []\n"),
                "cases.yaml:6:9: cases[1].name",
            ),
        ] {
            let refused = read(&text).unwrap_err().to_string();
            assert!(refused.contains(says), "{refused} does not say {says}");
        }
    }
}
