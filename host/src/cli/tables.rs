//! `sluicebox tables`.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow::util::pretty::pretty_format_batches;

use super::sinks::SinkView;
use super::{print, sinks};
use crate::config::{self, Loaded, Sink};
use crate::schema::format_type;
use crate::sink::delta::TableView;
use crate::sink::files::FolderView;

/// Characters of a value.
const LONGEST_CELL: usize = 100;

/// Shows `rows` rows of each table, or of the one that `rows_of` names.
pub async fn show(file: &Path, rows: usize, rows_of: Option<&str>) -> Result<ExitCode> {
    let pipeline = config::load(file)?;
    let names: Vec<_> = sinks::sinks_in_order(&pipeline).map(|sink| sink.name.as_str()).collect();
    if let Some(unknown) = rows_of.filter(|name| !names.contains(name)) {
        bail!("--rows-of: the pipeline has no table `{unknown}`, but {}", names.join(", "));
    }
    for (sink, storage) in sinks::sinks_in_order(&pipeline).zip(sinks::storages(&pipeline)?) {
        let rows = if rows_of.is_none_or(|name| name == sink.name) { rows } else { 0 };
        let view = storage.view(&pipeline.pipeline.id, &sink.name, rows).await;
        match view.with_context(|| sink.name.clone())? {
            Some(SinkView::Table(table)) => show_table(&pipeline, sink, &table)?,
            Some(SinkView::Folder(folder)) => show_folder(sink, &folder),
            Some(SinkView::Topic(mark)) => {
                print(&format!(
                    "{}: messages of all entries up to {}, in topic {}",
                    sink.name, mark.entry, sink.target
                ));
            }
            None => print(&format!("{}: no {} yet at {}", sink.name, sink.target.what(), sink.target)),
        }
        print("");
    }
    Ok(ExitCode::SUCCESS)
}

fn show_table(pipeline: &Loaded, sink: &Sink, table: &TableView) -> Result<()> {
    print(&format!(
        "{}: {} rows in {} files, version {}, at {}",
        sink.name,
        table.rows,
        table.files.len(),
        table.version,
        sink.target
    ));
    if let Some(key) = sinks::row_key_of(pipeline, &sink.name) {
        let columns = key.columns.join("`, `");
        print(&format!("  one row for each `{columns}`: the one with the largest `{}`", key.order_by));
    }
    let columns: Vec<String> = table.columns.iter().map(|(name, of)| format!("{name} {of}")).collect();
    print(&format!("  columns: {}", columns.join(", ")));
    if table.sample.num_rows() > 0 {
        print(&pretty_format_batches(&[cells(&table.sample)?])?.to_string());
    }
    Ok(())
}

/// The values as they may be shown: whoever sends records must not write to the terminal, nor fill it.
fn cells(rows: &RecordBatch) -> Result<RecordBatch> {
    let options = FormatOptions::new().with_display_error(true);
    let columns = rows.schema_ref().fields().iter().zip(rows.columns()).map(|(field, column)| {
        let formatter = ArrayFormatter::try_new(column, &options)?;
        let cells = (0..column.len()).map(|row| column.is_valid(row).then(|| cell(&formatter, row)));
        let cells: ArrayRef = Arc::new(cells.collect::<StringArray>());
        Ok((field.name().clone(), cells, true))
    });
    Ok(RecordBatch::try_from_iter_with_nullable(columns.collect::<Result<Vec<_>>>()?)?)
}

fn cell(formatter: &ArrayFormatter<'_>, row: usize) -> String {
    let text = formatter.value(row).to_string();
    let mut cell = String::new();
    for (place, char) in text.chars().enumerate() {
        match char {
            _ if place == LONGEST_CELL => {
                cell.push_str(&format!("… ({} bytes)", text.len()));
                break;
            }
            char if char.is_control() => cell.extend(char.escape_default()),
            char => cell.push(char),
        }
    }
    cell
}

/// Its files are for other programs to read.
fn show_folder(sink: &Sink, folder: &FolderView) {
    print(&format!(
        "{}: {} rows in {} files that markers list, mark {}, at {}",
        sink.name,
        folder.rows(),
        folder.files(),
        folder.mark.number,
        sink.target
    ));
    let schema = folder.markers.iter().rev().find_map(|marker| marker.schema.as_ref());
    let columns = schema.iter().flat_map(|schema| schema.columns()).map(|column| {
        let data_type = format_type(&column.data_type).unwrap_or_else(|| column.data_type.to_string());
        format!("{} {data_type}", column.name)
    });
    print(&format!("  columns: {}", columns.collect::<Vec<_>>().join(", ")));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_can_neither_write_to_the_terminal_nor_fill_it() {
        let long = "é".repeat(1000);
        let texts: ArrayRef =
            Arc::new(StringArray::from(vec![Some("a\u{1b}[31mred\nb"), Some(&*long), None]));
        let shown = cells(&RecordBatch::try_from_iter([("t", texts)]).unwrap()).unwrap();
        let shown = shown.column(0).as_any().downcast_ref::<StringArray>().unwrap();
        assert_eq!(shown.value(0), "a\\u{1b}[31mred\\nb");
        assert_eq!(shown.value(1), format!("{}… (2000 bytes)", "é".repeat(LONGEST_CELL)));
        assert!(shown.is_null(2));
    }
}
