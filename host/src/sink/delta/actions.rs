//! The actions that commits are made of.

use std::collections::HashMap;

use chrono::Utc;
use deltalake_core::kernel::{Action, Add, CommitInfo, Transaction};
use serde_json::{Value, json};

use super::{DeltaSettings, application_id};
use crate::ledger::entry::{DataFile, Entry, EntryNumber, SinkEntry};

const ENGINE: &str = concat!("sluicebox/", env!("CARGO_PKG_VERSION"));

/// The mark. Delta counts in signed numbers; no ledger gets that long.
pub(super) fn txn(settings: &DeltaSettings, mark: EntryNumber) -> Action {
    let application = application_id(&settings.pipeline, &settings.sink);
    let version = i64::try_from(mark).unwrap_or(i64::MAX);
    Action::Txn(Transaction::new_with_last_update(application, version, Some(Utc::now().timestamp_millis())))
}

pub(super) fn add(file: &DataFile) -> Action {
    Action::Add(Add {
        path: file.path.clone(),
        partition_values: file.partition_values.iter().cloned().collect(),
        size: i64::try_from(file.size).unwrap_or(i64::MAX),
        modification_time: file.modified_at_ms,
        data_change: true,
        stats: file.stats.clone(),
        ..Add::default()
    })
}

/// What an application of entries says of itself.
pub(super) fn application_info(
    settings: &DeltaSettings,
    read_version: u64,
    parts: &[(&Entry, &SinkEntry)],
    to: EntryNumber,
    changes_schema: bool,
) -> Action {
    let files = parts.iter().flat_map(|(_, part)| &part.files);
    let (count, rows) = files.fold((0u64, 0u64), |(count, rows), file| (count + 1, rows + file.rows));
    let mut info = provenance(settings, parts);
    info.insert(
        "operationMetrics".to_owned(),
        json!({"numAddedFiles": count.to_string(), "numOutputRows": rows.to_string()}),
    );
    let parameters = [
        ("outputMode", "Append".to_owned()),
        ("queryId", application_id(&settings.pipeline, &settings.sink)),
        ("epochId", to.to_string()),
    ];
    Action::CommitInfo(CommitInfo {
        timestamp: Some(Utc::now().timestamp_millis()),
        operation: Some("STREAMING UPDATE".to_owned()),
        operation_parameters: Some(parameters.map(|(key, value)| (key.to_owned(), value.into())).into()),
        read_version: Some(read_version),
        is_blind_append: Some(!changes_schema),
        engine_info: Some(ENGINE.to_owned()),
        info,
        ..CommitInfo::default()
    })
}

/// What the first commit for a sink says of itself.
pub(super) fn first_info(settings: &DeltaSettings, operation: &str, read_version: Option<u64>) -> Action {
    Action::CommitInfo(CommitInfo {
        timestamp: Some(Utc::now().timestamp_millis()),
        operation: Some(operation.to_owned()),
        operation_parameters: Some(HashMap::new()),
        read_version,
        is_blind_append: Some(false),
        engine_info: Some(ENGINE.to_owned()),
        info: provenance(settings, &[]),
        ..CommitInfo::default()
    })
}

/// Where the rows of a commit come from.
fn provenance(settings: &DeltaSettings, parts: &[(&Entry, &SinkEntry)]) -> HashMap<String, Value> {
    let entries: Vec<EntryNumber> = parts.iter().map(|(entry, _)| entry.number).collect();
    let sluicebox = json!({
        "pipeline": settings.pipeline,
        "sink": settings.sink,
        "ledger": settings.ledger,
        "entries": entries,
        "plugins": settings.plugins,
    });
    HashMap::from([("sluicebox".to_owned(), sluicebox)])
}
