//! Numbers: a value for each row, or the same for all.

use std::borrow::Cow;

use sluicebox_plugin::{Bitmap, change_values, combine_values, map_values};

#[derive(Clone, Debug)]
pub enum Slots<'a, T: Copy> {
    Each(Cow<'a, [T]>),
    Same(T),
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

    pub fn borrowed(&self) -> Slots<'_, T> {
        match self {
            Slots::Each(values) => Slots::Each(Cow::Borrowed(values)),
            Slots::Same(value) => Slots::Same(*value),
        }
    }

    pub fn into_static(self) -> Slots<'static, T> {
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

    /// The values of so many rows.
    fn each(&self, rows: usize) -> Cow<'_, [T]> {
        match self {
            Slots::Each(values) => Cow::Borrowed(values),
            Slots::Same(value) => Cow::Owned(vec![*value; rows]),
        }
    }

    // Two loops for each operation, over pairs and over one constant, and not four: their code is most of a component.

    /// What `combine` makes of both; in place, if these values are its own.
    pub fn combine(self, other: &Slots<'_, T>, combine: impl Fn(T, T) -> T) -> Slots<'a, T> {
        match (self, other) {
            (Slots::Same(a), Slots::Same(b)) => Slots::Same(combine(a, *b)),
            (Slots::Each(values), Slots::Same(b)) => {
                let mut values = values.into_owned();
                change_values(&mut values, |a| combine(a, *b));
                Slots::Each(values.into())
            }
            (values, Slots::Each(others)) => {
                let mut values = values.into_vec(others.len());
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
            (values, Slots::Each(others)) => {
                let values = values.each(rows);
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
