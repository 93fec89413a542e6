//! `sluicebox plugin inspect`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Value, json};

use super::capture_facts::facts;
use super::config_keys::config_keys;
use super::imports::{answer, grant};
use super::text_table::aligned;
use super::{capture_facts, plugins, print};
use crate::capture;
use crate::plugin::{CONTRACT_VERSION, Capability, Plugin, PluginKind};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The path of a component, ending in `.wasm`, the name of a bundled plugin, `oci://registry/name:tag`, or a file that `capture` of a pipeline
    /// has kept, ending in `.capture`.
    plugin: String,
    /// Everything as one JSON object, with the whole schema of the configuration.
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    if arguments.plugin.ends_with(capture::NAME_ENDS_WITH) {
        let capture = capture_facts::read(Path::new(&arguments.plugin))?;
        match arguments.json {
            true => print(&serde_json::to_string_pretty(&capture.about)?),
            false => facts(&capture).iter().for_each(|line| print(line)),
        }
        return Ok(ExitCode::SUCCESS);
    }
    let plugin = plugins::load_named(&plugins::engine()?, &arguments.plugin, Path::new(""))?;
    match arguments.json {
        true => print(&serde_json::to_string_pretty(&as_json(&plugin))?),
        false => as_text(&plugin).iter().for_each(|line| print(line)),
    }
    Ok(ExitCode::SUCCESS)
}

fn as_text(plugin: &Plugin) -> Vec<String> {
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let state = match (plugin.is_stateful(), plugin.has_reference()) {
        (true, _) => "with state",
        (false, true) => "without state, looks rows up in a reference table",
        (false, false) => "without state",
    };
    let mut lines = vec![format!("{} {}", plugin.name(), plugin.version()), plugin.summary().to_owned()];
    lines.push(String::new());
    lines.extend(aligned(
        &[
            row("kind", format!("{}, {state}", kind_name(plugin.kind()))),
            row("contract", format!("sluicebox:plugin@{CONTRACT_VERSION}")),
            row("size", format!("{} bytes", plugin.size())),
            row("sha256", plugin.digest().to_owned()),
        ],
        2,
    ));
    lines.extend([String::new(), "imports".to_owned()]);
    lines.extend(import_lines(plugin));
    lines.extend([String::new(), "configuration (`--json` shows all of its schema)".to_owned()]);
    let keys: Vec<Vec<String>> = config_keys(plugin.config_schema())
        .into_iter()
        .map(|key| {
            let required = if key.required { "required" } else { "" };
            vec![format!("  {}", key.name), key.kind, required.to_owned(), key.description]
        })
        .collect();
    match keys.is_empty() {
        true => lines.push("  no keys of its own".to_owned()),
        false => lines.extend(aligned(&keys, 2)),
    }
    lines
}

/// What the plugin imports, and what stands behind it.
pub fn import_lines(plugin: &Plugin) -> Vec<String> {
    if plugin.imports().is_empty() {
        return vec!["  none".to_owned()];
    }
    let row = |name: &String| vec![format!("  {name}"), answer(name).to_owned(), grant(name)];
    let rows: Vec<_> = plugin.imports().iter().map(row).collect();
    aligned(&rows, 2)
}

fn as_json(plugin: &Plugin) -> Value {
    let import = |name: &String| {
        let grant = Capability::of_import(name).map(Capability::name);
        json!({ "interface": name, "answer": answer(name), "grant": grant })
    };
    json!({
        "name": &**plugin.name(),
        "version": plugin.version(),
        "summary": plugin.summary(),
        "kind": kind_name(plugin.kind()),
        "stateful": plugin.is_stateful(),
        "reference": plugin.has_reference(),
        "contract": CONTRACT_VERSION,
        "size": plugin.size(),
        "sha256": plugin.digest(),
        "imports": plugin.imports().iter().map(import).collect::<Vec<_>>(),
        "config_schema": plugin.config_schema(),
    })
}

fn kind_name(kind: PluginKind) -> &'static str {
    match kind {
        PluginKind::Transform => "transform",
        PluginKind::Aggregate => "aggregate",
    }
}
