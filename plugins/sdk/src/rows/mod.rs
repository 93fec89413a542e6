//! Plugins over rows as plain structs: the plugin reads the columns that the fields of a struct name, and each row is
//! deserialised straight from them.
//!
//! ```
//! use sluicebox_plugin::rows::{Fate, RowTransform, Set};
//! use sluicebox_plugin::schemars::{self, JsonSchema};
//! use sluicebox_plugin::serde::{Deserialize, Serialize};
//! use sluicebox_plugin::{Description, Error};
//!
//! #[derive(Deserialize, JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Hot {
//!     limit: f64,
//! }
//!
//! #[derive(Deserialize)]
//! struct Reading<'a> {
//!     machine: Option<&'a str>,
//!     #[serde(rename = "reading.celsius")]
//!     celsius: f64,
//! }
//!
//! #[derive(Serialize, Deserialize)]
//! struct Warning {
//!     is_hot: bool,
//! }
//!
//! impl RowTransform for Hot {
//!     const DESCRIPTION: Description =
//!         Description { name: "hot", version: "0.1.0", summary: "Marks readings above a limit." };
//!     const RULES: &[&str] = &["no_machine"];
//!     type Config = Hot;
//!     type In<'row> = Reading<'row>;
//!     type Out = Set<Warning>;
//!
//!     fn open(config: Hot) -> Result<Hot, Error> {
//!         Ok(config)
//!     }
//!
//!     fn apply(&mut self, row: Reading) -> Fate<Set<Warning>> {
//!         match row.machine {
//!             None => Fate::reject("no_machine", "nobody knows which machine this was"),
//!             Some("test") => Fate::Drop,
//!             Some(_) => Fate::Keep(Set(Warning { is_hot: row.celsius > self.limit })),
//!         }
//!     }
//! }
//!
//! # /* A crate's own folder has the schema of its configuration.
//! sluicebox_plugin::export!(Hot: RowTransform);
//! # */
//! ```
//!
//! | field of a row | reads | as output makes |
//! |---|---|---|
//! | `bool` | `boolean` | `boolean` |
//! | integers up to 64 bits | integers of any width; timestamps and dates in their units | the same type (`u64`: `int64`) |
//! | `f32`, `f64` | floats, integers | `float32`, `float64` |
//! | `String`, `&str`, `char` | `utf8` | `utf8` |
//! | an enum of variants without data | `utf8`: the variant's name | `utf8` |
//! | [`Timestamp`], [`Date`] | `timestamp` in microseconds, `date` | the same |
//! | `&[u8]`; `Vec<u8>` | `binary` | with `serde_bytes` `binary`; else a `list` |
//! | `Option<T>` | what `T` reads; null is `None` | a column that may be null |
//! | `Vec<T>`, a struct | `list`, `struct` | the same |
//! | `HashMap<String, T>`, `BTreeMap<String, T>` | `map` | nothing |
//! | `serde_json::Value` | anything but decimals | nothing |
//!
//! A type is found out by a dry run of its `Deserialize` over empty values, before the first row: a type that refuses
//! those (a text that must be a date, say) cannot stand in a row, nor can one that contains itself.

mod cell;
mod output;
mod reader;
mod rowwise;
mod shape;
mod tracer;
mod types;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::{Description, Error};

pub use output::{RowOutput, Set};
pub use rowwise::Rowwise;
pub use types::{Date, Timestamp};

/// A transform that sees one row at a time.
pub trait RowTransform: Sized {
    const DESCRIPTION: Description;
    /// The rules by which it rejects: lower case, digits and `_`, for they name metrics. `unreadable_row` is the SDK's.
    const RULES: &'static [&'static str] = &[];
    /// Columns of the input to leave out; only if `Out` is [`Set`].
    const DROPS: &'static [&'static str] = &[];
    /// The configuration; its JSON Schema, kept in `config.schema.json`, is the plugin's `config-schema`.
    type Config: DeserializeOwned + JsonSchema;
    /// A struct: the columns to read, by the names of its fields. A name as in `reading.temperature` leads into a struct.
    type In<'row>: Deserialize<'row>;
    /// What is made of a row that is kept: `()` leaves it as it is, [`Set<T>`] sets the columns that the struct `T`
    /// names, and `Vec<T>` puts any number of rows of their own in its place.
    type Out: RowOutput;

    /// Takes the configuration. That the input has the columns of `In` is seen to. Errors: [`Error::Config`].
    fn open(config: Self::Config) -> Result<Self, Error>;

    /// Decides on a row. A row that is not as `In` asks (a null where there is no `Option`, a number out of range) does
    /// not come here: it is rejected by the rule `unreadable_row`.
    fn apply(&mut self, row: Self::In<'_>) -> Fate<Self::Out>;
}

/// What becomes of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate<T> {
    Keep(T),
    Drop,
    /// `rule` is one of [`RowTransform::RULES`]; the reason is for people.
    Reject {
        rule: &'static str,
        reason: String,
    },
}

impl<T> Fate<T> {
    pub fn reject(rule: &'static str, reason: impl Into<String>) -> Fate<T> {
        Fate::Reject { rule, reason: reason.into() }
    }
}

#[cfg(test)]
mod tests;
