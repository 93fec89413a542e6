//! The values of an expression for all rows of a batch.

use std::borrow::Cow;

use sluicebox_kernels as kernels;
use sluicebox_plugin::{Batch, Bitmap, Column, Error, Kind, Place, Values as ColumnValues};

use crate::node::Constant;
use crate::slots::Slots;
use crate::texts::Texts;
use crate::types::Type;

#[derive(Clone, Debug)]
pub struct Vector<'a> {
    pub(crate) values: Values<'a>,
    /// The rows that have a value; `None`: all.
    pub(crate) present: Option<Cow<'a, [u8]>>,
}

#[derive(Clone, Debug)]
pub(crate) enum Values<'a> {
    /// A bitmap.
    Bools(Cow<'a, [u8]>),
    Ints(Slots<'a, i64>),
    Floats(Slots<'a, f64>),
    Texts(Texts<'a>),
}

impl<'a> Vector<'a> {
    /// The values of a column of a batch; its type is one that the language has.
    pub fn load(place: &Place, batch: &'a Batch) -> Result<Vector<'a>, Error> {
        let column = place.columns(batch).first().ok_or_else(mixed)?;
        let Vector { values, .. } = Vector::of_column(column, place.kind())?;
        // With the nulls of what is around it.
        Ok(Vector { values, present: place.validity(batch).into_cow() })
    }

    /// What a column of this kind holds; it is one that the language has a type for.
    pub fn of_column(column: &'a Column, kind: &Kind) -> Result<Vector<'a>, Error> {
        let values = match (Type::of(kind), &column.values) {
            (Some(Type::Boolean), ColumnValues::Bits(bits)) => Values::Bools(Cow::Borrowed(bits)),
            (Some(Type::Float), _) => Values::Floats(Slots::Each(kernels::floats(column)?)),
            (Some(Type::Text), ColumnValues::Bytes(texts)) => {
                Values::Texts(Texts::Each(Cow::Borrowed(texts)))
            }
            _ => Values::Ints(Slots::Each(kernels::ints(column)?)),
        };
        Ok(Vector { values, present: column.validity.as_deref().map(Cow::Borrowed) })
    }

    pub(crate) fn constant(constant: &'a Constant, rows: usize) -> Vector<'a> {
        let values = match constant {
            Constant::Null(typed) => {
                let Vector { values, .. } = Vector::constant(typed, rows);
                return Vector { values, present: Some(Bitmap::filled(rows, false).into_bytes().into()) };
            }
            Constant::Bool(value) => Values::Bools(Bitmap::filled(rows, *value).into_bytes().into()),
            Constant::Int(value) => Values::Ints(Slots::Same(*value)),
            Constant::Float(value) => Values::Floats(Slots::Same(*value)),
            Constant::Text(text) => Values::Texts(Texts::Same(text.into())),
        };
        Vector { values, present: None }
    }

    pub(crate) fn of_bools(bools: Bitmap, present: Option<Cow<'a, [u8]>>) -> Vector<'a> {
        Vector { values: Values::Bools(bools.into_bytes().into()), present }
    }

    /// The same values, borrowed.
    pub fn borrowed(&self) -> Vector<'_> {
        let values = match &self.values {
            Values::Bools(bits) => Values::Bools(Cow::Borrowed(bits)),
            Values::Ints(slots) => Values::Ints(slots.borrowed()),
            Values::Floats(slots) => Values::Floats(slots.borrowed()),
            Values::Texts(Texts::Each(texts)) => Values::Texts(Texts::Each(Cow::Borrowed(texts))),
            Values::Texts(Texts::Same(text)) => Values::Texts(Texts::Same(Cow::Borrowed(text))),
        };
        Vector { values, present: self.present.as_deref().map(Cow::Borrowed) }
    }

    pub fn into_owned(self) -> Vector<'static> {
        let values = match self.values {
            Values::Bools(bits) => Values::Bools(Cow::Owned(bits.into_owned())),
            Values::Ints(slots) => Values::Ints(slots.into_static()),
            Values::Floats(slots) => Values::Floats(slots.into_static()),
            Values::Texts(Texts::Each(texts)) => Values::Texts(Texts::Each(Cow::Owned(texts.into_owned()))),
            Values::Texts(Texts::Same(text)) => Values::Texts(Texts::Same(Cow::Owned(text.into_owned()))),
        };
        Vector { values, present: self.present.map(|present| Cow::Owned(present.into_owned())) }
    }

    /// As a column of so many rows.
    pub fn into_column(self, rows: usize) -> Column {
        let values = match self.values {
            Values::Bools(bits) => ColumnValues::Bits(bits[..rows.div_ceil(8)].to_vec()),
            Values::Ints(slots) => ColumnValues::Int64(slots.into_vec(rows)),
            Values::Floats(slots) => ColumnValues::Float64(slots.into_vec(rows)),
            Values::Texts(texts) => ColumnValues::Bytes(texts.into_strings(rows)),
        };
        let present = self.present.map(|present| Bitmap::from_bytes(&present, rows));
        let validity = present.filter(|present| !present.all_set()).map(Bitmap::into_bytes);
        Column { length: rows as u32, validity, values }
    }

    /// What a column holds; of a type that the language has.
    pub(crate) fn from_column(column: Column) -> Result<Vector<'static>, Error> {
        let values = match column.values {
            ColumnValues::Bits(bits) => Values::Bools(bits.into()),
            ColumnValues::Int64(values) => Values::Ints(Slots::Each(values.into())),
            ColumnValues::Float64(values) => Values::Floats(Slots::Each(values.into())),
            ColumnValues::Bytes(texts) => Values::Texts(Texts::Each(Cow::Owned(texts))),
            _ => return Err(mixed()),
        };
        Ok(Vector { values, present: column.validity.map(Cow::Owned) })
    }

    pub(crate) fn bools(&self) -> Result<&[u8], Error> {
        if let Values::Bools(bits) = &self.values { Ok(bits) } else { Err(mixed()) }
    }

    pub(crate) fn ints(&self) -> Result<&Slots<'a, i64>, Error> {
        if let Values::Ints(slots) = &self.values { Ok(slots) } else { Err(mixed()) }
    }

    pub(crate) fn floats(&self) -> Result<&Slots<'a, f64>, Error> {
        if let Values::Floats(slots) = &self.values { Ok(slots) } else { Err(mixed()) }
    }

    pub(crate) fn texts(&self) -> Result<&Texts<'a>, Error> {
        if let Values::Texts(texts) = &self.values { Ok(texts) } else { Err(mixed()) }
    }

    /// The rows that have a value, as a bitmap of its own.
    pub(crate) fn presence(&self, rows: usize) -> Bitmap {
        match &self.present {
            Some(present) => Bitmap::from_bytes(present, rows),
            None => Bitmap::filled(rows, true),
        }
    }
}

/// Types were checked before: this is a mistake in the checker.
pub(crate) fn mixed() -> Error {
    Error::Data("an expression mixes types".into())
}

/// The rows that have a value in both.
pub(crate) fn both<'a>(
    left: Option<Cow<'a, [u8]>>,
    right: Option<Cow<'a, [u8]>>,
    rows: usize,
) -> Option<Cow<'a, [u8]>> {
    match (left, right) {
        (Some(left), Some(right)) => {
            let mut both = Bitmap::from_bytes(&left, rows);
            both.and(&right);
            Some(both.into_bytes().into())
        }
        (left, right) => left.or(right),
    }
}
