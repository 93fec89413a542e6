//! The published JSON Schema of the pipeline file: completion and checks in editors.

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{Schema, json_schema};
use serde_json::Value;

use super::pipeline::Pipeline;

/// The schema, as published in `docs/pipeline.schema.json`.
pub fn json_schema() -> Schema {
    SchemaSettings::draft2020_12()
        .with_transform(AllowReferences)
        .into_generator()
        .into_root_schema_for::<Pipeline>()
}

/// A value that is not free text may also be written as `${VARIABLE}`.
#[derive(Clone)]
struct AllowReferences;

impl Transform for AllowReferences {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let number = |kind: &Value| matches!(kind.as_str(), Some("integer" | "number" | "boolean"));
        let kinds = match schema.get("type") {
            Some(Value::Array(kinds)) => kinds.clone(),
            Some(kind) => vec![kind.clone()],
            None => Vec::new(),
        };
        let text = kinds.iter().any(|kind| kind == "string");
        let narrow = ["pattern", "format", "enum", "const"].iter().any(|key| schema.get(*key).is_some());
        if (text && narrow) || (!text && kinds.iter().any(number)) {
            allow_reference(schema);
        }
    }
}

fn allow_reference(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    let mut outer = serde_json::Map::new();
    for key in ["description", "default"] {
        if let Some(value) = object.shift_remove(key) {
            outer.insert(key.to_owned(), value);
        }
    }
    let inner = Value::Object(std::mem::take(object));
    let reference = json_schema!({ "type": "string", "pattern": r"\$\{.+\}" });
    outer.insert("anyOf".to_owned(), Value::Array(vec![inner, reference.into()]));
    *object = outer;
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLISHED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/pipeline.schema.json");

    /// `UPDATE_SCHEMA=1 cargo test -p sluicebox config::json_schema` writes the file anew.
    #[test]
    fn the_published_schema_is_the_types() {
        let generated = serde_json::to_string_pretty(&json_schema()).unwrap() + "\n";
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(PUBLISHED, &generated).unwrap();
        }
        let published = std::fs::read_to_string(PUBLISHED).unwrap();
        assert_eq!(
            published, generated,
            "docs/pipeline.schema.json is stale: run the tests with UPDATE_SCHEMA=1"
        );
    }

    #[test]
    fn the_schema_takes_what_the_types_take() {
        let validator = jsonschema::validator_for(json_schema().as_value()).unwrap();
        let document = |text: &str| serde_saphyr::from_str::<Value>(text).unwrap();
        let full = document(include_str!("fixtures/full.yaml"));
        let problems: Vec<_> = validator.iter_errors(&full).map(|error| error.to_string()).collect();
        assert_eq!(problems, Vec::<String>::new());

        for (pointer, wrong) in [
            ("/epoch/interval", "soon".into()),
            ("/decode/policy", "loose".into()),
            ("/source/batch/rows", 0.into()),
            ("/id", "Upper Case".into()),
            ("/layers/silver/steps/0/limits/memory", 64.into()),
        ] {
            let mut document = full.clone();
            *document.pointer_mut(pointer).unwrap() = wrong;
            assert!(!validator.is_valid(&document), "{pointer}");
        }
        let mut document = full.clone();
        document["epoch"]["intervall"] = "1s".into();
        assert!(!validator.is_valid(&document), "unknown keys are refused");
    }
}
