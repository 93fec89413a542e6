//! `sluicebox ledger show`.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};

use super::sinks::SinkView;
use super::{print, sinks, stores};
use crate::clock::SystemClock;
use crate::config::{self, Loaded};
use crate::ledger::entry::{Body, Configuration, Entry, Epoch, PluginReference};
use crate::ledger::{Ledger, LedgerSettings};
use crate::sink::delta::TableView;

pub async fn show(file: &Path, last: u64) -> Result<ExitCode> {
    let pipeline = config::load(file)?;
    let ledger = open_existing(&pipeline).await?;
    let state = ledger.refresh().await?;
    print(&format!("pipeline {}, ledger {}, entries 0..={}", state.pipeline, state.ledger, state.number));
    let first = state.number.saturating_sub(last.saturating_sub(1));
    let first = first.max(ledger.oldest().await?);
    for entry in ledger.read(first..=state.number).await? {
        show_entry(&entry);
    }
    print("sinks (entries without rows for a sink leave its mark where it is):");
    for (sink, storage) in sinks::sinks_in_order(&pipeline).zip(sinks::storages(&pipeline)?) {
        let applied = match storage.view(&pipeline.pipeline.id, &sink.name, 0).await? {
            Some(SinkView::Table(TableView { version, mark: Some(mark), .. })) => {
                format!("mark {}, table version {version}", mark.number)
            }
            Some(SinkView::Folder(folder)) => format!("mark {}", folder.mark.number),
            Some(SinkView::Topic(mark)) => format!("mark {}", mark.entry),
            Some(SinkView::Table(_)) | None => "nothing applied yet".to_owned(),
        };
        print(&format!("    {}: {applied}", sink.name));
    }
    Ok(ExitCode::SUCCESS)
}

/// The pipeline's ledger, which must exist: looking at a pipeline begins nothing.
pub async fn open_existing(pipeline: &Loaded) -> Result<Ledger> {
    let (store, clock) = (stores::entry_store(pipeline)?, Arc::new(SystemClock));
    let opened = Ledger::open_begun(store, clock, LedgerSettings::default(), &pipeline.pipeline.id).await;
    opened.with_context(|| pipeline.state.to_string())
}

fn show_entry(entry: &Arc<Entry>) {
    let time = chrono::DateTime::from_timestamp_millis(entry.written_at_ms)
        .map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
        .unwrap_or_default();
    let writer = entry.writer.incarnation.to_string();
    let writer = writer.get(..8).unwrap_or_default();
    let head = format!("entry {} {time} by {writer} epoch {}", entry.number, entry.writer.epoch);
    match &entry.body {
        Body::Genesis(genesis) => {
            print(&format!("{head}: genesis, configuration {}", short(&genesis.configuration.digest)));
            show_plugins(&genesis.configuration);
        }
        Body::Configure(change) => {
            let (next, before) = (short(&change.configuration.digest), short(&change.replaces));
            print(&format!("{head}: configuration {next} replaces {before}"));
            show_plugins(&change.configuration);
        }
        Body::Sweep(sweep) => print(&format!("{head}: sweep, {} epochs condemned", sweep.condemned.len())),
        Body::Epoch(epoch) => show_epoch(&head, epoch),
    }
}

fn show_plugins(configuration: &Configuration) {
    for plugin in &configuration.plugins {
        let PluginReference { layer, step, name, version, digest, not_deterministic } = plugin;
        let mark = match not_deterministic.is_empty() {
            true => String::new(),
            false => format!(", not deterministic: {}", not_deterministic.join(", ")),
        };
        print(&format!("    {layer}.{step}: {name} {version}, sha256 {digest}{mark}"));
    }
}

fn show_epoch(head: &str, epoch: &Epoch) {
    let records: u64 = epoch.tasks.iter().map(|task| task.accounting.records).sum();
    let schema = match &epoch.proposes_schema {
        Some(next) => format!(
            ", schema {} -> {} ({} columns)",
            epoch.schema_version,
            epoch.schema_version + 1,
            next.columns().len()
        ),
        None => String::new(),
    };
    print(&format!("{head}: {records} records{schema}"));
    for task in &epoch.tasks {
        print(&format!(
            "    {} {} {} records, {} dead letters, {} offsets lost",
            task.partition,
            task.range,
            task.accounting.records,
            task.accounting.dead_letters,
            task.accounting.lost
        ));
    }
    for (step, version) in &epoch.references {
        print(&format!("    {step} looked up in {version}"));
    }
    for (sink, part) in &epoch.sinks {
        let rows: u64 = part.files.iter().map(|file| file.rows).sum();
        let bytes: u64 = part.files.iter().map(|file| file.size).sum();
        print(&format!("    -> {sink}: {rows} rows in {} files, {bytes} bytes", part.files.len()));
    }
}

fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}
