//! The JSON Schema of a plugin's configuration: derived natively and kept in `config.schema.json`, so that a component
//! carries a text, and not what derives it (a third of its code, when it did).

use std::path::Path;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// Checks `config.schema.json` in the plugin's folder against its configuration `C`; with `UPDATE_SCHEMA` in the
/// environment writes it anew.
///
/// # Panics
/// If the file says something else, or cannot be read or written.
pub fn check<C: JsonSchema>(folder: &str) {
    let path = Path::new(folder).join("config.schema.json");
    let derived = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<C>().to_value();
    // Compared as values: the order of members depends on features of serde_json.
    let kept = std::fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str::<Value>(&text).ok());
    if kept.as_ref() == Some(&derived) {
        return;
    }
    assert!(
        std::env::var_os("UPDATE_SCHEMA").is_some(),
        "{} is stale: run the test with UPDATE_SCHEMA=1",
        path.display()
    );
    std::fs::write(&path, format!("{derived:#}\n")).expect("the plugin's folder can be written");
}
