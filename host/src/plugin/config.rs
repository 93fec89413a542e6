//! A step's configuration against the JSON Schema that its plugin gives. The schema is untrusted: it may
//! not reach out, match slowly or recurse for ever.

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternOptions, ValidationError, Validator};
use serde_json::Value;

use super::text::sanitised;

const MAX_ERRORS: usize = 8;
const MAX_IN_PLACE_DEPTH: usize = 64;
const MAX_IN_PLACE_PATHS: usize = 1024;

/// Whether `schema` is a JSON Schema that this host can use.
pub(super) fn check_schema(schema: &Value) -> Result<(), String> {
    validator(schema).map(drop)
}

/// Says by path what in `config` is not as `schema` wants it.
pub(super) fn check(schema: &Value, config: &Value) -> Result<(), String> {
    let validator = validator(schema)?;
    let mut errors = validator.iter_errors(config);
    let told: Vec<String> = errors.by_ref().take(MAX_ERRORS).map(|error| told(&error)).collect();
    if told.is_empty() {
        return Ok(());
    }
    let more = errors.count();
    let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
    Err(format!("its configuration is wrong: {}{more}", told.join("; ")))
}

/// The place in the configuration, and what is wrong there. Values are not told: they may be secrets.
fn told(error: &ValidationError<'_>) -> String {
    let what = match error.kind() {
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            match what_fits(context) {
                Fits::OneOf(values) => format!("expected one of {}", values.join(", ")),
                Fits::Closest(error) => return told(error),
                Fits::Unknown => error.masked().to_string(),
            }
        }
        _ => error.masked().to_string(),
    };
    match error.instance_path().as_str() {
        "" => what,
        path => format!("`{path}`: {what}"),
    }
}

/// What one may write where several forms are allowed and none was found.
enum Fits<'a> {
    OneOf(Vec<String>),
    /// Of the form that got furthest, its first error.
    Closest(&'a ValidationError<'static>),
    Unknown,
}

