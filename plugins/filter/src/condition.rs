//! Conditions as they are written.

use sluicebox_plugin::schemars::{self, JsonSchema};
use sluicebox_plugin::serde::Deserialize;
use sluicebox_plugin::serde_json::Value;

/// One of `and`, `or`, `not`, or tests of one column; several tests of a column must all hold.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Condition {
    pub and: Option<Vec<Condition>>,
    pub or: Option<Vec<Condition>>,
    pub not: Option<Box<Condition>>,
    /// A column, or a field nested in structs, as in `reading.temp`.
    pub column: Option<String>,
    /// Equal to a text, number, boolean, or timestamp (RFC 3339).
    pub eq: Option<Value>,
    pub ne: Option<Value>,
    pub lt: Option<Value>,
    pub le: Option<Value>,
    pub gt: Option<Value>,
    pub ge: Option<Value>,
    /// Equal to one of these.
    #[serde(rename = "in")]
    pub one_of: Option<Vec<Value>>,
    /// Text that begins so.
    pub prefix: Option<String>,
    /// Text in which this regular expression is found; anchor it by `^` and `$`.
    pub matches: Option<String>,
    /// `true`: has no value. `false`: has one.
    pub is_null: Option<bool>,
}
