//! Functions of texts, over whole columns. Positions and lengths count characters.

use std::borrow::Cow;

use sluicebox_kernels as kernels;
use sluicebox_plugin::{Bitmap, Column, Error, Values as ColumnValues, same_bytes};

use crate::slots::Slots;
use crate::texts::Texts;
use crate::vector::mixed;

/// The texts after a change that works on whole columns.
pub fn changed(
    texts: &Texts<'_>,
    rows: usize,
    change: fn(Column) -> Result<Column, Error>,
) -> Result<Texts<'static>, Error> {
    // Where all texts are the same, one of them is enough.
    let count = if matches!(texts, Texts::Same(_)) { 1 } else { rows };
    let values = ColumnValues::Bytes(texts.clone().into_strings(count));
    match change(Column { length: count as u32, validity: None, values })?.values {
        ColumnValues::Bytes(changed) if count == rows => Ok(Texts::Each(Cow::Owned(changed))),
        ColumnValues::Bytes(changed) => Ok(Texts::Same(changed.data.into())),
        _ => Err(mixed()),
    }
}

pub fn trim(column: Column) -> Result<Column, Error> {
    kernels::trim(&column)
}

pub fn length(texts: &Texts<'_>, rows: usize) -> Slots<'static, i64> {
    Slots::Each((0..rows).map(|row| characters(texts.get(row))).collect())
}

/// A text has as many characters as bytes that do not go on with one.
fn characters(text: &[u8]) -> i64 {
    text.iter().filter(|byte| **byte as i8 >= -64).count() as i64
}

pub fn concat(texts: &[&Texts<'_>], rows: usize) -> Texts<'static> {
    Texts::written(rows, |row, to| texts.iter().for_each(|texts| to.extend_from_slice(texts.get(row))))
}

/// The characters from a position on, which is 1 for the first; so many of them, or all. Positions before the first
/// count, but nothing is there.
pub fn substring(
    texts: &Texts<'_>,
    from: &Slots<'_, i64>,
    length: Option<&Slots<'_, i64>>,
    rows: usize,
) -> Texts<'static> {
    Texts::written(rows, |row, to| {
        let from = from.get(row);
        let end = length.map_or(i64::MAX, |length| from.saturating_add(length.get(row).max(0)));
        let skipped = usize::try_from(from.saturating_sub(1)).unwrap_or(0);
        let taken = usize::try_from(end.saturating_sub(from.max(1))).unwrap_or(0);
        to.extend_from_slice(slice(texts.get(row), skipped, taken));
    })
}

/// Some characters of a text: its bytes, if it is ASCII.
fn slice(text: &[u8], skipped: usize, taken: usize) -> &[u8] {
    if text.is_ascii() {
        let rest = text.get(skipped..).unwrap_or_default();
        return &rest[..taken.min(rest.len())];
    }
    let starts = || (0..text.len()).filter(|at| text[*at] as i8 >= -64);
    let Some(start) = starts().nth(skipped) else { return &[] };
    let end = starts().nth(skipped.saturating_add(taken)).unwrap_or(text.len());
    &text[start..end]
}

/// Puts `with` for each `what`, from left to right; an empty `what` is nowhere.
pub fn replace(texts: &Texts<'_>, what: &Texts<'_>, with: &Texts<'_>, rows: usize) -> Texts<'static> {
    Texts::written(rows, |row, to| {
        let (mut rest, what, with) = (texts.get(row), what.get(row), with.get(row));
        while let Some(at) = find(rest, what) {
            to.extend_from_slice(&rest[..at]);
            to.extend_from_slice(with);
            rest = &rest[at + what.len()..];
        }
        to.extend_from_slice(rest);
    })
}

/// The part at a position, 1 for the first, of a text cut at each separator; empty if there are not so many. A text is
/// not cut at an empty separator.
pub fn split_part(
    texts: &Texts<'_>,
    separators: &Texts<'_>,
    positions: &Slots<'_, i64>,
    rows: usize,
) -> Texts<'static> {
    Texts::written(rows, |row, to| {
        let (mut rest, separator) = (texts.get(row), separators.get(row));
        let mut position = positions.get(row);
        while position > 1 {
            let Some(at) = find(rest, separator) else { return };
            rest = &rest[at + separator.len()..];
            position -= 1;
        }
        if position == 1 {
            to.extend_from_slice(&rest[..find(rest, separator).unwrap_or(rest.len())]);
        }
    })
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    let first = *what.first()?;
    let last = text.len().checked_sub(what.len())?;
    let mut from = 0;
    loop {
        let at = from + text.get(from..=last)?.iter().position(|byte| *byte == first)?;
        if same_bytes(&text[at..at + what.len()], what) {
            return Some(at);
        }
        from = at + 1;
    }
}

pub fn starts_with(texts: &Texts<'_>, starts: &Texts<'_>, rows: usize) -> Bitmap {
    Bitmap::of_rows(rows, |row| {
        let (text, start) = (texts.get(row), starts.get(row));
        text.get(..start.len()).is_some_and(|found| same_bytes(found, start))
    })
}

pub fn ends_with(texts: &Texts<'_>, ends: &Texts<'_>, rows: usize) -> Bitmap {
    Bitmap::of_rows(rows, |row| {
        let (text, end) = (texts.get(row), ends.get(row));
        text.len().checked_sub(end.len()).is_some_and(|from| same_bytes(&text[from..], end))
    })
}

pub fn contains(texts: &Texts<'_>, parts: &Texts<'_>, rows: usize) -> Bitmap {
    Bitmap::of_rows(rows, |row| parts.get(row).is_empty() || find(texts.get(row), parts.get(row)).is_some())
}
