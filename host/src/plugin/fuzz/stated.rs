//! What plugins state: drawn soundly, and damaged.

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};

use super::super::bindings::types::{
    self, BatchResult, ByteStringsResult, ColumnResult, FieldResult, ValuesResult,
};
use super::super::lower::lower;
use super::super::round_trip::{Dice, handed_back, handed_back_field};
use super::super::schema::to_contract;

/// Numbers at which something is apt to go wrong.
const TURNS: [i64; 14] =
    [0, 1, -1, 2, 7, 8, 9, 63, 64, 65, i32::MAX as i64, i32::MIN as i64, u32::MAX as i64, i64::MAX];

pub fn turn(dice: &mut Dice) -> i64 {
    TURNS[dice.below(TURNS.len())]
}

/// Something of a list, for damaging it; none if it is empty.
fn any<'a, T>(dice: &mut Dice, of: &'a mut [T]) -> Option<&'a mut T> {
    if of.is_empty() {
        return None;
    }
    let at = dice.below(of.len());
    of.get_mut(at)
}

pub fn fields(dice: &mut Dice, names: &[&str]) -> Vec<FieldResult> {
    let fields: Vec<Field> = names.iter().map(|name| dice.field(name, 3)).collect();
    let schema = Schema::new(fields);
    to_contract(schema.fields()).iter().map(handed_back_field).collect()
}

pub fn name(dice: &mut Dice) -> String {
    const NAMES: [&str; 14] = [
        "a",
        "b",
        "c",
        "d",
        "_offset",
        "_key",
        "_watermark",
        "_none",
        "",
        "A",
        "key",
        "é\u{7}",
        "rule_1",
        "rule_1\n",
    ];
    match dice.below(20) {
        0 => "n".repeat(300),
        _ => NAMES[dice.below(NAMES.len())].to_owned(),
    }
}

pub fn damage_fields(dice: &mut Dice, fields: &mut Vec<FieldResult>) {
    let other = kind(dice);
    let (count, renamed) = (turn(dice) as u32, name(dice));
    match dice.below(7) {
        0 => drop(fields.pop()),
        1 => fields.extend(fields.clone().into_iter().take(3)),
        2 => any(dice, fields).into_iter().for_each(|field| field.children = count),
        3 => any(dice, fields).into_iter().for_each(|field| field.name = renamed.clone()),
        4 => any(dice, fields).into_iter().for_each(|field| field.nullable = !field.nullable),
        5 => any(dice, fields).into_iter().for_each(|field| field.kind = other.clone()),
        _ if !fields.is_empty() => fields.rotate_left(1),
        _ => {}
    }
}

fn kind(dice: &mut Dice) -> types::KindResult {
    use types::KindResult as Kind;
    let small = turn(dice);
    match dice.below(12) {
        0 => Kind::Boolean,
        1 => Kind::Int8,
        2 => Kind::Uint64,
        3 => Kind::Float32,
        4 => Kind::Decimal128(types::DecimalType { precision: small as u8, scale: turn(dice) as i8 }),
        5 => Kind::Utf8,
        6 => Kind::FixedSizeBinary(small as u32),
        7 => Kind::Date32,
        8 => Kind::Timestamp(types::TimestampTypeResult {
            unit: types::TimeUnit::Nanoseconds,
            zone: [None, Some("UTC"), Some("+25:99"), Some(""), Some("No/Such")][dice.below(5)]
                .map(str::to_owned),
        }),
        9 => Kind::ListOf,
        10 => Kind::StructOf,
        _ => Kind::MapOf,
    }
}

/// The batch as a plugin would state it.
pub fn batch(batch: &RecordBatch) -> BatchResult {
    let columns = lower(batch.columns()).iter().map(handed_back).collect();
    BatchResult { rows: batch.num_rows() as u32, columns }
}

pub fn drawn_batch(dice: &mut Dice, schema: &SchemaRef, rows: usize) -> BatchResult {
    batch(&super::drawn(dice, schema, rows))
}

pub fn damage_batch(dice: &mut Dice, batch: &mut BatchResult) {
    let number = turn(dice);
    match dice.below(12) {
        0 => batch.rows = number as u32,
        1 => drop(batch.columns.pop()),
        2 => batch.columns.extend(batch.columns.first().map(|column| ColumnResult {
            length: column.length,
            validity: None,
            values: ValuesResult::None,
        })),
        3 if batch.columns.len() > 1 => batch.columns.swap(0, 1),
        _ => {
            if batch.columns.is_empty() {
                return;
            }
            let at = dice.below(batch.columns.len());
            damage_column(dice, &mut batch.columns[at]);
        }
    }
}

