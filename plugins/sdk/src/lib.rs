//! For authors of Sluicebox plugins.
//!
//! A plugin is a plain type that implements one of these traits, is tested natively (see `test_kit`), and is exported as a
//! component by one macro, [`export!`]:
//!
//! | trait | sees | for |
//! |---|---|---|
//! | [`Transform`] | typed columns | the smallest and fastest components |
//! | [`rows::RowTransform`] | one struct for each row | the least to write |
//! | `record_batch::BatchTransform`, feature `arrow` | an Arrow `RecordBatch` | code that knows Arrow already |
//! | [`ReferenceTransform`] | typed columns, and a table that the host reads | look-ups |
//! | [`Aggregate`] | typed columns and the watermark | rows that come out later, from state |
//!
//! A useful plugin, whole:
//!
//! ```
//! use sluicebox_plugin::rows::{Fate, RowTransform};
//! use sluicebox_plugin::schemars::{self, JsonSchema};
//! use sluicebox_plugin::{Description, Error, serde::Deserialize};
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct Plausible {
//!     hottest: f64,
//! }
//! #[derive(Deserialize)]
//! struct Reading {
//!     celsius: Option<f64>,
//! }
//! impl RowTransform for Plausible {
//!     const DESCRIPTION: Description =
//!         Description { name: "plausible", version: "0.1.0", summary: "Rejects what is too hot." };
//!     const RULES: &[&str] = &["too_hot"];
//!     type Config = Plausible;
//!     type In<'row> = Reading;
//!     type Out = ();
//!     fn open(config: Plausible) -> Result<Plausible, Error> {
//!         Ok(config)
//!     }
//!     fn apply(&mut self, row: Reading) -> Fate<()> {
//!         match row.celsius {
//!             Some(celsius) if celsius > self.hottest => Fate::reject("too_hot", format!("{celsius} °C")),
//!             _ => Fate::Keep(()),
//!         }
//!     }
//! }
//! # /* A crate's own folder has the schema of its configuration.
//! sluicebox_plugin::export!(Plausible: RowTransform);
//! # */
//! ```
//!
//! A transform that remembers something is [`Stateful`], too, whatever its style; [`KeyedState`] does the remembering.
//!
//! Event times and watermarks are microseconds since 1970-01-01T00:00:00Z. A plugin fails with an [`Error`]: `Config` and
//! `Schema` in `open`, which stop the pipeline before it reads a record, and `Data` afterwards, upon which the host looks
//! for the rows to blame and sets them aside. A row that is merely wrong is better rejected, with its rule and reason.
//!
//! The contract behind all of it is `wit/plugin.wit`.

#[doc(hidden)]
pub mod bindings;
mod bitmap;
mod builder;
mod column_writer;
#[cfg(not(target_arch = "wasm32"))]
#[doc(hidden)]
pub mod config_schema;
mod duration;
#[doc(hidden)]
pub mod export;
pub mod host;
mod key;
mod literal;
mod place;
mod plugin;
#[cfg(feature = "arrow")]
pub mod record_batch;
mod reference;
mod rejections;
mod rfc3339;
mod row_error;
pub mod rows;
mod scalar;
mod schema;
mod state;
mod strings;
#[cfg(not(target_arch = "wasm32"))]
pub mod test_kit;
mod values;

pub use bindings::types::{
    Batch, ByteStrings, Column, DecimalType, Error, Field, Kind, TimeUnit, TimestampType, Values,
};
pub use bitmap::Bitmap;
pub use builder::{ColumnBuilder, empty_values};
pub use column_writer::ColumnWriter;
pub use duration::Micros;
pub use key::{Key, KeyReader, KeyShape, is_key_kind};
pub use literal::Literal;
pub use place::{Ints, Place, Validity};
pub use plugin::{
    Aggregate, AggregatePlan, Delta, Description, Emission, Fields, Outcome, Output, State, Stateful,
    Transform, TransformPlan,
};
pub use reference::ReferenceTransform;
pub use rejections::Rejections;
pub use rfc3339::{micros_from_civil, parse_rfc3339};
pub use scalar::Scalar;
pub use schema::{Reads, Schema, field, kind_name, siblings, timestamp_micros};
pub use state::{KeyedState, ReadStored, Stored};
pub use strings::{Strings, same_bytes};
pub use values::{change_values, combine_values, map_values};

/// For the export macros and for `derive` in plugins.
pub use {schemars, serde, serde_json};
