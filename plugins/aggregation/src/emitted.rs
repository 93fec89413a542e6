//! Rows on their way out.

use sluicebox_plugin::{Batch, ColumnWriter, Error, Field, Scalar};

use crate::accumulator::Measured;

/// Rows of an output in the making.
pub struct Emitted {
    writers: Vec<ColumnWriter>,
    rows: u32,
}

impl Emitted {
    /// `output`: the columns with what is nested in them, in pre-order.
    pub fn new(output: &[Field]) -> Result<Emitted, Error> {
        let writers = ColumnWriter::for_columns(output)
            .ok_or_else(|| Error::Schema("the output has columns that cannot be written".into()))?;
        Ok(Emitted { writers, rows: 0 })
    }

    /// A row: the values of its edges and group, then its results.
    pub fn push(
        &mut self,
        first: impl IntoIterator<Item = Scalar>,
        results: impl Iterator<Item = Measured>,
    ) -> Result<(), Error> {
        let values = first.into_iter().map(Measured::Single).chain(results);
        for (writer, value) in self.writers.iter_mut().zip(values) {
            writer.push(&value)?;
        }
        self.rows += 1;
        Ok(())
    }

    /// `None` if there are no rows.
    pub fn into_batch(self) -> Option<Batch> {
        let columns = || self.writers.into_iter().flat_map(ColumnWriter::finish).collect();
        (self.rows > 0).then(|| Batch { rows: self.rows, columns: columns() })
    }
}
