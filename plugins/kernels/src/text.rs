//! White space and case of text columns, by whole buffers where all is ASCII.

use std::ops::Range;

use sluicebox_plugin::{ByteStrings, Column, Error, Strings, Values};

const NO_TEXTS: &str = "the host sent no texts for a text column";

fn bytes(column: &Column) -> Result<&ByteStrings, Error> {
    match &column.values {
        Values::Bytes(bytes) => Ok(bytes),
        _ => Err(Error::Data(NO_TEXTS.into())),
    }
}

fn bytes_mut(column: &mut Column) -> Result<&mut ByteStrings, Error> {
    match &mut column.values {
        Values::Bytes(bytes) => Ok(bytes),
        _ => Err(Error::Data(NO_TEXTS.into())),
    }
}

fn with_values(column: &Column, bytes: ByteStrings) -> Column {
    Column { length: column.length, validity: column.validity.clone(), values: Values::Bytes(bytes) }
}

/// 128 bytes a turn: an interruption check is paid each turn.
fn is_ascii(data: &[u8]) -> bool {
    let (blocks, rest) = data.as_chunks::<128>();
    let or = |bytes: &[u8]| bytes.iter().fold(0, |all, byte| all | byte);
    blocks.iter().fold(or(rest), |all, block| all | block.iter().fold(0, |all, byte| all | byte)) < 128
}

/// Takes white space off both ends of each text. Only what lies between such white space is moved, in whole runs.
pub fn trim(column: &Column) -> Result<Column, Error> {
    let source = bytes(column)?;
    let mut offsets = Vec::with_capacity(source.offsets.len());
    let mut trim = Trim {
        source: &source.data,
        start: 0,
        kept: Vec::with_capacity(source.data.len()),
        copied: 0,
        removed: 0,
    };
    // Eight a turn: an interruption check is paid each turn. The first offset, 0, ends an empty text before the first.
    let (turns, rest) = source.offsets.as_chunks::<8>();
    for turn in turns {
        offsets.extend_from_slice(&turn.map(|end| trim.end_of_next(end)));
    }
    offsets.extend(rest.iter().map(|end| trim.end_of_next(*end)));
    trim.kept.extend_from_slice(&source.data[trim.copied..]);
    Ok(with_values(column, ByteStrings { offsets, data: trim.kept }))
}

/// Texts on their way to being trimmed, one after the other.
struct Trim<'a> {
    source: &'a [u8],
    /// Where the next text starts in the source.
    start: usize,
    kept: Vec<u8>,
    /// How far the source was copied or left out.
    copied: usize,
    /// How many bytes of that were left out.
    removed: i32,
}

impl Trim<'_> {
    /// Where the next text, which ends there in the source, ends when it is trimmed.
    #[inline(always)]
    fn end_of_next(&mut self, end: i32) -> i32 {
        let text = self.start..end as usize;
        self.start = text.end;
        // Where a text is empty these are bytes of its neighbours, and looking closer does no harm.
        if self.may_be_space(text.start) | self.may_be_space(text.end.wrapping_sub(1)) {
            self.trim(text);
        }
        end - self.removed
    }

    /// Whether a text that begins or ends with the byte there may begin or end with white space: whether it is a
    /// control character, a blank or a part of a longer character, which are negative here.
    #[inline(always)]
    fn may_be_space(&self, at: usize) -> bool {
        self.source.get(at).is_some_and(|byte| *byte as i8 <= b' ' as i8)
    }

    #[inline(never)]
    fn trim(&mut self, text: Range<usize>) {
        let kept = without_space(&self.source[text.clone()]);
        self.remove(text.start..text.start + kept.start);
        self.remove(text.start + kept.end..text.end);
    }

    fn remove(&mut self, space: Range<usize>) {
        if space.is_empty() {
            return;
        }
        self.kept.extend_from_slice(&self.source[self.copied..space.start]);
        self.removed += space.len() as i32;
        self.copied = space.end;
    }
}

/// What is left of a text without the white space at its ends.
fn without_space(text: &[u8]) -> Range<usize> {
    // The ASCII characters for which `char::is_whitespace` holds.
    let is_space = |byte: &u8| matches!(byte, b' ' | 9..=13);
    let start = text.iter().position(|byte| !is_space(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !is_space(byte)).map_or(start, |last| last + 1);
    if text[start..end].first().is_none_or(u8::is_ascii) && text[start..end].last().is_none_or(u8::is_ascii) {
        return start..end;
    }
    let Ok(text) = std::str::from_utf8(text) else { return start..end };
    let start = text.len() - text.trim_start().len();
    start..start + text.trim().len()
}

/// The texts in upper case.
pub fn upper(column: Column) -> Result<Column, Error> {
    change_case(column, b'a', str::to_uppercase)
}

/// The texts in lower case.
pub fn lower(column: Column) -> Result<Column, Error> {
    change_case(column, b'A', str::to_lowercase)
}

/// `first`: the first of the 26 ASCII letters that change.
fn change_case(mut column: Column, first: u8, unicode: fn(&str) -> String) -> Result<Column, Error> {
    let source = bytes_mut(&mut column)?;
    if is_ascii(&source.data) {
        let flip = |byte: &mut u8| *byte ^= u8::from(byte.wrapping_sub(first) < 26) << 5;
        let (blocks, rest) = source.data.as_chunks_mut::<128>();
        for block in blocks {
            block.iter_mut().for_each(flip);
        }
        rest.iter_mut().for_each(flip);
        return Ok(column);
    }
    let texts = Strings::new(source);
    let mut changed = ByteStrings { offsets: Vec::with_capacity(source.offsets.len()), data: Vec::new() };
    changed.offsets.push(0);
    for row in 0..texts.len() {
        changed.data.extend_from_slice(unicode(texts.text(row)).as_bytes());
        changed.offsets.push(changed.data.len() as i32);
    }
    *source = changed;
    Ok(column)
}

#[cfg(test)]
mod tests {
    use super::{lower, trim, upper};
    use proptest::prelude::*;
    use sluicebox_plugin::{Column, ColumnBuilder, Kind, Scalar};

    fn column(texts: &[String]) -> Column {
        let mut builder = ColumnBuilder::new(&Kind::Utf8).unwrap();
        texts.iter().for_each(|text| builder.push(&Scalar::Text(text.clone())));
        builder.finish()
    }

    proptest! {
        /// Whole buffers give what the standard library gives text by text.
        #[test]
        fn buffers_agree_with_single_texts(
            texts in prop::collection::vec("[ \\t\\x0b\\x1fa-zA-Z0-9]{0,12}", 0..50),
            foreign in prop::option::of("[ \u{a0}\u{2003}äßΣé]{0,6}"),
        ) {
            let texts: Vec<String> = texts.into_iter().chain(foreign).collect();
            let each = |change: fn(&str) -> String| column(&texts.iter().map(|text| change(text)).collect::<Vec<_>>());
            let source = column(&texts);
            prop_assert_eq!(trim(&source).unwrap(), each(|text| text.trim().to_owned()));
            prop_assert_eq!(upper(source.clone()).unwrap(), each(str::to_uppercase));
            prop_assert_eq!(lower(source).unwrap(), each(str::to_lowercase));
        }
    }
}
