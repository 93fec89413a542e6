//! A JSON Schema as the keys that a person may write. The schema is a plugin's: it is read no deeper than the
//! table needs, and its texts are cleaned.

use serde_json::{Map, Value};

use crate::plugin::sanitised;

const MAX_KEYS: usize = 200;
const MAX_NESTING: usize = 3;
const MAX_ALTERNATIVES: usize = 5;
const MAX_TEXT: usize = 160;

/// One key of a configuration.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigKey {
    pub name: String,
    pub kind: String,
    pub required: bool,
    pub description: String,
}

/// The top-level keys of the configuration, in the order of the schema.
pub fn config_keys(schema: &Value) -> Vec<ConfigKey> {
    let required = schema.get("required").and_then(Value::as_array);
    let is_required = |name: &str| required.is_some_and(|names| names.iter().any(|other| other == name));
    let properties = schema.get("properties").and_then(Value::as_object);
    let keys = properties.into_iter().flatten().take(MAX_KEYS).map(|(name, property)| ConfigKey {
        name: sanitised(name, MAX_TEXT),
        kind: kind(schema, property, 0),
        required: is_required(name),
        description: description(schema, property),
    });
    keys.collect()
}

fn description(root: &Value, property: &Value) -> String {
    let own = property.get("description").or_else(|| resolved(root, property).get("description"));
    let text = own.and_then(Value::as_str).unwrap_or_default();
    sanitised(text.split("\n\n").next().unwrap_or_default(), MAX_TEXT)
}

fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let target = schema.get("$ref").and_then(Value::as_str).and_then(|reference| reference.strip_prefix('#'));
    target.and_then(|pointer| root.pointer(pointer)).unwrap_or(schema)
}

fn kind(root: &Value, schema: &Value, depth: usize) -> String {
    let Some(members) = resolved(root, schema).as_object().filter(|_| depth < MAX_NESTING) else {
        return "any".to_owned();
    };
    if let Some(alternatives) = alternatives(members) {
        return any_of(alternatives.iter().map(|one| kind(root, one, depth + 1)));
    }
    if let Some(values) = members.get("enum").and_then(Value::as_array) {
        return any_of(values.iter().map(literal));
    }
    if let Some(value) = members.get("const") {
        return literal(value);
    }
    match members.get("type") {
        Some(Value::Array(types)) => any_of(types.iter().map(|one| simple(root, members, one, depth))),
        Some(one) => simple(root, members, one, depth),
        None => "any".to_owned(),
    }
}

fn alternatives(members: &Map<String, Value>) -> Option<&Vec<Value>> {
    ["anyOf", "oneOf"].iter().find_map(|keyword| members.get(*keyword)?.as_array())
}

fn simple(root: &Value, members: &Map<String, Value>, name: &Value, depth: usize) -> String {
    match name.as_str() {
        Some("array") => match members.get("items") {
            Some(items) => format!("list of {}", kind(root, items, depth + 1)),
            None => "list".to_owned(),
        },
        Some("object") => "mapping".to_owned(),
        Some("string") => "text".to_owned(),
        other => sanitised(other.unwrap_or("any"), MAX_TEXT),
    }
}

fn literal(value: &Value) -> String {
    sanitised(&value.as_str().map_or_else(|| value.to_string(), str::to_owned), MAX_TEXT)
}

/// Each once, `null` left out: whether a key may be absent is said elsewhere.
fn any_of(kinds: impl Iterator<Item = String>) -> String {
    let mut told: Vec<String> = Vec::new();
    for kind in kinds.filter(|kind| kind != "null") {
        if !told.contains(&kind) {
            told.push(kind);
        }
    }
    if told.len() > MAX_ALTERNATIVES {
        told.truncate(MAX_ALTERNATIVES);
        told.push("…".to_owned());
    }
    told.join(" or ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_told_in_order_with_their_types() {
        let schema = json!({
            "$defs": {
                "Size": {"type": "string", "description": "As in `1m`."},
                "Tree": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"$ref": "#/$defs/Tree"}}]},
            },
            "properties": {
                "size": {"$ref": "#/$defs/Size"},
                "slide": {"anyOf": [{"$ref": "#/$defs/Size"}, {"type": "null"}], "description": "Apart.\n\nMore."},
                "by": {"type": "array", "items": {"type": "string"}},
                "mode": {"enum": ["one", 2]},
                "tree": {"$ref": "#/$defs/Tree"},
                "limit": {"type": ["integer", "null"]},
                "any": true,
            },
            "required": ["size"],
        });
        let told: Vec<_> = config_keys(&schema)
            .into_iter()
            .map(|key| format!("{} {} {} {}", key.name, key.kind, key.required, key.description))
            .collect();
        assert_eq!(
            told,
            [
                "size text true As in `1m`.",
                "slide text false Apart.",
                "by list of text false ",
                "mode one or 2 false ",
                "tree text or list of any false ",
                "limit integer false ",
                "any any false ",
            ]
        );
    }

    #[test]
    fn hostile_schemas_are_told_shortly_and_cleanly() {
        let mut nested = json!({"type": "string"});
        for _ in 0..200 {
            nested = json!({"type": "array", "items": nested});
        }
        let schema = json!({"properties": {
            "a\u{1b}[31m": {"description": "x\ny".repeat(10_000)}, "deep": nested,
            "circle": {"$ref": "#/properties/circle"},
        }});
        for key in config_keys(&schema) {
            assert!(key.description.len() < 200 && key.kind.len() < 200, "{key:?}");
            assert!(!key.name.contains('\u{1b}') && !key.description.contains('\n'), "{key:?}");
        }
        assert_eq!(config_keys(&json!([])), []);
    }
}
