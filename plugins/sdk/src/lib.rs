//! For authors of Sluicebox plugins.
//!
//! A plugin is a plain type that implements [`Transform`] or [`Aggregate`] and is tested natively (see `test_kit`).
//! One macro exports it as a component: [`export_transform!`], [`export_stateful_transform!`], [`export_aggregate!`].
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
pub use builder::ColumnBuilder;
pub use column_writer::ColumnWriter;
pub use duration::Micros;
pub use key::{Key, KeyReader, KeyShape, is_key_kind};
pub use literal::Literal;
pub use place::{Ints, Place, Validity};
pub use plugin::{
    Aggregate, AggregatePlan, Delta, Description, Emission, Fields, Outcome, Output, State, Stateful,
    Transform, TransformPlan,
};
pub use rejections::Rejections;
pub use rfc3339::{micros_from_civil, parse_rfc3339};
pub use scalar::Scalar;
pub use schema::{Reads, Schema, field, kind_name, timestamp_micros};
pub use state::{KeyedState, Stored};
pub use strings::{Strings, same_bytes};
pub use values::{change_values, combine_values, map_values};

/// For the export macros and for `derive` in plugins.
pub use {schemars, serde, serde_json};