fn damage_column(dice: &mut Dice, column: &mut ColumnResult) {
    match dice.below(8) {
        0 => column.length = turn(dice) as u32,
        1 => column.validity = None,
        2 => column.validity = Some(bytes(dice)),
        3 => {
            let longer = dice.below(2) == 0;
            if let Some(validity) = &mut column.validity {
                resize(validity, longer, 0xff);
            }
        }
        4 => column.values = ValuesResult::None,
        _ => damage_values(dice, &mut column.values),
    }
}

fn resize<T: Clone>(values: &mut Vec<T>, longer: bool, with: T) {
    match longer {
        true => values.push(with),
        false => drop(values.pop()),
    }
}

fn damage_values(dice: &mut Dice, values: &mut ValuesResult) {
    let (longer, number) = (dice.below(2) == 0, turn(dice));
    match values {
        ValuesResult::None => *values = ValuesResult::Int32(vec![number as i32; dice.below(50)]),
        ValuesResult::Bits(bits) => resize(bits, longer, 0xff),
        ValuesResult::Int8(values) => resize(values, longer, 0),
        ValuesResult::Int16(values) => resize(values, longer, 0),
        ValuesResult::Int32(values) => resize(values, longer, number as i32),
        ValuesResult::Int64(values) => match any(dice, values) {
            Some(value) => *value = number,
            None => values.push(number),
        },
        ValuesResult::Uint8(values) => resize(values, longer, 0),
        ValuesResult::Uint16(values) => resize(values, longer, 0),
        ValuesResult::Uint32(values) => resize(values, longer, 0),
        ValuesResult::Uint64(values) => resize(values, longer, 0),
        ValuesResult::Float32(values) => resize(values, longer, f32::NAN),
        ValuesResult::Float64(values) => resize(values, longer, f64::NEG_INFINITY),
        ValuesResult::Fixed(data) => resize(data, longer, 0xff),
        ValuesResult::Bytes(strings) => damage_strings(dice, strings),
        ValuesResult::Offsets(offsets) => damage_offsets(dice, offsets),
    }
}

pub fn damage_strings(dice: &mut Dice, strings: &mut ByteStringsResult) {
    match dice.below(3) {
        0 => damage_offsets(dice, &mut strings.offsets),
        1 => {
            let byte = dice.next() as u8;
            any(dice, &mut strings.data).into_iter().for_each(|place| *place = byte);
        }
        _ => {
            let longer = dice.below(2) == 0;
            resize(&mut strings.data, longer, 0xc3);
        }
    }
}

fn damage_offsets(dice: &mut Dice, offsets: &mut Vec<i32>) {
    let number = turn(dice) as i32;
    match dice.below(5) {
        0 => drop(offsets.pop()),
        1 => offsets.push(number),
        // By one, as an offset within a character.
        2 => any(dice, offsets).into_iter().for_each(|offset| *offset = offset.wrapping_add(1)),
        3 => any(dice, offsets).into_iter().for_each(|offset| *offset = offset.wrapping_sub(1)),
        _ => any(dice, offsets).into_iter().for_each(|offset| *offset = number),
    }
}

pub fn bytes(dice: &mut Dice) -> Vec<u8> {
    (0..dice.below(20)).map(|_| dice.next() as u8).collect()
}

/// Soundly for some of `rows` rows, with rules `0..rules`.
pub fn rejections(dice: &mut Dice, rows: usize, rules: usize) -> types::Rejections {
    let refused: Vec<u32> = (0..rows as u32).filter(|_| dice.below(5) == 0).collect();
    let reasons: Vec<&str> = refused.iter().map(|_| ["", "too hot", "ü"][dice.below(3)]).collect();
    let mut offsets = vec![0];
    for reason in &reasons {
        offsets.push(offsets.last().unwrap() + reason.len() as i32);
    }
    types::Rejections {
        rules: refused.iter().map(|_| dice.below(rules.max(1)) as u16).collect(),
        rows: refused,
        reasons: ByteStringsResult { offsets, data: reasons.concat().into_bytes() },
    }
}

pub fn damage_rejections(dice: &mut Dice, rejections: &mut types::Rejections) {
    let number = turn(dice);
    match dice.below(5) {
        0 => any(dice, &mut rejections.rows).into_iter().for_each(|row| *row = number as u32),
        1 => any(dice, &mut rejections.rules).into_iter().for_each(|rule| *rule = number as u16),
        2 => drop(rejections.rows.pop()),
        3 => rejections.rules.push(0),
        _ => damage_strings(dice, &mut rejections.reasons),
    }
}
