//! The table of a plugin that looks rows up, as the tools get it: the rows of a case, or of a file.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::input_file;
use super::json_rows::Row;
use super::records::{RecordRows, Records, declared_columns};
use crate::decode::RESCUED_COLUMN;
use crate::reference_table::ReferenceTable;
use crate::schema::RecordSchema;

/// The table of a plugin that looks rows up.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReferenceRows {
    /// Columns with their types, as in a pipeline's `decode.schema`; others are inferred from the rows.
    #[serde(default)]
    pub columns: IndexMap<String, String>,
    pub rows: Vec<Row>,
}

impl ReferenceRows {
    pub fn table(&self) -> Result<Arc<ReferenceTable>> {
        let mut records = Records::new();
        for row in &self.rows {
            records.push(Some(&serde_json::to_vec(row)?), None, None);
        }
        of_records(records.decode(&declared_columns(&self.columns)?)?).context("the rows of `reference`")
    }
}

/// The rows of a file of JSON lines or Parquet.
pub fn read(path: &Path) -> Result<Arc<ReferenceTable>> {
    let rows = input_file::read(path, &RecordSchema::default(), usize::MAX).and_then(of_records);
    rows.with_context(|| path.display().to_string())
}

fn of_records(records: RecordRows) -> Result<Arc<ReferenceTable>> {
    if let Some((row, reason)) = records.dead.first() {
        bail!("row {} cannot be decoded: {reason}", row + 1);
    }
    let rows = records.payload;
    if let Some(rescued) = rows.column_by_name(RESCUED_COLUMN)
        && rescued.null_count() < rescued.len()
    {
        bail!("not all rows fit the columns");
    }
    let own = (0..rows.num_columns()).filter(|column| rows.schema().field(*column).name() != RESCUED_COLUMN);
    let rows = rows.project(&own.collect::<Vec<_>>())?;
    let version = "as given".to_owned();
    Ok(Arc::new(ReferenceTable { version, schema: rows.schema(), batches: vec![rows] }))
}
