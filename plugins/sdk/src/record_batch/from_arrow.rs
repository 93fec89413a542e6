//! Arrow arrays as columns of the contract, without slices' offsets.

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_buffer::{BooleanBuffer, OffsetBuffer};
use arrow_schema::{DataType, Fields, TimeUnit};

use crate::{Batch, ByteStrings, Column, Error, Values};

/// [`Error::Data`] if the columns are not those of the plan. Their names are the plan's, whatever the batch calls them.
pub fn batch(plan: &Fields, batch: &RecordBatch) -> Result<Batch, Error> {
    if plan.len() != batch.num_columns() {
        let (found, planned) = (batch.num_columns(), plan.len());
        return Err(Error::Data(format!("the plugin gives {found} columns, its plan has {planned}")));
    }
    let mut columns = Vec::with_capacity(plan.len());
    for (field, array) in plan.iter().zip(batch.columns()) {
        if field.data_type() != array.data_type() {
            let name = field.name();
            return Err(Error::Data(format!("the plugin gives `{name}` another type than its plan says")));
        }
        append(array, &mut columns)?;
    }
    Ok(Batch { rows: batch.num_rows() as u32, columns })
}

fn append(array: &ArrayRef, columns: &mut Vec<Column>) -> Result<(), Error> {
    let length = array.len() as u32;
    let validity = array.nulls().filter(|nulls| nulls.null_count() > 0).map(|nulls| bytes(nulls.inner()));
    let add = |values| columns.push(Column { length, validity, values });
    macro_rules! primitive {
        ($type:ty) => {
            array.as_primitive::<$type>().values().to_vec()
        };
    }
    match array.data_type() {
        DataType::Boolean => add(Values::Bits(bytes(array.as_boolean().values()))),
        DataType::Int8 => add(Values::Int8(primitive!(Int8Type))),
        DataType::Int16 => add(Values::Int16(primitive!(Int16Type))),
        DataType::Int32 => add(Values::Int32(primitive!(Int32Type))),
        DataType::Int64 => add(Values::Int64(primitive!(Int64Type))),
        DataType::UInt8 => add(Values::Uint8(primitive!(UInt8Type))),
        DataType::UInt16 => add(Values::Uint16(primitive!(UInt16Type))),
        DataType::UInt32 => add(Values::Uint32(primitive!(UInt32Type))),
        DataType::UInt64 => add(Values::Uint64(primitive!(UInt64Type))),
        DataType::Float32 => add(Values::Float32(primitive!(Float32Type))),
        DataType::Float64 => add(Values::Float64(primitive!(Float64Type))),
        DataType::Date32 => add(Values::Int32(primitive!(Date32Type))),
        DataType::Timestamp(TimeUnit::Second, _) => add(Values::Int64(primitive!(TimestampSecondType))),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            add(Values::Int64(primitive!(TimestampMillisecondType)))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            add(Values::Int64(primitive!(TimestampMicrosecondType)))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            add(Values::Int64(primitive!(TimestampNanosecondType)))
        }
        DataType::Decimal128(_, _) => {
            let values = array.as_primitive::<Decimal128Type>().values();
            add(Values::Fixed(values.iter().flat_map(|value| value.to_le_bytes()).collect()));
        }
        DataType::FixedSizeBinary(_) => {
            let array = array.as_fixed_size_binary();
            add(Values::Fixed(array.value_data()[..].to_vec()));
        }
        DataType::Utf8 => {
            let array = array.as_string::<i32>();
            add(strings(array.offsets(), array.values()));
        }
        DataType::Binary => {
            let array = array.as_binary::<i32>();
            add(strings(array.offsets(), array.values()));
        }
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let (offsets, from, length) = from_zero(list.offsets());
            add(Values::Offsets(offsets));
            append(&list.values().slice(from, length), columns)?;
        }
        DataType::Map(_, _) => {
            let map = array.as_map();
            let (offsets, from, length) = from_zero(map.offsets());
            add(Values::Offsets(offsets));
            let entries: ArrayRef = std::sync::Arc::new(map.entries().slice(from, length));
            append(&entries, columns)?;
        }
        DataType::Struct(_) => {
            add(Values::None);
            array.as_struct().columns().iter().try_for_each(|child| append(child, columns))?;
        }
        // The plan was checked, and the types are the plan's.
        _ => return Err(Error::Data("the plugin gives a type that hosts lack".into())),
    }
    Ok(())
}

fn bytes(bits: &BooleanBuffer) -> Vec<u8> {
    bits.sliced().to_vec()
}

/// The offsets less the first, the first, and how long what they cut is.
fn from_zero(offsets: &OffsetBuffer<i32>) -> (Vec<i32>, usize, usize) {
    let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
    (offsets.iter().map(|offset| offset - first).collect(), first as usize, (last - first) as usize)
}

fn strings(offsets: &OffsetBuffer<i32>, data: &[u8]) -> Values {
    let (offsets, from, length) = from_zero(offsets);
    Values::Bytes(ByteStrings { offsets, data: data[from..from + length].to_vec() })
}
