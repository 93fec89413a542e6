//! `sluicebox tables`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use arrow::util::pretty::pretty_format_batches;

use super::{assemble, print};
use crate::config;
use crate::sink::delta;

pub async fn show(file: &Path, rows: usize) -> Result<ExitCode> {
    let pipeline = config::load(file)?;
    let storages = assemble::table_storages(&pipeline)?;
    for (sink, storage) in assemble::sinks_in_order(&pipeline).zip(&storages) {
        let Some(table) = delta::inspect(storage, rows).await.with_context(|| sink.name.clone())? else {
            print(&format!("{}: no table yet at {}\n", sink.name, sink.location));
            continue;
        };
        print(&format!(
            "{}: {} rows in {} files, version {}, at {}",
            sink.name, table.rows, table.files, table.version, sink.location
        ));
        let columns: Vec<String> = table
            .schema
            .fields()
            .iter()
            .map(|field| format!("{} {}", field.name(), crate::schema::type_name(field.data_type())))
            .collect();
        print(&format!("  columns: {}", columns.join(", ")));
        if table.first.num_rows() > 0 {
            print(&pretty_format_batches(&[table.first])?.to_string());
        }
        print("");
    }
    Ok(ExitCode::SUCCESS)
}
