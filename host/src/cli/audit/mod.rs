//! `sluicebox ledger audit`: does what the ledger says agree with itself and with the tables?
//!
//! | module | what must hold |
//! |---|---|
//! | `entries` | the sums of each task balance, and its ranges adjoin |
//! | `marks` | each mark is of this ledger, and not above its last entry |
//! | `tables` | the table has the files of the entries up to the mark |
//! | `folders` | markers say what the entries up to the mark say |
//! | `files` | every file that is listed is there, whole, and every one that waits |
//! | `positions` | no row without a record, and none twice |

mod entries;
mod files;
mod folders;
mod marks;
mod positions;
mod tables;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use self::tables::AuditedSink;
use super::sinks::{SinkStorage, SinkView};
use super::{ledger, print, sinks};
use crate::config;
use crate::ledger::entry::Body;
use crate::progress::Accounting;

pub async fn audit(file: &Path) -> Result<ExitCode> {
    let pipeline = config::load(file)?;
    let ledger = ledger::open_existing(&pipeline).await?;
    let state = ledger.refresh().await?;
    let oldest = ledger.oldest().await?;
    let entries = ledger.read(oldest..=state.number).await?;
    let mut findings = entries::audit(&entries, &state);
    let mut total = Accounting::default();
    for entry in &entries {
        if let Body::Epoch(epoch) = &entry.body {
            epoch.tasks.iter().for_each(|task| total.add(&task.accounting));
        }
    }
    for (sink, storage) in sinks::sinks_in_order(&pipeline).zip(sinks::storages(&pipeline)?) {
        let key = sinks::row_key_of(&pipeline, &sink.name);
        let audited = AuditedSink { name: &sink.name, key: key.as_ref(), entries: &entries, state: &state };
        let view = storage.view(&pipeline.pipeline.id, &sink.name, 0).await?;
        let Some(view) = view else {
            let (line, found) = audited.audit_nothing(sink.target.what());
            print(&line);
            findings.extend(found);
            continue;
        };
        let store = storage.folder();
        let (line, found) = match &view {
            SinkView::Table(table) => audited.audit_table(table),
            SinkView::Folder(folder) => folders::audit(&sink.name, folder, &entries, oldest, &state),
            SinkView::Topic(mark) => {
                let found = marks::audit(&sink.name, mark.ledger, mark.entry, &state);
                (format!("{}: mark {}, in topic {}", sink.name, mark.entry, sink.target), found)
            }
        };
        print(&line);
        findings.extend(found);
        match &view {
            SinkView::Folder(folder) => {
                findings.extend(files::audit_marked(&sink.name, &*store, folder).await?);
            }
            SinkView::Topic(mark) => {
                findings.extend(files::audit(&sink.name, &*store, &[], &entries, mark.entry).await?);
            }
            SinkView::Table(table) => {
                let Some(mark) = table.mark.as_ref().map(|mark| mark.number) else { continue };
                let broken_files = files::audit(&sink.name, &*store, &table.files, &entries, mark).await?;
                // What is not whole cannot be read; a table kept by key has rows of other positions.
                if broken_files.is_empty()
                    && audited.key.is_none()
                    && let SinkStorage::Delta { storage, .. } = &storage
                {
                    let once = positions::is_one_to_one(&sink.name, &total, &state.configuration.layers);
                    let covered = positions::covered(&entries, oldest, mark);
                    findings.extend(positions::audit(&sink.name, storage, table, &covered, once).await?);
                }
                findings.extend(broken_files);
            }
        }
    }
    print(&format!(
        "entries {oldest}..={}: {} records accounted for, {} offsets lost",
        state.number, total.records, total.lost
    ));
    for finding in &findings {
        print(&format!("FAULT: {finding}"));
    }
    print(if findings.is_empty() { "the audit found no fault" } else { "the audit found faults" });
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
