//! Steps as they are written.

use sluicebox_kernels::CastTo;
use sluicebox_plugin::Literal;
use sluicebox_plugin::schemars::{self, JsonSchema};
use sluicebox_plugin::serde::{Deserialize, Serialize};

/// One step, for example `trim: [name, city]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Takes white space off both ends of texts.
    Trim(Vec<String>),
    /// Makes texts upper case.
    Upper(Vec<String>),
    /// Makes texts lower case.
    Lower(Vec<String>),
    /// Puts a value where there is none.
    Default(DefaultStep),
    /// Changes the type of a column.
    Cast(CastStep),
    /// Makes a timestamp (microseconds, UTC) of a text or an integer.
    ParseTimestamp(ParseTimestampStep),
    /// Gives a column another name.
    Rename(FromTo),
    /// Leaves columns out.
    Drop(Vec<String>),
    /// Copies a field nested in structs, as in `reading.temp`, to a column of its own.
    Extract(FromTo),
    /// Adds a column, or replaces it.
    Add(AddStep),
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DefaultStep {
    pub column: String,
    /// Of the column's type; for timestamps a text (RFC 3339).
    pub value: Literal,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CastStep {
    pub column: String,
    pub to: CastTo,
    #[serde(default)]
    pub on_failure: OnFailure,
}

/// What happens where a value cannot be converted or computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// The row is rejected by the rule `cast`, `parse_timestamp`, `division_by_zero` or `overflow`.
    #[default]
    Reject,
    SetNull,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParseTimestampStep {
    pub column: String,
    /// `rfc3339`, `unix_s`, `unix_ms`, `unix_us`, or a pattern of %Y %m %d %H %M %S %f (fraction of a second) %z (Z or
    /// an offset; UTC without) %% and literal characters, as in `%d/%m/%Y %H:%M`.
    pub format: String,
    #[serde(default)]
    pub on_failure: OnFailure,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FromTo {
    pub from: String,
    pub to: String,
}

/// Exactly one of `constant` and `expression`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddStep {
    pub column: String,
    /// A text, number or boolean.
    pub constant: Option<Literal>,
    /// In the language of the plugin `derive`, of columns as they are at this step; the column has its type.
    pub expression: Option<String>,
    #[serde(default)]
    pub on_failure: OnFailure,
}
