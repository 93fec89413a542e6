//! Conditions as they are written.

use sluicebox_plugin::Literal;
use sluicebox_plugin::schemars::{self, JsonSchema};
use sluicebox_plugin::serde::Deserialize;

/// One of `and`, `or`, `not`, or tests of one column; several tests of a column must all hold.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Condition {
    /// All of these.
    pub and: Option<Vec<Condition>>,
    /// At least one of these.
    pub or: Option<Vec<Condition>>,
    /// Not this.
    pub not: Option<Box<Condition>>,
    /// A column, or a field nested in structs, as in `reading.temp`.
    pub column: Option<String>,
    /// Equal to a text, number, boolean, or timestamp (RFC 3339).
    pub eq: Option<Literal>,
    /// Not equal.
    pub ne: Option<Literal>,
    /// Less.
    pub lt: Option<Literal>,
    /// Less or equal.
    pub le: Option<Literal>,
    /// Greater.
    pub gt: Option<Literal>,
    /// Greater or equal.
    pub ge: Option<Literal>,
    /// Equal to one of these.
    #[serde(rename = "in")]
    pub one_of: Option<Vec<Literal>>,
    /// Text that begins so.
    pub prefix: Option<String>,
    /// Text in which this regular expression is found; anchor it by `^` and `$`.
    pub matches: Option<String>,
    /// Text of at least so many characters.
    pub min_length: Option<u32>,
    /// Text of at most so many characters.
    pub max_length: Option<u32>,
    /// `true`: has no value. `false`: has one.
    pub is_null: Option<bool>,
}
