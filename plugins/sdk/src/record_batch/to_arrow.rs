//! Columns of the contract as Arrow arrays, which take over their buffers.

use std::sync::Arc;

use arrow_array::types::*;
use arrow_array::*;
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, FieldRef, SchemaRef, TimeUnit};

use crate::{Batch, ByteStrings, Column, Error, Values};

type Columns = std::vec::IntoIter<Column>;

/// The host keeps the contract, so what does not fit means another schema: [`Error::Data`].
pub fn record_batch(schema: &SchemaRef, batch: Batch) -> Result<RecordBatch, Error> {
    let options = RecordBatchOptions::new().with_row_count(Some(batch.rows as usize));
    let mut columns = batch.columns.into_iter();
    let arrays: Result<Vec<_>, _> = schema.fields().iter().map(|field| array(field, &mut columns)).collect();
    arrays
        .and_then(|arrays| RecordBatch::try_new_with_options(schema.clone(), arrays, &options))
        .map_err(|error| Error::Data(format!("the batch is none of the agreed schema: {error}")))
}

fn array(field: &FieldRef, columns: &mut Columns) -> Result<ArrayRef, ArrowError> {
    let unfit = || ArrowError::SchemaError(format!("column `{}`", field.name()));
    let column = columns.next().ok_or_else(unfit)?;
    let rows = column.length as usize;
    let nulls = column.validity.map(|bits| NullBuffer::new(bitmap(bits, rows)));
    macro_rules! primitive {
        ($type:ty, $values:expr) => {
            Arc::new(PrimitiveArray::<$type>::try_new(ScalarBuffer::from($values), nulls)?)
        };
    }
    macro_rules! timestamp {
        ($type:ty, $values:expr, $zone:expr) => {
            Arc::new(
                PrimitiveArray::<$type>::try_new(ScalarBuffer::from($values), nulls)?
                    .with_timezone_opt($zone.clone()),
            )
        };
    }
    Ok(match (field.data_type(), column.values) {
        (DataType::Boolean, Values::Bits(bits)) => Arc::new(BooleanArray::new(bitmap(bits, rows), nulls)),
        (DataType::Int8, Values::Int8(values)) => primitive!(Int8Type, values),
        (DataType::Int16, Values::Int16(values)) => primitive!(Int16Type, values),
        (DataType::Int32, Values::Int32(values)) => primitive!(Int32Type, values),
        (DataType::Int64, Values::Int64(values)) => primitive!(Int64Type, values),
        (DataType::UInt8, Values::Uint8(values)) => primitive!(UInt8Type, values),
        (DataType::UInt16, Values::Uint16(values)) => primitive!(UInt16Type, values),
        (DataType::UInt32, Values::Uint32(values)) => primitive!(UInt32Type, values),
        (DataType::UInt64, Values::Uint64(values)) => primitive!(UInt64Type, values),
        (DataType::Float32, Values::Float32(values)) => primitive!(Float32Type, values),
        (DataType::Float64, Values::Float64(values)) => primitive!(Float64Type, values),
        (DataType::Date32, Values::Int32(values)) => primitive!(Date32Type, values),
        (DataType::Timestamp(unit, zone), Values::Int64(values)) => match unit {
            TimeUnit::Second => timestamp!(TimestampSecondType, values, zone),
            TimeUnit::Millisecond => timestamp!(TimestampMillisecondType, values, zone),
            TimeUnit::Microsecond => timestamp!(TimestampMicrosecondType, values, zone),
            TimeUnit::Nanosecond => timestamp!(TimestampNanosecondType, values, zone),
        },
        (DataType::Decimal128(precision, scale), Values::Fixed(bytes)) => {
            let values = bytes.as_chunks::<16>().0.iter().map(|bytes| i128::from_le_bytes(*bytes)).collect();
            let array = PrimitiveArray::<Decimal128Type>::try_new(values, nulls)?;
            Arc::new(array.with_precision_and_scale(*precision, *scale)?)
        }
        (DataType::FixedSizeBinary(size), Values::Fixed(bytes)) => {
            Arc::new(FixedSizeBinaryArray::try_new(*size, bytes.into(), nulls)?)
        }
        (DataType::Utf8, Values::Bytes(ByteStrings { offsets, data })) => {
            Arc::new(StringArray::try_new(ascending(offsets), data.into(), nulls)?)
        }
        (DataType::Binary, Values::Bytes(ByteStrings { offsets, data })) => {
            Arc::new(BinaryArray::try_new(ascending(offsets), data.into(), nulls)?)
        }
        (DataType::List(item), Values::Offsets(offsets)) => {
            let items = array(item, columns)?;
            Arc::new(ListArray::try_new(item.clone(), ascending(offsets), items, nulls)?)
        }
        (DataType::Map(entries, sorted), Values::Offsets(offsets)) => {
            let below = array(entries, columns)?;
            let below = below.as_any().downcast_ref::<StructArray>().ok_or_else(unfit)?.clone();
            Arc::new(MapArray::try_new(entries.clone(), ascending(offsets), below, nulls, *sorted)?)
        }
        (DataType::Struct(fields), Values::None) => {
            let below = fields.iter().map(|field| array(field, columns)).collect::<Result<_, _>>()?;
            Arc::new(StructArray::try_new_with_length(fields.clone(), below, nulls, rows)?)
        }
        _ => return Err(unfit()),
    })
}

fn bitmap(bits: Vec<u8>, rows: usize) -> BooleanBuffer {
    BooleanBuffer::new(Buffer::from_vec(bits), 0, rows)
}

/// The host has seen to it that they ascend.
fn ascending(offsets: Vec<i32>) -> OffsetBuffer<i32> {
    OffsetBuffer::new(ScalarBuffer::from(offsets))
}
