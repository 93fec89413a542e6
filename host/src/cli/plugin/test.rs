//! `sluicebox plugin test`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use arrow::array::AsArray;
use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::cases::{self, Batch, Case, CasesFile, Cuts};
use super::cut_verdict::cut_differences;
use super::grant_arguments::GrantArguments;
use super::json_rows::{Row, is_made_by_host, json_rows};
use super::records::{RecordRows, Records, declared_columns};
use super::reference_rows::ReferenceRows;
use super::stream::{Cut, EventTime, Stream, Written};
use super::trial::{Setup, Trial};
use super::verdict::differences;
use super::{plugins, print};
use crate::cli::in_full;
use crate::cli::settings;
use crate::config::{self, DocumentPath};
use crate::decode::RESCUED_COLUMN;
use crate::decode::event_time::EventTimeSettings;
use crate::plugin::{Grants, Plugin};
use crate::schema::type_name;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Files of cases.
    #[arg(required = true, value_name = "CASES.yaml")]
    files: Vec<PathBuf>,
    /// Run another component than the one that the files name.
    #[arg(long, value_name = "PLUGIN")]
    plugin: Option<String>,
    /// Run the cases only whose names hold this text.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    #[command(flatten)]
    grants: GrantArguments,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let engine = plugins::engine()?;
    let grants = Arc::new(arguments.grants.read()?);
    let (mut passed, mut failed) = (0, 0);
    for path in &arguments.files {
        let (file, places) = config::read_file::<CasesFile>(path)?;
        file.check(&places)?;
        let plugin = match &arguments.plugin {
            Some(named) => plugins::load_named(&engine, named, Path::new("")),
            None => plugins::load_named(&engine, &file.plugin, path.parent().unwrap_or(Path::new(""))),
        };
        let plugin = plugin.with_context(|| path.display().to_string())?;
        for (index, case) in file.cases.iter().enumerate() {
            if arguments.only.as_ref().is_some_and(|text| !case.name.contains(text)) {
                continue;
            }
            let wrong = run_case(&plugin, &grants, &file, case).unwrap_or_else(|error| vec![in_full(&error)]);
            if wrong.is_empty() {
                passed += 1;
                print(&format!("ok    {}", case.name));
                continue;
            }
            failed += 1;
            let line = places.line(&DocumentPath::default().key("cases").index(index));
            print(&format!("FAIL  {} ({}:{line})", case.name, path.display()));
            wrong.iter().for_each(|line| print(&format!("      {line}")));
        }
    }
    if passed + failed == 0 {
        bail!("no case has that in its name");
    }
    print(&format!("{} cases: {passed} passed, {failed} failed", passed + failed));
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is wrong, in lines; nothing if the case passes.
fn run_case(
    plugin: &Arc<Plugin>,
    grants: &Arc<Grants>,
    file: &CasesFile,
    case: &Case,
) -> Result<Vec<String>> {
    let setup = Setup {
        plugin: plugin.clone(),
        config: case
            .config
            .clone()
            .or_else(|| file.config.clone())
            .unwrap_or_else(|| Value::Object(Map::new())),
        limits: settings::limits(&file.limits),
        grants: grants.clone(),
        reference: case
            .reference
            .as_ref()
            .or(file.reference.as_ref())
            .map(ReferenceRows::table)
            .transpose()?,
    };
    let stream = stream(file, case)?;
    let trial = setup.run(&stream, Cut::AsWritten, false);
    let trial = match (&case.expect.error, trial) {
        (None, trial) => trial?,
        (Some(part), Ok(_)) => return Ok(vec![format!("it goes through, expected an error with {part:?}")]),
        (Some(part), Err(error)) => {
            let told = in_full(&error);
            return Ok(match told.contains(part) {
                true => Vec::new(),
                false => vec![format!("the error is {told:?}, expected {part:?} in it")],
            });
        }
    };
    let mut wrong = Vec::new();
    if let Some(expected) = &case.expect.columns {
        wrong.extend(column_differences(expected, &setup, &stream)?);
    }
    wrong.extend(differences(&case.expect, &json_rows(&stream.rows)?, &trial));
    if file.cuts == Cuts::All {
        wrong.extend(runs_that_differ(&setup, &stream, &trial));
    }
    Ok(wrong)
}

fn column_differences(
    expected: &IndexMap<String, String>,
    setup: &Setup,
    stream: &Stream,
) -> Result<Option<String>> {
    let output = setup.open(stream.rows.schema_ref())?.output_schema().clone();
    let found: Vec<String> = output
        .fields()
        .iter()
        .filter(|field| !is_made_by_host(field.name()))
        .map(|field| format!("{} {}", field.name(), type_name(field.data_type())))
        .collect();
    let named = |(name, of): (&String, &String)| {
        let of = crate::schema::parse_type(of).with_context(|| format!("expect.columns.{name}"))?;
        Ok(format!("{name} {}", type_name(&of)))
    };
    let expected = expected.iter().map(named).collect::<Result<Vec<_>>>()?;
    let differ = found != expected;
    Ok(differ.then(|| format!("the columns are ({}), expected ({})", found.join(", "), expected.join(", "))))
}

