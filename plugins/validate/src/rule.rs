//! Rules: as written, and compiled for the columns.

use sluicebox_condition::{Condition, Test};
use sluicebox_plugin::schemars::{self, JsonSchema};
use sluicebox_plugin::serde::{Deserialize, Serialize};
use sluicebox_plugin::{Error, Reads, Schema};

/// What a host takes for the name of a metric, in bytes.
const MAX_NAME: usize = 64;
/// As many metrics as a host takes of a plugin.
const MAX_RULES: usize = 64;

/// A rule.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Names a metric, the number of rows that failed: lower case, digits and `_`.
    name: String,
    /// A row fails if this is false for it; not if a null makes it neither true nor false.
    check: Condition,
    #[serde(default)]
    on_failure: OnFailure,
    /// For people; the rule's name unless given.
    reason: Option<String>,
}

/// What becomes of a row that fails. Of several rules that a row fails the hardest decides: `fail`, then `quarantine`,
/// `drop` and `warn`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// It is kept, and counted.
    Warn,
    /// It is dropped.
    Drop,
    /// It is rejected, with the names of all rules that it failed.
    #[default]
    Quarantine,
    /// It breaks the step: with the step's `on_error: stop` the pipeline stops there.
    Fail,
}

/// A rule on columns whose places are known.
pub struct CompiledRule {
    pub name: String,
    pub test: Test,
    pub on_failure: OnFailure,
    /// How the rule is told to people.
    pub told: String,
}

pub struct Rules {
    pub all: Vec<CompiledRule>,
}

pub fn compile(rules: Vec<Rule>, input: &Schema, reads: &mut Reads) -> Result<Rules, Error> {
    if rules.is_empty() || rules.len() > MAX_RULES {
        return Err(Error::Config(format!(
            "there are {} rules; there must be 1 to {MAX_RULES}",
            rules.len()
        )));
    }
    let mut all: Vec<CompiledRule> = Vec::with_capacity(rules.len());
    for Rule { name, check, on_failure, reason } in rules {
        if !is_name(&name) {
            return Err(Error::Config(format!(
                "rule `{name}`: a name is a lower-case letter and then lower-case letters, digits and `_`, at most \
                 {MAX_NAME} in all"
            )));
        }
        if all.iter().any(|rule| rule.name == name) {
            return Err(Error::Config(format!("there are two rules `{name}`")));
        }
        let test =
            sluicebox_condition::compile(&check, input, reads).map_err(|error| at_rule(&name, error))?;
        let told = reason.map_or_else(|| name.clone(), |reason| format!("{name}: {reason}"));
        all.push(CompiledRule { name, test, on_failure, told });
    }
    Ok(Rules { all })
}

impl Rules {
    /// The names of the rules that reject rows, in order.
    pub fn rejecting(&self) -> Vec<String> {
        let rejecting = self.all.iter().filter(|rule| rule.on_failure == OnFailure::Quarantine);
        rejecting.map(|rule| rule.name.clone()).collect()
    }
}

fn is_name(name: &str) -> bool {
    let is_part = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
    name.len() <= MAX_NAME && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.bytes().all(is_part)
}

fn at_rule(name: &str, error: Error) -> Error {
    let told = |what: String| format!("rule `{name}`: {what}");
    match error {
        Error::Config(what) => Error::Config(told(what)),
        Error::Schema(what) => Error::Schema(told(what)),
        Error::Data(what) => Error::Data(told(what)),
    }
}
