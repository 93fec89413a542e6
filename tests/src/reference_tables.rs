//! Small tables to look rows up in, of the columns `id` and `value`, in each form that a step takes. Version `n` has for each
//! id below [`IDS`] the value `100 n + id`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, anyhow};
use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use parquet::arrow::ArrowWriter;
use serde_json::json;
use sluicebox::cli::reference_form;
use sluicebox::config;
use sluicebox::reference::ReferenceSource;
use sluicebox::storage::StoreOptions;
use url::Url;

/// The tables have the ids `0..IDS`.
pub const IDS: i64 = 8;

const TABLE_ID: &str = "5fba94ed-9794-4965-ba6e-6ee3c0d22af9";

/// The value of an id in a version; none where there is no row.
pub fn value(version: i64, id: i64) -> Option<i64> {
    (0..IDS).contains(&id).then_some(100 * version + id)
}

/// The tables' files.
pub struct ReferenceTables {
    folder: PathBuf,
}

impl ReferenceTables {
    pub fn new(folder: PathBuf) -> Result<Self> {
        for inner in ["csv", "delta/_delta_log"] {
            fs::create_dir_all(folder.join(inner))?;
        }
        Ok(Self { folder })
    }

    /// Puts a version of all tables in place, and returns what each calls it: Parquet, CSV, Delta.
    pub fn write(&self, version: i64) -> Result<[String; 3]> {
        self.write_parquet(&rows(version, IDS)?)?;
        let lines: String = (0..IDS).map(|id| format!("{},{id}\n", 100 * version + id)).collect();
        self.put("csv/machines.csv", format!("value,id\n{lines}").as_bytes())?;
        self.commit(version)?;
        Ok([
            self.version_of(json!({"parquet": "machines.parquet"}), "machines.parquet")?,
            self.version_of(json!({"csv": "csv"}), "csv")?,
            format!("delta:{TABLE_ID}@{version}"),
        ])
    }

    /// Puts these rows in the place of the Parquet file.
    pub fn write_parquet(&self, rows: &RecordBatch) -> Result<()> {
        self.put("machines.parquet", &encoded(rows)?)
    }

    /// Puts these bytes in the place of a file, at once.
    pub fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let written = self.folder.join("_being_written");
        fs::write(&written, bytes)?;
        Ok(fs::rename(written, self.folder.join(name))?)
    }

    fn version_of(&self, reference: serde_json::Value, path: &str) -> Result<String> {
        let reference: config::TableReference = serde_json::from_value(reference)?;
        let url = Url::from_file_path(self.folder.join(path)).map_err(|()| anyhow!("no path"))?;
        let form = reference_form(&reference)?;
        let source = ReferenceSource::new(form, url, &StoreOptions::default(), usize::MAX)?;
        let (_, table) = tokio::runtime::Runtime::new()?.block_on(source.read())?;
        Ok(table.version)
    }

    /// A commit that replaces the table's rows. The table begins with version 0.
    fn commit(&self, version: i64) -> Result<()> {
        let table = self.folder.join("delta");
        let (file, bytes) = (format!("{version}.parquet"), encoded(&rows(version, IDS)?)?);
        fs::write(table.join(&file), &bytes)?;
        let column = |name: &str| json!({"name": name, "type": "long", "nullable": true, "metadata": {}});
        let schema = json!({"type": "struct", "fields": [column("id"), column("value")]});
        let mut actions = vec![json!({"add": {
            "path": file, "partitionValues": {}, "size": bytes.len(), "modificationTime": 0, "dataChange": true,
        }})];
        match version {
            0 => actions.extend([
                json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}),
                json!({"metaData": {
                    "id": TABLE_ID, "format": {"provider": "parquet", "options": {}},
                    "schemaString": schema.to_string(), "partitionColumns": [], "configuration": {},
                }}),
            ]),
            version => actions.push(json!({"remove": {
                "path": format!("{}.parquet", version - 1), "deletionTimestamp": 0, "dataChange": true,
            }})),
        }
        let lines: String = actions.iter().map(|action| format!("{action}\n")).collect();
        self.put(&format!("delta/_delta_log/{version:020}.json"), lines.as_bytes())
    }

    pub fn path(&self) -> &Path {
        &self.folder
    }
}

/// The rows of a version, for as many ids.
pub fn rows(version: i64, ids: i64) -> Result<RecordBatch> {
    let id: ArrayRef = Arc::new(Int64Array::from_iter_values(0..ids));
    let value: ArrayRef = Arc::new(Int64Array::from_iter_values((0..ids).map(|id| 100 * version + id)));
    Ok(RecordBatch::try_from_iter([("id", id), ("value", value)])?)
}

fn encoded(rows: &RecordBatch) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), None)?;
    writer.write(rows)?;
    writer.close()?;
    Ok(bytes)
}
