//! White space and case of text columns, by whole buffers where all is ASCII.

use std::ops::Range;

use sluicebox_plugin::{ByteStrings, Column, Error, Strings, Values};

fn bytes(column: &Column) -> Result<&ByteStrings, Error> {
    match &column.values {
        Values::Bytes(bytes) => Ok(bytes),
        _ => Err(Error::Data("the host sent no texts for a text column".into())),
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

/// Takes white space off both ends of each text. Only runs between values that change are moved.
pub fn trim(column: &Column) -> Result<Column, Error> {
    let source = bytes(column)?;
    let texts = Strings::new(source);
    let trimmed: fn(&[u8]) -> Range<usize> = if is_ascii(&source.data) { trim_ascii } else { trim_unicode };
    let mut data = Vec::with_capacity(source.data.len());
    let mut offsets = Vec::with_capacity(source.offsets.len());
    offsets.push(0);
    // What lies between `run` and the current value is to be copied as it is.
    let (mut run, mut end) = (0, 0);
    for row in 0..texts.len() {
        let start = end;
        let text = texts.bytes(row);
        end = start + text.len();
        if text.first().is_some_and(may_be_space) || text.last().is_some_and(may_be_space) {
            let kept = trimmed(text);
            data.extend_from_slice(&source.data[run..start]);
            data.extend_from_slice(&text[kept]);
            run = end;
        }
        offsets.push((data.len() + end - run) as i32);
    }
    data.extend_from_slice(&source.data[run..end]);
    Ok(with_values(column, ByteStrings { offsets, data }))
}

/// Whether a text that begins or ends with this byte may begin or end with white space.
fn may_be_space(byte: &u8) -> bool {
    *byte <= b' ' || *byte >= 128
}

fn trim_ascii(text: &[u8]) -> Range<usize> {
    // The ASCII characters for which `char::is_whitespace` holds, so that both ways agree.
    let is_space = |byte: &u8| matches!(byte, b' ' | 9..=13);
    let start = text.iter().position(|byte| !is_space(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !is_space(byte)).map_or(start, |last| last + 1);
    start..end
}

fn trim_unicode(text: &[u8]) -> Range<usize> {
    let Ok(text) = std::str::from_utf8(text) else { return 0..text.len() };
    let start = text.len() - text.trim_start().len();
    start..start + text.trim().len()
}

pub fn upper(column: &Column) -> Result<Column, Error> {
    change_case(column, b'a', str::to_uppercase)
}

pub fn lower(column: &Column) -> Result<Column, Error> {
    change_case(column, b'A', str::to_lowercase)
}

/// `first`: the first of the 26 ASCII letters that change.
fn change_case(column: &Column, first: u8, unicode: fn(&str) -> String) -> Result<Column, Error> {
    let source = bytes(column)?;
    if is_ascii(&source.data) {
        let flip = |byte: &mut u8| *byte ^= u8::from(byte.wrapping_sub(first) < 26) << 5;
        let mut data = source.data.clone();
        let (blocks, rest) = data.as_chunks_mut::<128>();
        for block in blocks {
            block.iter_mut().for_each(flip);
        }
        rest.iter_mut().for_each(flip);
        return Ok(with_values(column, ByteStrings { offsets: source.offsets.clone(), data }));
    }
    let texts = Strings::new(source);
    let mut changed = ByteStrings { offsets: Vec::with_capacity(source.offsets.len()), data: Vec::new() };
    changed.offsets.push(0);
    for row in 0..texts.len() {
        changed.data.extend_from_slice(unicode(texts.text(row)).as_bytes());
        changed.offsets.push(changed.data.len() as i32);
    }
    Ok(with_values(column, changed))
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
            prop_assert_eq!(upper(&source).unwrap(), each(str::to_uppercase));
            prop_assert_eq!(lower(&source).unwrap(), each(str::to_lowercase));
        }
    }
}
