//! The configuration as it is written.

use std::collections::BTreeMap;

use sluicebox_plugin::Error;
use sluicebox_plugin::schemars::{self, JsonSchema};
use sluicebox_plugin::serde::Deserialize;

/// Configuration of the look-up. The table itself is the step's `reference`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Which column of the rows (`reading.unit` for a field of a struct) must equal which column of the table; all of them
    /// where there are several. A list where both have one name.
    on: Pairs,
    /// The new columns, each with the column of the table that it is taken from; a list where both have one name. None
    /// unless given: rows are then only kept or not.
    select: Option<Pairs>,
    /// What becomes of rows that the table has no row for, be it that a column of the key is null.
    #[serde(default)]
    pub on_miss: OnMiss,
    /// What to do if several rows of the table have one key.
    #[serde(default)]
    pub on_duplicate: OnDuplicate,
    /// Whether new columns may replace columns of the rows.
    #[serde(default)]
    pub replace: bool,
}

/// Names with names.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Pairs {
    Same(Vec<String>),
    Named(BTreeMap<String, String>),
}

/// What becomes of rows that the table has no row for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnMiss {
    /// They are kept, with null in the new columns.
    #[default]
    Keep,
    Drop,
    /// They are rejected, by the rule `no_match`.
    Reject,
}

/// What to do if several rows of the table have one key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnDuplicate {
    /// The table is refused.
    #[default]
    Error,
    /// The first of them counts, in the table's order.
    First,
    Last,
}

impl Config {
    /// Columns of the rows, each with the column of the table that it must equal.
    pub fn on(&self) -> Result<Vec<(&str, &str)>, Error> {
        let pairs = self.on.pairs("on")?;
        if pairs.is_empty() {
            return Err(Error::Config("`on` names no column to look up by".into()));
        }
        Ok(pairs)
    }

    /// New columns, each with the column of the table that it is taken from.
    pub fn select(&self) -> Result<Vec<(&str, &str)>, Error> {
        let pairs = self.select.as_ref().map_or(Ok(Vec::new()), |select| select.pairs("select"))?;
        if pairs.is_empty() && self.on_miss == OnMiss::Keep {
            let advice =
                "there is nothing to do: `select` columns of the table, or let `on_miss` drop or reject";
            return Err(Error::Config(advice.into()));
        }
        Ok(pairs)
    }
}

impl Pairs {
    fn pairs(&self, key: &str) -> Result<Vec<(&str, &str)>, Error> {
        match self {
            Self::Named(names) => {
                Ok(names.iter().map(|(left, right)| (left.as_str(), right.as_str())).collect())
            }
            Self::Same(names) => {
                let twice = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name));
                match twice {
                    Some((_, name)) => Err(Error::Config(format!("`{key}` names `{name}` twice"))),
                    None => Ok(names.iter().map(|name| (name.as_str(), name.as_str())).collect()),
                }
            }
        }
    }
}