/// `context` has the errors of each form.
fn what_fits<'a>(context: &'a [Vec<ValidationError<'static>>]) -> Fits<'a> {
    let mut values = Vec::new();
    for error in context.iter().flatten() {
        match error.kind() {
            ValidationErrorKind::Constant { expected_value } => values.push(expected_value.to_string()),
            ValidationErrorKind::Enum { options } => {
                values.extend(options.as_array().into_iter().flatten().map(Value::to_string));
            }
            _ => {}
        }
    }
    let depth = |error: &ValidationError<'_>| error.instance_path().as_str().matches('/').count();
    let furthest = context.iter().flatten().max_by_key(|error| depth(error));
    let shallowest = context.iter().flatten().map(depth).min();
    match furthest {
        Some(error) if Some(depth(error)) > shallowest => Fits::Closest(error),
        _ if !values.is_empty() => Fits::OneOf(values),
        Some(error) if context.len() == 1 => Fits::Closest(error),
        _ => keys(context).map_or(Fits::Unknown, Fits::OneOf),
    }
}

/// Where each form is known by its own key.
fn keys(context: &[Vec<ValidationError<'static>>]) -> Option<Vec<String>> {
    let key = |errors: &Vec<ValidationError<'static>>| {
        errors.iter().find_map(|error| match error.kind() {
            ValidationErrorKind::Required { property } => Some(format!("the key {property}")),
            _ => None,
        })
    };
    context.iter().map(key).collect()
}

fn validator(schema: &Value) -> Result<Validator, String> {
    refuse_circles(schema)?;
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .offline()
        .with_pattern_options(PatternOptions::regex().size_limit(1 << 20))
        .build(schema)
        .map_err(|error| format!("the schema of its configuration is not sound: {error}"))
}

/// Refuses schemas that apply to one value without end, or too often: the validator would run out of stack
/// or of time. Recursion that goes down into the value is fine.
fn refuse_circles(schema: &Value) -> Result<(), String> {
    let mut pending = vec![schema];
    while let Some(value) = pending.pop() {
        match value {
            Value::Object(members) => {
                let mut paths = 0;
                follow(schema, value, 0, &mut paths)?;
                pending.extend(members.values());
            }
            Value::Array(items) => pending.extend(items),
            _ => {}
        }
    }
    Ok(())
}

/// Walks the schemas that apply to the same value as `at` does.
fn follow(root: &Value, at: &Value, depth: usize, paths: &mut usize) -> Result<(), String> {
    *paths += 1;
    if depth > MAX_IN_PLACE_DEPTH || *paths > MAX_IN_PLACE_PATHS {
        return Err("the schema of its configuration refers to itself in a circle".to_owned());
    }
    let Value::Object(members) = at else { return Ok(()) };
    for (keyword, value) in members {
        match (keyword.as_str(), value) {
            ("$ref", Value::String(reference)) => {
                let pointer = reference.strip_prefix('#').filter(|p| p.is_empty() || p.starts_with('/'));
                let Some(target) = pointer.and_then(|pointer| root.pointer(pointer)) else {
                    return Err(format!(
                        "the schema of its configuration refers to {:?}: only references to a place in the \
                         same document are supported",
                        sanitised(reference, 128)
                    ));
                };
                follow(root, target, depth + 1, paths)?;
            }
            // An `$id` further down would change what references mean.
            ("$id", Value::String(_)) if std::ptr::eq(root, at) => {}
            ("$id" | "$anchor" | "$dynamicAnchor" | "$dynamicRef", Value::String(_)) => {
                return Err(format!(
                    "the schema of its configuration uses `{keyword}`, which is not supported"
                ));
            }
            ("allOf" | "anyOf" | "oneOf", Value::Array(all)) => {
                for one in all {
                    follow(root, one, depth + 1, paths)?;
                }
            }
            ("not" | "if" | "then" | "else", one) => follow(root, one, depth + 1, paths)?,
            ("dependentSchemas" | "dependencies", Value::Object(all)) => {
                for one in all.values() {
                    follow(root, one, depth + 1, paths)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn errors_say_where() {
        let schema = json!({
            "type": "object",
            "required": ["where"],
            "additionalProperties": false,
            "properties": {"where": {"type": "array", "items": {"type": "string"}}},
        });
        assert_eq!(check(&schema, &json!({"where": ["a"]})), Ok(()));
        let wrong = check(&schema, &json!({"where": ["a", 1]})).unwrap_err();
        assert!(wrong.contains("`/where/1`"), "{wrong}");
        let missing = check(&schema, &json!({"were": []})).unwrap_err();
        assert!(missing.contains("were") && missing.contains("required"), "{missing}");
    }

    #[test]
    fn where_several_forms_are_allowed_the_forms_are_told_and_values_are_not() {
        let schema = json!({"properties": {
            "on_failure": {"oneOf": [{"const": "warn"}, {"const": "drop"}, {"enum": ["fail"]}]},
            "step": {"anyOf": [
                {"type": "object", "required": ["trim"], "additionalProperties": false,
                 "properties": {"trim": {"type": "array", "items": {"type": "string"}}}},
                {"type": "object", "required": ["cast"], "additionalProperties": false,
                 "properties": {"cast": {"type": "object", "required": ["column"]}}},
            ]},
            "name": {"type": "string"},
        }});
        let wrong = |config: Value| check(&schema, &config).unwrap_err();
        let said = wrong(json!({"on_failure": "secret"}));
        assert!(said.contains("`/on_failure`: expected one of \"warn\", \"drop\", \"fail\""), "{said}");
        let said = wrong(json!({"step": {"trim": ["a", 1]}}));
        assert!(said.contains("`/step/trim/1`") && said.contains("string"), "{said}");
        let said = wrong(json!({"step": {"tirm": ["secret"]}}));
        assert!(said.contains("the key \"trim\", the key \"cast\""), "{said}");
        let said = wrong(json!({"name": ["secret"]}));
        assert!(said.contains("`/name`") && !said.contains("secret"), "{said}");
    }

    #[test]
    fn recursion_into_the_value_is_fine() {
        let schema = json!({
            "$defs": {"predicate": {"anyOf": [
                {"type": "string"},
                {"type": "object", "properties": {"not": {"$ref": "#/$defs/predicate"}}},
            ]}},
            "$ref": "#/$defs/predicate",
        });
        assert_eq!(check(&schema, &json!({"not": {"not": "a"}})), Ok(()));
        assert!(check(&schema, &json!({"not": {"not": 3}})).is_err());
    }

    #[test]
    fn hostile_schemas_are_refused() {
        let mut doubling = serde_json::Map::new();
        for level in 0..40 {
            let next = json!({"$ref": format!("#/$defs/d{}", level + 1)});
            doubling.insert(format!("d{level}"), json!({"allOf": [next, next]}));
        }
        doubling.insert("d40".to_owned(), json!({}));
        for schema in [
            json!({"$ref": "#"}),
            json!({"properties": {"a": {"allOf": [{"$ref": "#/properties/a"}]}}}),
            json!({"$ref": "https://example.com/schema.json"}),
            json!({"$ref": "file:///etc/passwd"}),
            json!({"$dynamicRef": "#x"}),
            json!({"dependencies": {"a": {"$ref": "#"}}}),
            json!({"$defs": {"a": {"$id": "https://example.com/a", "$ref": "#"}}}),
            json!({"$defs": doubling, "$ref": "#/$defs/d0"}),
            json!({"pattern": "(a{1000}){1000}"}),
            json!(["not a schema"]),
        ] {
            assert!(check_schema(&schema).is_err(), "{schema}");
        }
    }
}
