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
mod reader;
mod shape;
mod types;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{
    Batch, Bitmap, ColumnWriter, Description, Error, Field, Kind, Outcome, Output, Reads, Rejections, Schema,
    State, Stateful, Transform, TransformPlan, field,
};

use reader::RowReader;
use types::{DATE, TIMESTAMP};
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

/// Columns that are set in a row that is kept: those that the struct `T` names are replaced or added.
#[derive(Debug, Clone, PartialEq)]
pub struct Set<T>(pub T);

/// What a [`RowTransform`] may make of a row: `()`, [`Set`] or `Vec`.
pub trait RowOutput: sealed::RowOutput {}
impl RowOutput for () {}
impl<T: Serialize + DeserializeOwned> RowOutput for Set<T> {}
impl<T: Serialize + DeserializeOwned> RowOutput for Vec<T> {}

mod sealed {
    use super::*;

    pub trait RowOutput {
        fn plan(drop: Vec<String>) -> Result<Output, Error>;
        /// The row of the columns to write, for each that is kept.
        fn write(self, rows: &mut ColumnWriter) -> Result<(), Error>;
        /// What stands in the columns where a row is not kept.
        fn fill(_: &mut ColumnWriter) {}
    }

    impl RowOutput for () {
        fn plan(_: Vec<String>) -> Result<Output, Error> {
            Ok(Output::Select)
        }

        fn write(self, _: &mut ColumnWriter) -> Result<(), Error> {
            Ok(())
        }
    }

    impl<T: Serialize + DeserializeOwned> RowOutput for Set<T> {
        fn plan(drop: Vec<String>) -> Result<Output, Error> {
            Ok(Output::Columns { set: columns_of::<T>()?, drop })
        }

        fn write(self, rows: &mut ColumnWriter) -> Result<(), Error> {
            rows.push(&self.0)
        }

        fn fill(rows: &mut ColumnWriter) {
            rows.push_filler();
        }
    }

    impl<T: Serialize + DeserializeOwned> RowOutput for Vec<T> {
        fn plan(_: Vec<String>) -> Result<Output, Error> {
            Ok(Output::Rows(columns_of::<T>()?))
        }

        fn write(self, rows: &mut ColumnWriter) -> Result<(), Error> {
            self.iter().try_for_each(|row| rows.push(row))
        }
    }
}

fn columns_of<T: DeserializeOwned>() -> Result<Vec<Field>, Error> {
    let unfit = |error| Error::Config(format!("the plugin's output type has no columns: {error}"));
    let fields = shape::fields_of::<T>().map_err(unfit)?;
    let columns = fields.iter().map(|(name, shape)| shape.to_fields(name));
    Ok(columns.collect::<Result<Vec<_>, _>>().map_err(unfit)?.into_iter().flatten().collect())
}

/// Any [`RowTransform`] as a [`Transform`]: what is exported, and what the test kit opens.
pub struct Rowwise<P> {
    plugin: P,
    reader: RowReader,
    made: Made,
}

/// What is made of the rows.
enum Made {
    Nothing,
    /// Columns row for row; the field of a struct around them.
    Columns(Vec<Field>),
    /// Rows of their own; the field of a struct around their columns.
    Rows(Vec<Field>),
}

const UNREADABLE_ROW: &str = "unreadable_row";

impl<P: RowTransform> Transform for Rowwise<P> {
    const DESCRIPTION: Description = P::DESCRIPTION;
    type Config = P::Config;

    fn open(config: P::Config, input: &Schema) -> Result<(Rowwise<P>, TransformPlan), Error> {
        let fields = shape::fields_of::<P::In<'static>>()
            .map_err(|error| Error::Config(format!("the plugin's input type has no columns: {error}")))?;
        let mut reads = Reads::default();
        let reader = RowReader::new(&fields, input, &mut reads)?;
        let output = <P::Out as sealed::RowOutput>::plan(P::DROPS.iter().map(ToString::to_string).collect())?;
        let made = match &output {
            Output::Select => Made::Nothing,
            Output::Columns { set, .. } => Made::Columns(in_a_struct(set)),
            Output::Rows(fields) => Made::Rows(in_a_struct(fields)),
        };
        let rules = P::RULES.iter().copied().chain([UNREADABLE_ROW]).map(str::to_owned).collect();
        let plugin = P::open(config)?;
        Ok((Rowwise { plugin, reader, made }, TransformPlan { reads: reads.names(), output, rules }))
    }

    fn apply(&mut self, batch: &Batch) -> Result<Outcome, Error> {
        let rows = batch.rows as usize;
        let mut keep = Bitmap::filled(rows, true);
        let mut rejected = Rejections::default();
        let mut made = self.made.writer()?;
        for row in 0..rows {
            let fate = match P::In::deserialize(self.reader.row(batch, row)) {
                Ok(read) => self.plugin.apply(read),
                Err(error) => Fate::reject(UNREADABLE_ROW, error.to_string()),
            };
            match fate {
                Fate::Keep(output) => {
                    sealed::RowOutput::write(output, &mut made)?;
                    continue;
                }
                Fate::Drop => {}
                Fate::Reject { rule, reason } => rejected.push(row, rule_index(P::RULES, rule)?, &reason),
            }
            keep.set(row, false);
            <P::Out as sealed::RowOutput>::fill(&mut made);
        }
        let made = without_struct(made);
        Ok(match self.made {
            Made::Nothing => Outcome { keep: Some(keep), rejected, batch: None },
            Made::Columns(_) => Outcome { keep: Some(keep), rejected, batch: Some(made) },
            Made::Rows(_) => Outcome { keep: None, rejected, batch: (made.rows > 0).then_some(made) },
        })
    }
}

impl<P: Stateful> Stateful for Rowwise<P> {
    fn state(&mut self) -> &mut dyn State {
        self.plugin.state()
    }
}

impl Made {
    fn writer(&self) -> Result<ColumnWriter, Error> {
        let writer = match self {
            Made::Nothing => ColumnWriter::new(&in_a_struct(&[])),
            Made::Columns(fields) | Made::Rows(fields) => ColumnWriter::new(fields),
        };
        writer
            .ok_or_else(|| Error::Data("the plugin's output type has columns that cannot be written".into()))
    }
}

/// The index of a rule in the plan, where the SDK's own comes last.
fn rule_index(rules: &[&str], rule: &str) -> Result<u16, Error> {
    let known = rules.iter().position(|known| *known == rule);
    match known.or((rule == UNREADABLE_ROW).then_some(rules.len())) {
        Some(index) => Ok(index as u16),
        None => Err(Error::Data(format!("the plugin rejects by the rule `{rule}`, which its RULES lack"))),
    }
}

/// Columns as the fields of a struct: so a row is one value to write.
fn in_a_struct(columns: &[Field]) -> Vec<Field> {
    let children = crate::schema::children(columns, 0, columns.len()).count() as u32;
    let row = Field { nullable: false, children, ..field("row", Kind::StructOf) };
    std::iter::once(row).chain(columns.iter().cloned()).collect()
}

fn without_struct(writer: ColumnWriter) -> Batch {
    let mut columns = writer.finish();
    let rows = columns.remove(0).length;
    Batch { rows, columns }
}

#[cfg(test)]
mod tests;
