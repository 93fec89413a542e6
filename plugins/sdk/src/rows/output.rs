//! What a row transform may make of a row.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{ColumnWriter, Error, Field, Output};

use super::tracer;

/// Columns that are set in a row that is kept: those that the struct `T` names are replaced or added.
#[derive(Debug, Clone, PartialEq)]
pub struct Set<T>(pub T);

/// What a [`RowTransform`](super::RowTransform) may make of a row: `()`, [`Set`] or `Vec`.
pub trait RowOutput: sealed::RowOutput {}
impl RowOutput for () {}
impl<T: Serialize + DeserializeOwned> RowOutput for Set<T> {}
impl<T: Serialize + DeserializeOwned> RowOutput for Vec<T> {}

pub(super) mod sealed {
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
    let fields = tracer::fields_of::<T>().map_err(unfit)?;
    let columns = fields.iter().map(|(name, shape)| shape.to_fields(name));
    Ok(columns.collect::<Result<Vec<_>, _>>().map_err(unfit)?.into_iter().flatten().collect())
}
