//! `sluicebox tables`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use arrow::util::pretty::pretty_format_batches;

use super::{print, sink_tables};
use crate::config;
use crate::sink::delta;

/// Shows `rows` rows of each table, or of the one that `rows_of` names.
pub async fn show(file: &Path, rows: usize, rows_of: Option<&str>) -> Result<ExitCode> {
    let pipeline = config::load(file)?;
    let names: Vec<_> = sink_tables::sinks_in_order(&pipeline).map(|sink| sink.name.as_str()).collect();
    if let Some(unknown) = rows_of.filter(|name| !names.contains(name)) {
        bail!("--rows-of: the pipeline has no table `{unknown}`, but {}", names.join(", "));
    }
    let storages = sink_tables::table_storages(&pipeline)?;
    for (sink, storage) in sink_tables::sinks_in_order(&pipeline).zip(&storages) {
        let rows = if rows_of.is_none_or(|name| name == sink.name) { rows } else { 0 };
        let found = delta::inspect(storage, &pipeline.pipeline.id, &sink.name, rows).await;
        let Some(table) = found.with_context(|| sink.name.clone())? else {
            print(&format!("{}: no table yet at {}\n", sink.name, sink.location));
            continue;
        };
        print(&format!(
            "{}: {} rows in {} files, version {}, at {}",
            sink.name,
            table.rows,
            table.files.len(),
            table.version,
            sink.location
        ));
        if let Some(key) = sink_tables::row_key_of(&pipeline, &sink.name) {
            let columns = key.columns.join("`, `");
            print(&format!("  one row for each `{columns}`: the one with the largest `{}`", key.order_by));
        }
        let columns: Vec<String> = table.columns.iter().map(|(name, of)| format!("{name} {of}")).collect();
        print(&format!("  columns: {}", columns.join(", ")));
        if table.sample.num_rows() > 0 {
            print(&pretty_format_batches(&[table.sample])?.to_string());
        }
        print("");
    }
    Ok(ExitCode::SUCCESS)
}