/// The same rows in other batches: what does not come out as it did.
fn runs_that_differ(setup: &Setup, stream: &Stream, as_written: &Trial) -> Vec<String> {
    let cuts = [
        (Cut::Every(1), "row by row"),
        (Cut::Whole, "all rows in one batch"),
        (Cut::AsWritten, "in the case's own batches"),
    ];
    let mut told = Vec::new();
    for (cut, batches) in cuts {
        for restores in [false, true] {
            // The trial that all are held against, or nothing to restore between.
            let is_known = cut == Cut::AsWritten && !restores;
            if is_known || (restores && (!setup.plugin.is_stateful() || stream.pieces(cut).len() < 2)) {
                continue;
            }
            let differ = match setup.run(stream, cut, restores) {
                Ok(trial) => cut_differences(as_written, &trial),
                Err(error) => vec![format!("  {}", in_full(&error))],
            };
            if !differ.is_empty() {
                let restored = if restores { ", its state restored between batches" } else { "" };
                told.push(format!("its rows depend on batches; {batches}{restored}:"));
                told.extend(differ);
            }
        }
    }
    told
}

fn stream(file: &CasesFile, case: &Case) -> Result<Stream> {
    let whole;
    let batches: Vec<(&[Row], Option<i64>)> = match (&case.input, &case.batches) {
        (_, Some(batches)) => batches.iter().map(rows_and_watermark).collect(),
        (rows, None) => {
            whole = rows.as_deref().unwrap_or_default();
            vec![(whole, None)]
        }
    };
    let mut records = Records::new();
    for row in batches.iter().flat_map(|(rows, _)| rows.iter()) {
        push(&mut records, row)?;
    }
    let declared = declared_columns(case.columns.as_ref().unwrap_or(&file.columns))?;
    let rows = records.decode(&declared)?;
    check_decoded(&rows, &declared)?;
    let written: Vec<Written> =
        batches.iter().map(|(rows, watermark)| Written { rows: rows.len(), watermark: *watermark }).collect();
    let event_time = case.event_time.as_ref().or(file.event_time.as_ref()).map(event_time);
    Stream::new(rows, event_time.as_ref(), &written)
}

fn rows_and_watermark(batch: &Batch) -> (&[Row], Option<i64>) {
    (&batch.rows, batch.watermark.map(|time| time.as_milliseconds().saturating_mul(1000)))
}

fn push(records: &mut Records, row: &Row) -> Result<()> {
    let text = |name| row.get(name).and_then(Value::as_str);
    let payload: Row = row
        .iter()
        .filter(|(name, _)| ![cases::KEY, cases::TIMESTAMP].contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let payload = serde_json::to_vec(&payload)?;
    let timestamp = text(cases::TIMESTAMP).and_then(cases::timestamp_ms);
    records.push(Some(&payload), text(cases::KEY).map(str::as_bytes), timestamp);
    Ok(())
}

/// A case says what its rows are: nothing of them may be left out.
fn check_decoded(rows: &RecordRows, declared: &crate::schema::RecordSchema) -> Result<()> {
    if let Some((record, reason)) = rows.dead.first() {
        bail!("row {} of the input cannot be decoded: {reason}", record + 1);
    }
    let rescued = rows.payload.column_by_name(RESCUED_COLUMN);
    let mut rescued = rescued.and_then(|column| column.as_string_opt::<i32>()).into_iter().flatten().zip(1..);
    if let Some((what, row)) = rescued.find_map(|(what, row)| Some((what?, row))) {
        bail!("row {row} of the input does not fit the columns: {what}");
    }
    let schema = rows.payload.schema();
    for column in declared.columns() {
        let (_, field) = schema.column_with_name(&column.name).ok_or_else(|| anyhow!("a column is gone"))?;
        if *field.data_type() != column.data_type {
            bail!(
                "`{}` has values that are no {}, but {}",
                column.name,
                type_name(&column.data_type),
                type_name(field.data_type())
            );
        }
    }
    Ok(())
}

fn event_time(given: &cases::EventTime) -> EventTime {
    EventTime {
        path: given.column.split('.').map(str::to_owned).collect(),
        settings: EventTimeSettings {
            delay: given.delay.as_microseconds(),
            max_ahead: given.max_ahead.map(config::Period::as_microseconds),
        },
    }
}
