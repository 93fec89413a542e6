//! The configuration as it is written.

use sluicebox_plugin::schemars::{self, JsonSchema};
use sluicebox_plugin::serde::Deserialize;

/// Configuration of the explosion: `list`, `flatten`, or both.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The list column of which each element becomes a row of its own, with the other columns beside it.
    pub list: Option<String>,
    /// What the column of the elements is called; as the list unless given.
    pub element: Option<String>,
    /// Adds a column of this name: the element's position in the list, from 0 on.
    pub index: Option<String>,
    /// Keeps rows whose list is empty or null, with null as the element and the position. Otherwise they are used up.
    #[serde(default)]
    pub keep_empty: bool,
    /// Makes columns of the fields of structs; of elements too.
    pub flatten: Option<Flatten>,
}

/// Which structs become columns, and what these are called.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Flatten {
    /// The struct columns to flatten; all of them unless given.
    pub columns: Option<Vec<String>>,
    /// What stands between the names of a struct and of its field.
    #[serde(default = "underscore")]
    pub separator: String,
    /// How many levels of structs are taken apart; all of them unless given.
    #[schemars(range(min = 1))]
    pub depth: Option<u32>,
}

fn underscore() -> String {
    "_".to_owned()
}
