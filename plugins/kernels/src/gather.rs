//! Rows of a column by their numbers, whatever is nested in it.

use sluicebox_plugin::{Bitmap, ByteStrings, Column, Field, Kind, Strings, Values, map_values, siblings};

/// In place of a row's number: null.
pub const NULL: i32 = -1;

/// The rows of a column, in pre-order with all that is nested in it, whose numbers these are.
pub fn gather(fields: &[Field], columns: &[Column], rows: &[i32]) -> Vec<Column> {
    let (Some(field), Some(column)) = (fields.first(), columns.first()) else { return Vec::new() };
    let mut children = Vec::new();
    let values = match &column.values {
        Values::None => {
            let mut at = 1;
            for child in siblings(&fields[1..]) {
                children.extend(gather(child, &columns[at..], rows));
                at += child.len();
            }
            Values::None
        }
        Values::Offsets(offsets) => {
            let (offsets, elements) = ranges(offsets, rows);
            children = gather(&fields[1..], &columns[1..], &elements);
            Values::Offsets(offsets)
        }
        Values::Bits(bits) => {
            Values::Bits(Bitmap::of_values(rows, |row| row >= 0 && bit(bits, row)).into_bytes())
        }
        Values::Int8(values) => Values::Int8(picked(values, rows)),
        Values::Int16(values) => Values::Int16(picked(values, rows)),
        Values::Int32(values) => Values::Int32(picked(values, rows)),
        Values::Int64(values) => Values::Int64(picked(values, rows)),
        Values::Uint8(values) => Values::Uint8(picked(values, rows)),
        Values::Uint16(values) => Values::Uint16(picked(values, rows)),
        Values::Uint32(values) => Values::Uint32(picked(values, rows)),
        Values::Uint64(values) => Values::Uint64(picked(values, rows)),
        Values::Float32(values) => Values::Float32(picked(values, rows)),
        Values::Float64(values) => Values::Float64(picked(values, rows)),
        Values::Fixed(data) => Values::Fixed(fixed(data, width(&field.kind), rows)),
        Values::Bytes(bytes) => Values::Bytes(strings(bytes, rows)),
    };
    let validity = validity(column.validity.as_deref(), rows);
    let mut gathered = vec![Column { length: rows.len() as u32, validity, values }];
    gathered.append(&mut children);
    gathered
}

fn picked<T: Copy + Default>(values: &[T], rows: &[i32]) -> Vec<T> {
    // A null's number is no row's: it gets any value.
    map_values(rows, |row| values.get(row as usize).copied().unwrap_or_default())
}

fn bit(bits: &[u8], row: i32) -> bool {
    bits[row as usize / 8] >> (row as usize % 8) & 1 == 1
}

fn validity(validity: Option<&[u8]>, rows: &[i32]) -> Option<Vec<u8>> {
    let present = match validity {
        Some(bits) => Bitmap::of_values(rows, |row| row >= 0 && bit(bits, row)),
        None => Bitmap::of_values(rows, |row| row >= 0),
    };
    (!present.all_set()).then(|| present.into_bytes())
}

fn width(kind: &Kind) -> usize {
    if let Kind::FixedSizeBinary(width) = kind { *width as usize } else { 16 }
}

fn fixed(data: &[u8], width: usize, rows: &[i32]) -> Vec<u8> {
    let mut gathered = Vec::with_capacity(rows.len() * width);
    for row in rows {
        match usize::try_from(*row) {
            Ok(row) => gathered.extend_from_slice(&data[row * width..(row + 1) * width]),
            Err(_) => gathered.resize(gathered.len() + width, 0),
        }
    }
    gathered
}

fn strings(bytes: &ByteStrings, rows: &[i32]) -> ByteStrings {
    let texts = Strings::new(bytes);
    let mut gathered = ByteStrings { offsets: Vec::with_capacity(rows.len() + 1), data: Vec::new() };
    gathered.offsets.push(0);
    for row in rows {
        if let Ok(row) = usize::try_from(*row) {
            gathered.data.extend_from_slice(texts.bytes(row));
        }
        gathered.offsets.push(gathered.data.len() as i32);
    }
    gathered
}

/// The offsets of lists put one after the other, and the numbers of their elements.
fn ranges(offsets: &[i32], rows: &[i32]) -> (Vec<i32>, Vec<i32>) {
    let (mut ends, mut elements) = (Vec::with_capacity(rows.len() + 1), Vec::new());
    ends.push(0);
    for row in rows {
        if let Ok(row) = usize::try_from(*row) {
            elements.extend(offsets[row]..offsets[row + 1]);
        }
        ends.push(elements.len() as i32);
    }
    (ends, elements)
}
