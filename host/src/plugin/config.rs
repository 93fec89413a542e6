//! A step's configuration against the JSON Schema that its plugin gives. The schema is untrusted: it may
//! not reach out, match slowly or recurse for ever.

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

const MAX_ERRORS: usize = 8;

/// Whether `schema` is a JSON Schema that this host can use.
pub(super) fn check_schema(schema: &Value) -> Result<(), String> {
    validator(schema).map(drop)
}

/// Says by path what in `config` is not as `schema` wants it.
pub(super) fn check(schema: &Value, config: &Value) -> Result<(), String> {
    let validator = validator(schema)?;
    let mut errors = validator.iter_errors(config);
    let told: Vec<String> = errors
        .by_ref()
        .take(MAX_ERRORS)
        .map(|error| match error.instance_path().as_str() {
            "" => error.to_string(),
            path => format!("`{path}`: {error}"),
        })
        .collect();
    if told.is_empty() {
        return Ok(());
    }
    let more = errors.count();
    let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
    Err(format!("its configuration is wrong: {}{more}", told.join("; ")))
}

fn validator(schema: &Value) -> Result<Validator, String> {
    refuse_circles(schema)?;
    jsonschema::options()
        .offline()
        .with_pattern_options(PatternOptions::regex().size_limit(1 << 20))
        .build(schema)
        .map_err(|error| format!("the schema of its configuration is not sound: {error}"))
}
