//! A plugin's JSON Schema as tables for people: one of the configuration, and one of each type in it.

use serde_json::{Map, Value};

/// Tables in Markdown, of the configuration first.
pub fn of(schema: &Value) -> String {
    let mut sections = vec![table(schema)];
    let definitions = schema["$defs"].as_object().cloned().unwrap_or_default();
    for (name, definition) in &definitions {
        if has_section(definition) {
            sections.push(format!("### {name}\n\n{}", section(definition)));
        }
    }
    sections.join("\n")
}

/// Whether a type is told in a section of its own, and not where it is used.
fn has_section(definition: &Value) -> bool {
    definition.get("description").is_some()
        || is_object(definition)
        || cases(definition).iter().any(is_described)
}

fn is_described(case: &Value) -> bool {
    case.get("description").is_some()
}

fn is_object(schema: &Value) -> bool {
    schema.get("properties").is_some()
}

fn cases(schema: &Value) -> Vec<Value> {
    ["oneOf", "anyOf"].iter().find_map(|key| schema[*key].as_array().cloned()).unwrap_or_default()
}

fn section(definition: &Value) -> String {
    let cases = cases(definition);
    if cases.is_empty() {
        return table(definition);
    }
    let about = definition["description"].as_str().map(|text| format!("{}\n\n", paragraph(text)));
    let rows = match cases.iter().all(is_object) {
        true => one_key_of(&cases),
        false => values(&cases),
    };
    format!("{}{rows}", about.unwrap_or_default())
}

/// Objects of one key each, of which one is chosen.
fn one_key_of(cases: &[Value]) -> String {
    let mut text = String::from("One of:\n\n| key | type | meaning |\n|---|---|---|\n");
    for case in cases {
        for (key, property) in properties(case) {
            let meaning = case["description"].as_str().or(property["description"].as_str());
            text.push_str(&format!(
                "| `{key}` | {} | {} |\n",
                type_of(&property),
                cell(meaning.unwrap_or_default())
            ));
        }
    }
    text
}

/// Values of which one is chosen.
fn values(cases: &[Value]) -> String {
    let mut text = String::from("| value | meaning |\n|---|---|\n");
    for case in cases {
        let meaning = cell(case["description"].as_str().unwrap_or_default());
        for value in constants(case) {
            text.push_str(&format!("| `{value}` | {meaning} |\n"));
        }
    }
    text
}

fn constants(case: &Value) -> Vec<String> {
    let values = case["enum"].as_array().cloned().unwrap_or_default();
    values.iter().chain(case.get("const")).map(plain).collect()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn table(schema: &Value) -> String {
    let about =
        schema["description"].as_str().map(|text| format!("{}\n\n", paragraph(text))).unwrap_or_default();
    if !is_object(schema) {
        return about.trim_end().to_owned() + "\n";
    }
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut text = about + "| key | type | default | meaning |\n|---|---|---|---|\n";
    let properties = properties(schema);
    let (first, rest): (Vec<_>, Vec<_>) =
        properties.into_iter().partition(|(key, _)| required.contains(&key.as_str()));
    for (key, property) in first.iter().chain(&rest) {
        let default = match property.get("default") {
            _ if required.contains(&key.as_str()) => "required".to_owned(),
            None | Some(Value::Null) => String::new(),
            Some(default) => format!("`{}`", plain(default)),
        };
        let meaning = cell(property["description"].as_str().unwrap_or_default());
        text.push_str(&format!("| `{key}` | {} | {default} | {meaning} |\n", type_of(property)));
    }
    text
}

fn properties(schema: &Value) -> Map<String, Value> {
    schema["properties"].as_object().cloned().unwrap_or_default()
}

/// A type in a few words, with a link where it has a section.
fn type_of(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    let alternatives: Vec<Value> = cases(schema).into_iter().filter(|case| case["type"] != "null").collect();
    if !alternatives.is_empty() {
        return alternatives.iter().map(type_of).collect::<Vec<_>>().join(" or ");
    }
    let constants = constants(schema);
    if !constants.is_empty() {
        return constants.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ");
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::Array(kinds) => {
            kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null").collect()
        }
        kind => kind.as_str().into_iter().collect(),
    };
    let kinds: Vec<String> = kinds
        .iter()
        .map(|kind| match *kind {
            "string" => "text".to_owned(),
            "array" => format!("list of {}", type_of(&schema["items"])),
            other => other.to_owned(),
        })
        .collect();
    kinds.join(", ")
}

/// Line breaks of doc comments mean nothing; empty lines do.
fn paragraph(text: &str) -> String {
    text.split("\n\n").map(|part| part.replace('\n', " ")).collect::<Vec<_>>().join("\n\n")
}

fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::of;

    #[test]
    fn keys_have_types_defaults_and_meanings() {
        let schema = json!({
            "description": "All of\nit.",
            "properties": {
                "a": {"type": ["string", "null"], "description": "One | two\nlines."},
                "rules": {"type": "array", "items": {"$ref": "#/$defs/Rule"}},
                "how": {"$ref": "#/$defs/How", "default": "soft"},
            },
            "required": ["rules"],
            "$defs": {
                "How": {"oneOf": [{"enum": ["hard"]}, {"const": "soft", "description": "Gently."}]},
                "Rule": {"oneOf": [{"properties": {"trim": {"type": "boolean"}}, "description": "Cuts."}]},
                "Plain": {"enum": ["x"]},
            },
        });
        let expected = "All of it.\n\n\
            | key | type | default | meaning |\n|---|---|---|---|\n\
            | `rules` | list of [Rule](#rule) | required |  |\n\
            | `a` | text |  | One \\| two lines. |\n\
            | `how` | [How](#how) | `soft` |  |\n\n\
            ### How\n\n| value | meaning |\n|---|---|\n| `hard` |  |\n| `soft` | Gently. |\n\n\
            ### Rule\n\nOne of:\n\n| key | type | meaning |\n|---|---|---|\n| `trim` | boolean | Cuts. |\n";
        assert_eq!(of(&schema), expected);
    }
}
