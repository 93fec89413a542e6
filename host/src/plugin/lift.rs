//! The columns that a plugin gives back as Arrow arrays. Everything is checked before Arrow sees it:
//! its constructors panic on what a plugin may send, and its kernels trust what they are given.

use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::*;

use super::bindings::types;

type Columns = std::vec::IntoIter<types::ColumnResult>;

/// A batch of `schema`, or what is wrong with it. `max_rows` bounds what columns without a buffer of their
/// own could claim.
pub(super) fn lift_batch(
    schema: &SchemaRef,
    batch: types::BatchResult,
    max_rows: usize,
) -> Result<RecordBatch, String> {
    let rows = batch.rows as usize;
    if rows > max_rows {
        return Err(format!("it gives {rows} rows, the limit is {max_rows}"));
    }
    let mut columns = batch.columns.into_iter();
    let arrays = schema
        .fields()
        .iter()
        .map(|field| lift_column(field, rows, &mut columns))
        .collect::<Result<Vec<_>, _>>()?;
    if columns.len() > 0 {
        return Err(format!("it gives {} columns more than its schema has", columns.len()));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.clone(), arrays, &options).map_err(|error| error.to_string())
}

fn lift_column(field: &FieldRef, rows: usize, columns: &mut Columns) -> Result<ArrayRef, String> {
    let column = columns.next().ok_or_else(|| format!("the column `{}` is missing", field.name()))?;
    if column.length as usize != rows {
        return Err(format!("the column `{}` has {} rows, not {rows}", field.name(), column.length));
    }
    lift_values(field, rows, column, columns).map_err(|what| format!("column `{}`: {what}", field.name()))
}

fn lift_values(
    field: &FieldRef,
    rows: usize,
    column: types::ColumnResult,
    columns: &mut Columns,
) -> Result<ArrayRef, String> {
    use types::ValuesResult as From;
    let nulls = column.validity.map(|bits| lift_nulls(bits, rows)).transpose()?.flatten();
    macro_rules! primitive {
        ($type:ty, $values:expr) => {
            lift_primitive::<$type>($values, rows, nulls)?
        };
    }
    let array: ArrayRef = match (field.data_type(), column.values) {
        (DataType::Boolean, From::Bits(bits)) => Arc::new(BooleanArray::new(lift_bits(bits, rows)?, nulls)),
        (DataType::Int8, From::Int8(values)) => primitive!(Int8Type, values),
        (DataType::Int16, From::Int16(values)) => primitive!(Int16Type, values),
        (DataType::Int32, From::Int32(values)) => primitive!(Int32Type, values),
        (DataType::Int64, From::Int64(values)) => primitive!(Int64Type, values),
        (DataType::UInt8, From::Uint8(values)) => primitive!(UInt8Type, values),
        (DataType::UInt16, From::Uint16(values)) => primitive!(UInt16Type, values),
        (DataType::UInt32, From::Uint32(values)) => primitive!(UInt32Type, values),
        (DataType::UInt64, From::Uint64(values)) => primitive!(UInt64Type, values),
        (DataType::Float32, From::Float32(values)) => primitive!(Float32Type, values),
        (DataType::Float64, From::Float64(values)) => primitive!(Float64Type, values),
        (DataType::Date32, From::Int32(values)) => primitive!(Date32Type, values),
        (DataType::Timestamp(unit, zone), From::Int64(values)) => {
            let zone = zone.clone();
            check_length(values.len(), rows, "values")?;
            let values = ScalarBuffer::from(values);
            match unit {
                TimeUnit::Second => {
                    Arc::new(TimestampSecondArray::new(values, nulls).with_timezone_opt(zone))
                }
                TimeUnit::Millisecond => {
                    Arc::new(TimestampMillisecondArray::new(values, nulls).with_timezone_opt(zone))
                }
                TimeUnit::Microsecond => {
                    Arc::new(TimestampMicrosecondArray::new(values, nulls).with_timezone_opt(zone))
                }
                TimeUnit::Nanosecond => {
                    Arc::new(TimestampNanosecondArray::new(values, nulls).with_timezone_opt(zone))
                }
            }
        }
        (DataType::Decimal128(precision, scale), From::Fixed(data)) => {
            lift_decimal(data, rows, nulls, *precision, *scale)?
        }
        (DataType::FixedSizeBinary(size), From::Fixed(data)) => {
            let width = usize::try_from(*size).map_err(|_| "its size is negative".to_owned())?;
            check_length(data.len(), rows.saturating_mul(width), "bytes")?;
            Arc::new(
                FixedSizeBinaryArray::try_new_with_len(*size, data.into(), nulls, rows)
                    .map_err(|e| e.to_string())?,
            )
        }
        (DataType::Utf8, From::Bytes(strings)) => Arc::new(lift_strings(strings, rows, nulls)?),
        (DataType::Binary, From::Bytes(strings)) => {
            let (offsets, data) = lift_byte_strings(strings, rows)?;
            // SAFETY: the offsets were checked to ascend and to end with the data.
            Arc::new(unsafe { BinaryArray::new_unchecked(offsets, data, nulls) })
        }
        (DataType::List(item), From::Offsets(offsets)) => {
            let (offsets, length) = lift_offsets(offsets, rows)?;
            let values = lift_column(item, length, columns)?;
            Arc::new(
                ListArray::try_new(item.clone(), offsets, values, nulls)
                    .map_err(|error| error.to_string())?,
            )
        }
        (DataType::Map(entries, sorted), From::Offsets(offsets)) => {
            let (offsets, length) = lift_offsets(offsets, rows)?;
            let values = lift_column(entries, length, columns)?;
            Arc::new(
                MapArray::try_new(entries.clone(), offsets, values.as_struct().clone(), nulls, *sorted)
                    .map_err(|error| error.to_string())?,
            )
        }
        (DataType::Struct(fields), From::None) => {
            let children = fields
                .iter()
                .map(|child| lift_column(child, rows, columns))
                .collect::<Result<Vec<_>, _>>()?;
            Arc::new(
                StructArray::try_new_with_length(fields.clone(), children, nulls, rows)
                    .map_err(|error| error.to_string())?,
            )
        }
        (expected, _) => return Err(format!("its values are not those of {expected}")),
    };
    Ok(array)
}

