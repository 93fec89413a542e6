//! The values of an expression for all rows of a batch.

use std::borrow::Cow;

use sluicebox_plugin::{
    Batch, Bitmap, ByteStrings, Column, Error, Place, Strings, Values as ColumnValues, combine_values,
    map_values,
};

use crate::node::Constant;
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

/// A value for each row, or the same for all.
#[derive(Clone, Debug)]
pub(crate) enum Slots<'a, T: Copy> {
    Each(Cow<'a, [T]>),
    Same(T),
}

#[derive(Clone, Debug)]
pub(crate) enum Texts<'a> {
    Each(Cow<'a, ByteStrings>),
    Same(Cow<'a, [u8]>),
}

impl<'a> Vector<'a> {
    /// The values of a column of a batch; its type is one that the language has.
    pub fn load(place: &Place, batch: &'a Batch) -> Result<Vector<'a>, Error> {
        let values = match Type::of(place.kind()) {
            Some(Type::Boolean) => Values::Bools(Cow::Borrowed(place.bits(batch)?)),
            Some(Type::Float) => Values::Floats(Slots::Each(place.floats(batch)?)),
            Some(Type::Text) => match place.columns(batch) {
                [Column { values: ColumnValues::Bytes(texts), .. }, ..] => {
                    Values::Texts(Texts::Each(Cow::Borrowed(texts)))
                }
                _ => return Err(Error::Data("the host sent no texts for a text column".into())),
            },
            _ => Values::Ints(Slots::Each(place.ints(batch)?)),
        };
        let present = place.validity(batch).into_cow();
        Ok(Vector { values, present })
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

impl<'a, T: Copy> Slots<'a, T> {
    #[inline(always)]
    pub fn get(&self, row: usize) -> T {
        match self {
            Slots::Each(values) => values[row],
            Slots::Same(value) => *value,
        }
    }

    pub fn into_vec(self, rows: usize) -> Vec<T> {
        match self {
            Slots::Each(values) => values.into_owned(),
            Slots::Same(value) => vec![value; rows],
        }
    }

    fn borrowed(&self) -> Slots<'_, T> {
        match self {
            Slots::Each(values) => Slots::Each(Cow::Borrowed(values)),
            Slots::Same(value) => Slots::Same(*value),
        }
    }

    fn into_static(self) -> Slots<'static, T> {
        match self {
            Slots::Each(values) => Slots::Each(Cow::Owned(values.into_owned())),
            Slots::Same(value) => Slots::Same(value),
        }
    }

    pub fn map<U: Copy>(&self, map: impl Fn(T) -> U) -> Slots<'static, U> {
        match self {
            Slots::Each(values) => Slots::Each(map_values(values, map).into()),
            Slots::Same(value) => Slots::Same(map(*value)),
        }
    }

    /// What `combine` makes of both. Sixteen rows a turn: an interruption check is paid each turn.
    pub fn combine(&self, other: &Slots<'_, T>, combine: impl Fn(T, T) -> T) -> Slots<'static, T> {
        match (self, other) {
            (Slots::Same(a), Slots::Same(b)) => Slots::Same(combine(*a, *b)),
            (Slots::Each(values), Slots::Same(b)) => {
                Slots::Each(map_values(values, |a| combine(a, *b)).into())
            }
            (Slots::Same(a), Slots::Each(values)) => {
                Slots::Each(map_values(values, |b| combine(*a, b)).into())
            }
            (Slots::Each(values), Slots::Each(others)) => {
                let mut values = values.to_vec();
                combine_values(&mut values, others, combine);
                Slots::Each(values.into())
            }
        }
    }

    /// The rows for which a test of both holds.
    pub fn test(&self, other: &Slots<'_, T>, rows: usize, test: impl Fn(T, T) -> bool) -> Bitmap {
        match (self, other) {
            (Slots::Same(a), Slots::Same(b)) => Bitmap::filled(rows, test(*a, *b)),
            (Slots::Each(values), Slots::Same(b)) => Bitmap::of_values(values, |a| test(a, *b)),
            (Slots::Same(a), Slots::Each(values)) => Bitmap::of_values(values, |b| test(*a, b)),
            (Slots::Each(values), Slots::Each(others)) => {
                Bitmap::of_rows(rows, |row| test(values[row], others[row]))
            }
        }
    }

    /// These values where `mask` is set, the others elsewhere.
    pub fn choose(&self, mask: &Bitmap, others: Slots<'_, T>, rows: usize) -> Slots<'static, T> {
        let mut chosen = others.into_vec(rows);
        mask.set_rows().for_each(|row| chosen[row] = self.get(row));
        Slots::Each(chosen.into())
    }
}

impl Texts<'_> {
    #[inline(always)]
    pub fn get(&self, row: usize) -> &[u8] {
        match self {
            Texts::Each(texts) => Strings::new(texts).bytes(row),
            Texts::Same(text) => text,
        }
    }

    /// Texts that are written one after the other.
    pub fn written(rows: usize, mut write: impl FnMut(usize, &mut Vec<u8>)) -> Texts<'static> {
        let mut texts = ByteStrings { offsets: Vec::with_capacity(rows + 1), data: Vec::new() };
        texts.offsets.push(0);
        for row in 0..rows {
            write(row, &mut texts.data);
            texts.offsets.push(texts.data.len() as i32);
        }
        Texts::Each(Cow::Owned(texts))
    }

    pub fn into_strings(self, rows: usize) -> ByteStrings {
        match self {
            Texts::Each(texts) => texts.into_owned(),
            Texts::Same(text) => {
                let length = text.len() as i32;
                ByteStrings {
                    offsets: (0..=rows as i32).map(|row| row * length).collect(),
                    data: text.repeat(rows),
                }
            }
        }
    }

    /// These texts where `mask` is set, the others elsewhere, moved in runs.
    pub fn choose(&self, mask: &Bitmap, others: &Texts<'_>, rows: usize) -> Texts<'static> {
        let mut chosen = ByteStrings { offsets: Vec::with_capacity(rows + 1), data: Vec::new() };
        chosen.offsets.push(0);
        let mut start = 0;
        while start < rows {
            let is_set = mask.get(start);
            let end = (start + 1..rows).find(|row| mask.get(*row) != is_set).unwrap_or(rows);
            let source = if is_set { self } else { others };
            source.append(start..end, &mut chosen);
            start = end;
        }
        Texts::Each(Cow::Owned(chosen))
    }

    fn append(&self, rows: std::ops::Range<usize>, to: &mut ByteStrings) {
        match self {
            Texts::Each(texts) => {
                let offsets = &texts.offsets[rows.start..=rows.end];
                let (first, last) = (offsets[0], offsets[rows.len()]);
                let shift = to.data.len() as i32 - first;
                to.data.extend_from_slice(&texts.data[first as usize..last as usize]);
                to.offsets.extend(map_values(&offsets[1..], |offset| offset + shift));
            }
            Texts::Same(text) => rows.for_each(|_| {
                to.data.extend_from_slice(text);
                to.offsets.push(to.data.len() as i32);
            }),
        }
    }
}
