//! Where in a batch a field lies, and typed access to its values without copying.

use std::borrow::Cow;

use crate::{Batch, Bitmap, Column, Error, Field, Kind, Scalar, Strings, Values, kind_name, map_values};

/// A field of the batches that `apply` gets; [`crate::Reads::add`] gives it.
#[derive(Clone, Debug)]
pub struct Place {
    pub(crate) at: usize,
    /// The structs around it, outermost first.
    pub(crate) parents: Vec<usize>,
    /// The field and all that is nested in it, in pre-order.
    pub(crate) fields: Vec<Field>,
}

impl Place {
    pub fn field(&self) -> &Field {
        &self.fields[0]
    }

    pub fn kind(&self) -> &Kind {
        &self.fields[0].kind
    }

    /// The field and all that is nested in it, in pre-order.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Whether this is a field inside structs.
    pub fn is_nested(&self) -> bool {
        !self.parents.is_empty()
    }

    /// The columns of the field and all that is nested in it, raw.
    pub fn columns<'a>(&self, batch: &'a Batch) -> &'a [Column] {
        &batch.columns[self.at..self.at + self.fields.len()]
    }

    fn column<'a>(&self, batch: &'a Batch) -> &'a Column {
        &batch.columns[self.at]
    }

    /// Which rows have a value: neither null themselves nor inside a null struct.
    pub fn validity<'a>(&self, batch: &'a Batch) -> Validity<'a> {
        let own = self.column(batch).validity.as_deref().map(Cow::Borrowed);
        let bytes = self.parents.iter().fold(own, |bytes, parent| {
            match (bytes, batch.columns[*parent].validity.as_deref()) {
                (bytes, None) => bytes,
                (None, Some(parent)) => Some(Cow::Borrowed(parent)),
                (Some(bytes), Some(parent)) => {
                    let mut both = Bitmap::from_bytes(&bytes, batch.rows as usize);
                    both.and(parent);
                    Some(Cow::Owned(both.into_bytes()))
                }
            }
        });
        Validity { bytes }
    }

    /// The values of integers of any width except `uint64`, of timestamps (in their unit) and of dates (days).
    pub fn ints<'a>(&self, batch: &'a Batch) -> Result<Ints<'a>, Error> {
        fn widen<T: Copy + Into<i64>>(values: &[T]) -> Ints<'static> {
            Cow::Owned(map_values(values, T::into))
        }
        Ok(match &self.column(batch).values {
            Values::Int64(values) => Cow::Borrowed(values),
            Values::Int8(values) => widen(values),
            Values::Int16(values) => widen(values),
            Values::Int32(values) => widen(values),
            Values::Uint8(values) => widen(values),
            Values::Uint16(values) => widen(values),
            Values::Uint32(values) => widen(values),
            _ => return Err(self.unexpected("integers")),
        })
    }

    /// The values of floats of both widths.
    pub fn floats<'a>(&self, batch: &'a Batch) -> Result<Cow<'a, [f64]>, Error> {
        match &self.column(batch).values {
            Values::Float64(values) => Ok(Cow::Borrowed(values)),
            Values::Float32(values) => Ok(Cow::Owned(map_values(values, f64::from))),
            _ => Err(self.unexpected("floats")),
        }
    }

    /// The values of booleans, as a bitmap.
    pub fn bits<'a>(&self, batch: &'a Batch) -> Result<&'a [u8], Error> {
        match &self.column(batch).values {
            Values::Bits(bits) => Ok(bits),
            _ => Err(self.unexpected("booleans")),
        }
    }

    /// The values of `utf8` and `binary`.
    pub fn strings<'a>(&self, batch: &'a Batch) -> Result<Strings<'a>, Error> {
        match &self.column(batch).values {
            Values::Bytes(bytes) => Ok(Strings::new(bytes)),
            _ => Err(self.unexpected("strings")),
        }
    }

    /// One value. For a column of a type that [`Scalar`] has no case for, [`Error::Data`].
    pub fn scalar(&self, batch: &Batch, row: usize) -> Result<Scalar, Error> {
        if self.parents.iter().any(|parent| !is_present(&batch.columns[*parent], row)) {
            return Ok(Scalar::Null);
        }
        Scalar::read(self.column(batch), self.kind(), row).ok_or_else(|| self.unexpected("single values"))
    }

    fn unexpected(&self, expected: &str) -> Error {
        Error::Data(format!(
            "column `{}` ({}) does not hold {expected}",
            self.field().name,
            kind_name(self.kind())
        ))
    }
}

/// Values as `i64`: the batch's own, or widened.
pub type Ints<'a> = Cow<'a, [i64]>;

pub(crate) fn is_present(column: &Column, row: usize) -> bool {
    column.validity.as_ref().is_none_or(|bits| bits[row / 8] >> (row % 8) & 1 == 1)
}

/// Which rows have a value.
#[derive(Clone)]
pub struct Validity<'a> {
    bytes: Option<Cow<'a, [u8]>>,
}

impl<'a> Validity<'a> {
    #[inline]
    pub fn is_valid(&self, row: usize) -> bool {
        self.bytes.as_ref().is_none_or(|bits| bits[row / 8] >> (row % 8) & 1 == 1)
    }

    /// The bitmap; `None` when every row has a value.
    pub fn bytes(&self) -> Option<&[u8]> {
        self.bytes.as_deref()
    }

    /// The bitmap, the batch's own where that will do; `None` when every row has a value.
    pub fn into_cow(self) -> Option<Cow<'a, [u8]>> {
        self.bytes
    }

    pub fn into_bytes(self) -> Option<Vec<u8>> {
        self.bytes.map(Cow::into_owned)
    }
}
