//! The digest that all workers of a pipeline must agree on.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::pipeline::Pipeline;

/// A layer's and a step's name.
pub type StepName = (String, String);

/// Settings of librdkafka that decide which records are read.
const DECIDING_SETTINGS: [&str; 1] = ["isolation.level"];

/// SHA-256 (hex) over everything that decides what rows come out, and into which tables. Left out is what
/// decides only how fast and how much: brokers and buckets and how to reach them, records that are generated, batches, epochs, sizes of files, threads, memory, HTTP,
/// when instances are replaced, when reference tables are looked at and how large they may be, shadows, what is captured,
/// logged and watched, and when a pipeline stops for failures, for rejections or for a sink that does not follow. Plugins
/// count by the digests of their components, `plugins`, and
/// not by their paths. Locations count as written, so that a folder can be moved with its pipeline file.
pub fn digest(pipeline: &Pipeline, plugins: &BTreeMap<StepName, String>) -> String {
    let document = canonical(deciding(pipeline, plugins));
    Sha256::digest(document.to_string()).iter().fold(String::with_capacity(64), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("writing to a string does not fail");
        hex
    })
}

/// Starts from everything and takes away, so that a key that is added one day counts until it is left out here.
fn deciding(pipeline: &Pipeline, plugins: &BTreeMap<StepName, String>) -> Value {
    let mut document = serde_json::to_value(pipeline).expect("a pipeline is a JSON document");
    for key in ["storage", "epoch", "backlog", "failures", "capture", "watch", "threads", "memory", "http"] {
        remove(&mut document, &[], key);
    }
    remove(&mut document, &["source"], "batch");
    remove(&mut document, &["dead_letters"], "accept_version");
    remove(&mut document, &["source", "kafka"], "brokers");
    remove(&mut document, &["source", "kafka"], "settings");
    for key in ["rate", "records"] {
        remove(&mut document, &["source", "generate"], key);
    }
    if let Some(kafka) = &pipeline.source.kafka {
        let settings = DECIDING_SETTINGS.iter();
        let settings = settings
            .filter_map(|name| Some(((*name).to_owned(), kafka.settings.get(*name)?.expose().into())));
        document["source"]["kafka"]["settings"] = settings.collect::<Map<String, Value>>().into();
    }
    if let Some(columns) = &pipeline.decode.schema {
        // The order of the columns counts; that of an object's keys does not.
        document["decode"]["schema"] = columns.iter().map(|(name, of)| json!([name, of])).collect();
    }
    for (name, layer) in &pipeline.layers {
        remove(&mut document, &["layers", name, "sink"], "file_size");
        remove(&mut document, &["layers", name, "sink"], "accept_version");
        for key in ["brokers", "settings", "partitions"] {
            remove(&mut document, &["layers", name, "sink", "kafka"], key);
        }
        remove(&mut document, &["layers", name, "quarantine"], "accept_version");
        for (index, step) in layer.steps.iter().enumerate() {
            let step_document = &mut document["layers"][name]["steps"][index];
            remove(step_document, &[], "sha256");
            remove(step_document, &[], "shadow");
            for key in ["recycle_memory", "log_lines", "log_bytes"] {
                remove(step_document, &["limits"], key);
            }
            for key in ["max_share", "min_rows"] {
                remove(step_document, &["limits", "rejections"], key);
            }
            if !step.grants.env.is_empty() {
                // A variable decides rows by its value.
                let variables = step.grants.env.iter();
                let variables =
                    variables.map(|variable| (variable.name.clone(), variable.value.expose().into()));
                step_document["grants"]["env"] = variables.collect::<Map<String, Value>>().into();
            }
            remove(step_document, &["reference"], "refresh");
            remove(step_document, &["reference"], "max_bytes");
            if let Some(columns) = step.reference.as_ref().and_then(|table| table.schema.as_ref()) {
                step_document["reference"]["schema"] =
                    columns.iter().map(|(name, of)| json!([name, of])).collect();
            }
            step_document["plugin"] =
                plugins.get(&(name.clone(), step.name.clone())).cloned().unwrap_or_default().into();
        }
    }
    document
}

fn remove(document: &mut Value, sections: &[&str], key: &str) {
    let mut section = Some(document);
    for name in sections {
        section = section.and_then(|section| section.get_mut(name));
    }
    if let Some(Value::Object(entries)) = section {
        entries.shift_remove(key);
    }
}

/// Objects sorted by key, at every depth.
fn canonical(value: Value) -> Value {
    match value {
        Value::Array(values) => values.into_iter().map(canonical).collect(),
        Value::Object(entries) => {
            let sorted: BTreeMap<String, Value> =
                entries.into_iter().map(|(key, value)| (key, canonical(value))).collect();
            Value::Object(sorted.into_iter().collect())
        }
        scalar => scalar,
    }
}
