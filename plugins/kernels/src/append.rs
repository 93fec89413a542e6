//! Columns made longer by the rows of others.

use sluicebox_plugin::{Bitmap, Column, Error, Field, Values, empty_values};

/// Columns of these fields, in pre-order, without rows.
pub fn empty(fields: &[Field]) -> Vec<Column> {
    fields
        .iter()
        .map(|field| Column { length: 0, validity: None, values: empty_values(&field.kind) })
        .collect()
}

/// Puts the rows of columns after those of `columns`: the same columns of two batches, in pre-order with all that is
/// nested in them. Error: [`Error::Data`], if they are not the same columns, or if offsets do not reach so far.
pub fn append(columns: &mut [Column], rows: Vec<Column>) -> Result<(), Error> {
    for (column, more) in columns.iter_mut().zip(rows) {
        append_column(column, more)?;
    }
    Ok(())
}

fn append_column(column: &mut Column, more: Column) -> Result<(), Error> {
    let (length, added) = (column.length as usize, more.length as usize);
    column.length = column.length.checked_add(more.length).ok_or_else(too_long)?;
    column.validity = match (column.validity.take(), more.validity) {
        (None, None) => None,
        (before, after) => {
            let mut bits = before.unwrap_or_else(|| Bitmap::filled(length, true).into_bytes());
            let after = after.unwrap_or_else(|| Bitmap::filled(added, true).into_bytes());
            append_bits(&mut bits, length, &after, added);
            Some(bits)
        }
    };
    match (&mut column.values, more.values) {
        (Values::None, Values::None) => {}
        (Values::Bits(bits), Values::Bits(more)) => append_bits(bits, length, &more, added),
        (Values::Int8(values), Values::Int8(more)) => values.extend(more),
        (Values::Int16(values), Values::Int16(more)) => values.extend(more),
        (Values::Int32(values), Values::Int32(more)) => values.extend(more),
        (Values::Int64(values), Values::Int64(more)) => values.extend(more),
        (Values::Uint8(values), Values::Uint8(more)) => values.extend(more),
        (Values::Uint16(values), Values::Uint16(more)) => values.extend(more),
        (Values::Uint32(values), Values::Uint32(more)) => values.extend(more),
        (Values::Uint64(values), Values::Uint64(more)) => values.extend(more),
        (Values::Float32(values), Values::Float32(more)) => values.extend(more),
        (Values::Float64(values), Values::Float64(more)) => values.extend(more),
        (Values::Fixed(data), Values::Fixed(more)) => data.extend(more),
        (Values::Bytes(bytes), Values::Bytes(more)) => {
            append_offsets(&mut bytes.offsets, &more.offsets)?;
            bytes.data.extend(more.data);
        }
        (Values::Offsets(offsets), Values::Offsets(more)) => append_offsets(offsets, &more)?,
        _ => return Err(Error::Data("two batches do not have the same columns".into())),
    }
    Ok(())
}

fn append_offsets(offsets: &mut Vec<i32>, more: &[i32]) -> Result<(), Error> {
    let end = offsets.last().copied().unwrap_or_default();
    if more.last().is_some_and(|last| last.checked_add(end).is_none()) {
        return Err(too_long());
    }
    offsets.extend(more.iter().skip(1).map(|offset| offset + end));
    Ok(())
}

/// Bits past the last row, of either, have no meaning.
fn append_bits(bits: &mut Vec<u8>, length: usize, more: &[u8], added: usize) {
    bits.truncate(length.div_ceil(8));
    let more = &more[..added.div_ceil(8)];
    let used = length % 8;
    if used == 0 {
        bits.extend_from_slice(more);
        return;
    }
    for byte in more {
        if let Some(last) = bits.last_mut() {
            *last = *last & !(u8::MAX << used) | byte << used;
        }
        bits.push(byte >> (8 - used));
    }
    bits.truncate((length + added).div_ceil(8));
}

fn too_long() -> Error {
    Error::Data("a column is longer than offsets reach: 2 GiB of text, or 2^31 elements".into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sluicebox_plugin::serde_json::{Value, json};
    use sluicebox_plugin::test_kit::{batch, rows, struct_field};
    use sluicebox_plugin::{Batch, Field, Kind, field};

    use super::{append, empty};

    fn fields() -> Vec<Field> {
        let list = Field { children: 1, ..field("list", Kind::ListOf) };
        let flat = [field("bit", Kind::Boolean), field("int", Kind::Int32), field("text", Kind::Utf8)];
        let nested = struct_field("struct", vec![vec![field("float", Kind::Float64)]]);
        flat.into_iter().chain([list, field("item", Kind::Utf8)]).chain(nested).collect()
    }

    fn row() -> impl Strategy<Value = Value> {
        let text = prop::option::of("[a-c]{0,3}");
        (any::<Option<bool>>(), any::<Option<i16>>(), text, prop::option::of(0..4), any::<bool>()).prop_map(
            |(bit, int, text, items, some)| {
                let items = items.map(|items| (0..items).map(|i| format!("i{i}")).collect::<Vec<_>>());
                let inner = some.then(|| json!({"float": 0.5}));
                json!({"bit": bit, "int": int, "text": text, "list": items, "struct": inner})
            },
        )
    }

    proptest! {
        #[test]
        fn rows_put_together_are_the_rows(
            parts in prop::collection::vec(prop::collection::vec(row(), 0..20), 1..5),
        ) {
            let fields = fields();
            let mut whole = Batch { rows: 0, columns: empty(&fields) };
            for part in &parts {
                let part = batch(&fields, part);
                whole.rows += part.rows;
                append(&mut whole.columns, part.columns).unwrap();
            }
            prop_assert_eq!(rows(&fields, &whole), parts.concat());
        }
    }
}