fn check_length(found: usize, expected: usize, of: &str) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("it has {found} {of}, not {expected}")) }
}

fn lift_primitive<T: ArrowPrimitiveType>(
    values: Vec<T::Native>,
    rows: usize,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, String> {
    check_length(values.len(), rows, "values")?;
    Ok(Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(values), nulls)))
}

/// `rows` bits; what the last byte holds beyond them is ignored.
pub(super) fn lift_bits(bits: Vec<u8>, rows: usize) -> Result<BooleanBuffer, String> {
    check_length(bits.len(), rows.div_ceil(8), "bytes of bits")?;
    Ok(BooleanBuffer::new(Buffer::from_vec(bits), 0, rows))
}

fn lift_nulls(bits: Vec<u8>, rows: usize) -> Result<Option<NullBuffer>, String> {
    check_length(bits.len(), rows.div_ceil(8), "bytes of validity")?;
    let nulls = NullBuffer::new(BooleanBuffer::new(Buffer::from_vec(bits), 0, rows));
    Ok(Some(nulls).filter(|nulls| nulls.null_count() > 0))
}

fn lift_decimal(
    data: Vec<u8>,
    rows: usize,
    nulls: Option<NullBuffer>,
    precision: u8,
    scale: i8,
) -> Result<ArrayRef, String> {
    let (values, rest) = data.as_chunks::<16>();
    check_length(values.len(), rows, "values")?;
    check_length(rest.len(), 0, "bytes too many")?;
    let values: ScalarBuffer<i128> = values.iter().map(|bytes| i128::from_le_bytes(*bytes)).collect();
    let array = Decimal128Array::new(values, nulls)
        .with_precision_and_scale(precision, scale)
        .map_err(|error| error.to_string())?;
    array.validate_decimal_precision(precision).map_err(|error| error.to_string())?;
    Ok(Arc::new(array))
}

/// Offsets that start at 0 and ascend, with the last one.
fn lift_offsets(offsets: Vec<i32>, rows: usize) -> Result<(OffsetBuffer<i32>, usize), String> {
    check_length(offsets.len(), rows + 1, "offsets")?;
    if offsets.first() != Some(&0) {
        return Err("its offsets do not start at 0".to_owned());
    }
    // One fold without an early exit is vectorised.
    if !offsets.windows(2).fold(true, |ascending, pair| ascending & (pair[0] <= pair[1])) {
        return Err("its offsets do not ascend".to_owned());
    }
    let last = offsets.last().map_or(0, |last| *last as usize);
    // SAFETY: not empty, not negative, ascending: checked above.
    Ok((unsafe { OffsetBuffer::new_unchecked(ScalarBuffer::from(offsets)) }, last))
}

fn lift_byte_strings(
    strings: types::ByteStringsResult,
    rows: usize,
) -> Result<(OffsetBuffer<i32>, Buffer), String> {
    let (offsets, last) = lift_offsets(strings.offsets, rows)?;
    if last != strings.data.len() {
        return Err(format!("its offsets end at {last}, its data at {}", strings.data.len()));
    }
    Ok((offsets, Buffer::from_vec(strings.data)))
}

pub(super) fn lift_strings(
    strings: types::ByteStringsResult,
    rows: usize,
    nulls: Option<NullBuffer>,
) -> Result<StringArray, String> {
    let (offsets, data) = lift_byte_strings(strings, rows)?;
    if !data.is_ascii() {
        let text = std::str::from_utf8(&data).map_err(|error| format!("it is not UTF-8: {error}"))?;
        if !offsets.iter().all(|offset| text.is_char_boundary(*offset as usize)) {
            return Err("an offset lies inside a character".to_owned());
        }
    }
    // SAFETY: the offsets ascend, end with the data, and cut valid UTF-8 between characters.
    Ok(unsafe { StringArray::new_unchecked(offsets, data, nulls) })
}
