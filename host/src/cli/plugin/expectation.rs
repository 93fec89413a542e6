//! What a case expects: for each fate either how many rows have it, or which.

use std::borrow::Cow;
use std::fmt;

use indexmap::IndexMap;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

use super::json_rows::Row;

/// What must become of the rows. A fate that is left out must be no row's; rows of which new ones are made are not
/// listed. Rows are compared by the columns that are written down.
#[derive(Debug, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Expectation {
    /// Rows that go on, as they come out.
    pub kept: Listed<Row>,
    /// Rows that are dropped, as they came in.
    pub dropped: Listed<Row>,
    /// Rows behind the watermark, which an aggregate never gets, as they came in.
    pub late: Listed<Row>,
    pub rejected: Listed<Refusal>,
    /// Rows that break the plugin, or get a `data` error.
    pub failed: Listed<Breakage>,
    /// New rows, of all batches together.
    #[serde(rename = "new")]
    pub made: Listed<Row>,
    /// The columns that come out, in order, with their types; those that the host makes left out.
    pub columns: Option<IndexMap<String, String>>,
    /// A part of the message with which the plugin stops: it refuses its configuration or its columns, or breaks with
    /// state. Nothing else is expected then.
    pub error: Option<String>,
}

/// A rejected row.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    pub rule: String,
    /// A part of it.
    #[serde(default)]
    pub reason: Option<String>,
    /// As it came in.
    #[serde(default)]
    pub row: Row,
}

/// A row that failed.
#[derive(Debug, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Breakage {
    /// A part of it.
    pub reason: Option<String>,
    /// As it came in.
    pub row: Row,
}

/// How many, or which in order.
#[derive(Debug)]
pub enum Listed<T> {
    Count(u64),
    Each(Vec<T>),
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self::Each(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Listed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CountOrEach<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for CountOrEach<T> {
            type Value = Listed<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of rows, or a list of them")
            }

            fn visit_u64<E: Error>(self, count: u64) -> Result<Listed<T>, E> {
                Ok(Listed::Count(count))
            }

            fn visit_unit<E: Error>(self) -> Result<Listed<T>, E> {
                Ok(Listed::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Listed<T>, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Listed::Each)
            }
        }

        deserializer.deserialize_any(CountOrEach(std::marker::PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Listed<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("CountOrListOf{}", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let item = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [
            { "type": "integer", "minimum": 0, "description": "How many." },
            { "type": "array", "items": item, "description": "Which, in order." },
        ] })
    }
}
