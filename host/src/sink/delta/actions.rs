//! The actions that commits are made of.

use std::collections::HashMap;

use chrono::Utc;
use deltalake_core::kernel::{Action, Add, CommitInfo, Remove, Transaction};
use serde_json::{Map, Value, json};

use super::changes::Operation;
use super::files::ActiveFile;
use super::{DeltaSettings, application_id};
use crate::ledger::entry::{Body, DataFile, Entry, EntryNumber, SinkEntry};

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

pub(super) fn remove(path: &str, file: &ActiveFile, partition_columns: &[String]) -> Action {
    let partition_values = partition_columns.iter().cloned().zip(file.partition.iter().cloned());
    Action::Remove(Remove {
        path: path.to_owned(),
        data_change: true,
        deletion_timestamp: Some(Utc::now().timestamp_millis()),
        extended_file_metadata: Some(true),
        partition_values: Some(partition_values.collect()),
        size: Some(i64::try_from(file.size).unwrap_or(i64::MAX)),
        ..Remove::default()
    })
}

/// What an application of entries says of itself.
pub(super) fn application_info(
    settings: &DeltaSettings,
    read_version: u64,
    parts: &[(&Entry, &SinkEntry)],
    to: EntryNumber,
    operation: &Operation,
    changes_schema: bool,
) -> Action {
    let mut info = provenance(settings, parts);
    let metrics: Map<String, Value> = operation
        .metrics
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.to_string().into()))
        .collect();
    info.insert("operationMetrics".to_owned(), metrics.into());
    let parameters = operation.parameters.iter().map(|(name, value)| (*name, value.clone())).chain([
        ("queryId", application_id(&settings.pipeline, &settings.sink)),
        ("epochId", to.to_string()),
    ]);
    Action::CommitInfo(CommitInfo {
        timestamp: Some(Utc::now().timestamp_millis()),
        operation: Some(operation.name.to_owned()),
        operation_parameters: Some(parameters.map(|(key, value)| (key.to_owned(), value.into())).collect()),
        read_version: Some(read_version),
        is_blind_append: Some(operation.is_blind_append && !changes_schema),
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
    let mut sluicebox = json!({
        "pipeline": settings.pipeline,
        "sink": settings.sink,
        "ledger": settings.ledger,
        "entries": entries,
    });
    // Entries from before a change of the configuration came out of other plugins, which the ledger knows.
    if parts.iter().all(|(entry, _)| is_under(entry, &settings.configuration)) {
        sluicebox["plugins"] = json!(settings.plugins);
    }
    HashMap::from([("sluicebox".to_owned(), sluicebox)])
}

fn is_under(entry: &Entry, configuration: &str) -> bool {
    matches!(&entry.body, Body::Epoch(epoch) if epoch.configuration == configuration)
}
