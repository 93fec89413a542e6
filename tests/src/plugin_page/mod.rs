//! The page of a standard plugin in `docs/plugins/`: what the plugin says of itself, and the prose beside its source.

mod example;
mod schema_tables;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use sluicebox::plugin::{Plugin, PluginKind};

pub use example::{Columns, Example, Lines, examples};

/// The folder of the repository.
pub fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The names of the standard plugins, sorted: the folders under `plugins/` that state a configuration.
pub fn standard_plugins() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root().join("plugins"))? {
        let entry = entry?;
        if entry.path().join("config.schema.json").is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Where a plugin's page is.
pub fn page_path(name: &str) -> PathBuf {
    root().join("docs/plugins").join(format!("{name}.md"))
}

/// The page, as it must be.
pub fn page(plugin: &Plugin) -> Result<String> {
    let path = root().join("plugins").join(&**plugin.name()).join("docs.md");
    let prose = read(&path)?;
    let kind = match plugin.kind() {
        PluginKind::Transform => "transform",
        PluginKind::Aggregate => "aggregate",
    };
    let state = match (plugin.is_stateful(), plugin.has_reference()) {
        (true, _) => ", with state",
        (false, true) => ", with a [reference table](../reference-tables.md)",
        (false, false) => "",
    };
    Ok(format!(
        "<!-- Made of the plugin's own description and of plugins/{name}/docs.md: change those. -->\n\n\
         # {name}\n\n{summary}\n\nVersion {version}, {kind}{state}. Common to all plugins: [../plugins.md](../plugins.md).\n\n\
         {prose}\n\n## Configuration\n\n{tables}",
        name = plugin.name(),
        summary = plugin.summary(),
        version = plugin.version(),
        prose = prose.trim(),
        tables = schema_tables::of(plugin.config_schema()),
    ))
}

/// The line of a plugin in the index.
pub fn index_line(plugin: &Plugin) -> String {
    format!("| [{name}](plugins/{name}.md) | {summary} |", name = plugin.name(), summary = plugin.summary())
}

/// The text of a file, with its path in the error.
pub fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Holds the file to the text; with `UPDATE_DOCS` in the environment writes it.
pub fn check_or_update(path: &Path, expected: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|found| found == expected) {
        return Ok(());
    }
    ensure!(
        std::env::var_os("UPDATE_DOCS").is_some(),
        "{} is stale: run `UPDATE_DOCS=1 cargo xtask test -- --test plugin_pages`",
        path.display()
    );
    fs::write(path, expected).with_context(|| format!("cannot write {}", path.display()))
}
