//! The columns that the plugin gives back, and the ways to get them wrong.

use crate::sluicebox::plugin::types::{Batch, ByteStrings, Column, DecimalType, Field, Kind, Values};

/// `text` utf8 null, `count` int64, `amount` decimal(5, 2), `tags` list of int32, `flag` boolean, `code` of 4 bytes.
pub fn fields() -> Vec<Field> {
    let field = |name: &str, kind, nullable, children| Field { name: name.into(), kind, nullable, children };
    vec![
        field("text", Kind::Utf8, true, 0),
        field("count", Kind::Int64, false, 0),
        field("amount", Kind::Decimal128(DecimalType { precision: 5, scale: 2 }), false, 0),
        field("tags", Kind::ListOf, false, 1),
        field("item", Kind::Int32, false, 0),
        field("flag", Kind::Boolean, false, 0),
        field("code", Kind::FixedSizeBinary(4), false, 0),
    ]
}

const TEXT: usize = 0;
const COUNT: usize = 1;
const AMOUNT: usize = 2;
const TAGS: usize = 3;
const ITEM: usize = 4;
const FLAG: usize = 5;
const CODE: usize = 6;

fn column(length: usize, values: Values) -> Column {
    Column { length: length as u32, validity: None, values }
}

pub fn bits(length: u32, bits: Vec<u8>) -> Column {
    Column { length, validity: None, values: Values::Bits(bits) }
}

/// Sound columns for these rows.
pub fn well(ids: &[i64]) -> Batch {
    let rows = ids.len();
    let mut text = ByteStrings { offsets: vec![0], data: Vec::new() };
    for id in ids {
        text.data.extend(format!("№{id}").bytes());
        text.offsets.push(text.data.len() as i32);
    }
    let columns = vec![
        column(rows, Values::Bytes(text)),
        column(rows, Values::Int64(ids.to_vec())),
        column(rows, Values::Fixed(vec![0; rows * 16])),
        column(rows, Values::Offsets((0..=rows as i32).map(|row| row * 2).collect())),
        column(rows * 2, Values::Int32(vec![7; rows * 2])),
        bits(rows as u32, vec![0; rows.div_ceil(8)]),
        column(rows, Values::Fixed(vec![b'c'; rows * 4])),
    ];
    Batch { rows: rows as u32, columns }
}

/// The same with a text of so many bytes in the last row, and empty ones before it.
pub fn with_text(mut batch: Batch, bytes: usize) -> Batch {
    let rows = batch.rows as usize;
    let offsets = (0..=rows).map(|row| if row < rows { 0 } else { bytes as i32 }).collect();
    batch.columns[TEXT].values = Values::Bytes(ByteStrings { offsets, data: vec![b'x'; bytes] });
    batch
}

/// What to get wrong.
pub struct Shape<'a> {
    pub name: &'a str,
    pub rows: usize,
}

pub fn malform(mut batch: Batch, shape: &Shape<'_>) -> Batch {
    let rows = shape.rows;
    let text = |offsets: Vec<i32>, data: Vec<u8>| Values::Bytes(ByteStrings { offsets, data });
    let columns = &mut batch.columns;
    match shape.name {
        "rows-short" => batch.rows -= 1,
        "rows-long" => batch.rows += 1,
        "column-short" => columns[COUNT] = column(rows - 1, Values::Int64(vec![0; rows - 1])),
        "column-long" => columns[COUNT] = column(rows + 1, Values::Int64(vec![0; rows + 1])),
        "values-short" => columns[COUNT].values = Values::Int64(vec![0; rows - 1]),
        "values-long" => columns[COUNT].values = Values::Int64(vec![0; rows + 1]),
        "wrong-case" => columns[COUNT].values = Values::Float64(vec![0.0; rows]),
        "no-values" => columns[COUNT].values = Values::None,
        "column-missing" => drop(columns.pop()),
        "column-too-many" => columns.push(column(rows, Values::None)),
        "no-columns-at-all" => columns.clear(),
        "offsets-descending" => {
            let mut offsets = vec![0; rows + 1];
            offsets[rows] = -1;
            columns[TEXT].values = text(offsets, Vec::new());
        }
        "offsets-negative" => columns[TEXT].values = text(vec![-1; rows + 1], Vec::new()),
        "offsets-from-one" => columns[TEXT].values = text(vec![1; rows + 1], vec![b'x']),
        "offsets-past-data" => {
            let mut offsets = vec![0; rows + 1];
            offsets[rows] = i32::MAX;
            columns[TEXT].values = text(offsets, vec![b'x']);
        }
        "offsets-before-end" => columns[TEXT].values = text(vec![0; rows + 1], vec![b'x']),
        "offsets-few" => columns[TEXT].values = text(vec![0; rows], Vec::new()),
        "offsets-none" => columns[TEXT].values = text(Vec::new(), Vec::new()),
        "not-utf8" => {
            let mut offsets = vec![2; rows + 1];
            offsets[0] = 0;
            columns[TEXT].values = text(offsets, vec![0xff, 0xfe]);
        }
        "inside-a-character" => {
            let mut offsets = vec![2; rows + 1];
            (offsets[0], offsets[1]) = (0, 1);
            columns[TEXT].values = text(offsets, "é".into());
        }
        "validity-short" => columns[TEXT].validity = Some(Vec::new()),
        "validity-long" => columns[TEXT].validity = Some(vec![0xff; rows + 1]),
        "null-where-none-may-be" => columns[COUNT].validity = Some(vec![0; rows.div_ceil(8)]),
        "null-in-a-list" => columns[ITEM].validity = Some(vec![0; (rows * 2).div_ceil(8)]),
        "decimal-too-large" => {
            columns[AMOUNT].values =
                Values::Fixed([0xff; 15].iter().chain(&[0x7f]).copied().cycle().take(rows * 16).collect())
        }
        "decimal-ragged" => columns[AMOUNT].values = Values::Fixed(vec![0; rows * 16 + 1]),
        "list-past-child" => columns[TAGS].values = Values::Offsets(vec![i32::MAX; rows + 1]),
        "list-beyond-child" => {
            columns[TAGS].values = Values::Offsets((0..=rows as i32).map(|row| row * 3).collect())
        }
        "list-descending" => columns[TAGS].values = Values::Offsets((0..=rows as i32).rev().collect()),
        "child-short" => columns[ITEM].values = Values::Int32(vec![7; rows]),
        "child-claims-length" => columns[ITEM].length = u32::MAX,
        "bits-short" => columns[FLAG].values = Values::Bits(vec![]),
        "bits-long" => columns[FLAG].values = Values::Bits(vec![0; rows.div_ceil(8) + 1]),
        "fixed-short" => columns[CODE].values = Values::Fixed(vec![0; rows * 4 - 1]),
        _ => {}
    }
    batch
}
