//! Texts: one for each row, or the same for all.

use std::borrow::Cow;
use std::ops::Range;

use sluicebox_plugin::{Bitmap, ByteStrings, Strings, map_values};

#[derive(Clone, Debug)]
pub enum Texts<'a> {
    Each(Cow<'a, ByteStrings>),
    Same(Cow<'a, [u8]>),
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

    fn append(&self, rows: Range<usize>, to: &mut ByteStrings) {
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
