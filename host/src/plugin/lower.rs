//! Arrow arrays as the columns of the contract. Buffers are shared where their layout is the
//! contract's already; only what is sliced is made anew: offsets start at 0, bitmaps at bit 0.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::{BooleanBuffer, Buffer, MutableBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::*;

use super::bindings::types;

/// One column of a batch that goes to a plugin.
#[derive(Debug)]
pub(super) struct LoweredColumn {
    length: usize,
    validity: Option<Buffer>,
    values: LoweredValues,
}

#[derive(Debug)]
enum LoweredValues {
    None,
    Bits(Buffer),
    Int8(ScalarBuffer<i8>),
    Int16(ScalarBuffer<i16>),
    Int32(ScalarBuffer<i32>),
    Int64(ScalarBuffer<i64>),
    Uint8(ScalarBuffer<u8>),
    Uint16(ScalarBuffer<u16>),
    Uint32(ScalarBuffer<u32>),
    Uint64(ScalarBuffer<u64>),
    Float32(ScalarBuffer<f32>),
    Float64(ScalarBuffer<f64>),
    Fixed(Buffer),
    Bytes { offsets: ScalarBuffer<i32>, data: Buffer },
    Offsets(ScalarBuffer<i32>),
}

/// The columns of `arrays` and of their children, in pre-order. Only supported types may occur
/// ([`super::schema::is_supported`]).
pub(super) fn lower(arrays: &[ArrayRef]) -> Vec<LoweredColumn> {
    let mut columns = Vec::with_capacity(arrays.len());
    for array in arrays {
        lower_array(array, &mut columns);
    }
    columns
}

impl LoweredColumn {
    /// The column as the generated bindings take it.
    pub fn param(&self) -> types::ColumnParam<'_> {
        use types::ValuesParam as To;
        let values = match &self.values {
            LoweredValues::None => To::None,
            LoweredValues::Bits(bits) => To::Bits(bits),
            LoweredValues::Int8(values) => To::Int8(values),
            LoweredValues::Int16(values) => To::Int16(values),
            LoweredValues::Int32(values) => To::Int32(values),
            LoweredValues::Int64(values) => To::Int64(values),
            LoweredValues::Uint8(values) => To::Uint8(values),
            LoweredValues::Uint16(values) => To::Uint16(values),
            LoweredValues::Uint32(values) => To::Uint32(values),
            LoweredValues::Uint64(values) => To::Uint64(values),
            LoweredValues::Float32(values) => To::Float32(values),
            LoweredValues::Float64(values) => To::Float64(values),
            LoweredValues::Fixed(data) => To::Fixed(data),
            LoweredValues::Bytes { offsets, data } => To::Bytes(types::ByteStringsParam { offsets, data }),
            LoweredValues::Offsets(offsets) => To::Offsets(offsets),
        };
        types::ColumnParam {
            length: u32::try_from(self.length).unwrap_or(u32::MAX),
            validity: self.validity.as_deref(),
            values,
        }
    }
}

fn lower_array(array: &dyn Array, columns: &mut Vec<LoweredColumn>) {
    use LoweredValues as To;
    macro_rules! primitive {
        ($case:ident, $type:ty) => {
            To::$case(array.as_primitive::<$type>().values().clone())
        };
    }
    let mut children: Vec<ArrayRef> = Vec::new();
    let values = match array.data_type() {
        DataType::Boolean => To::Bits(aligned_bits(array.as_boolean().values())),
        DataType::Int8 => primitive!(Int8, Int8Type),
        DataType::Int16 => primitive!(Int16, Int16Type),
        DataType::Int32 => primitive!(Int32, Int32Type),
        DataType::Int64 => primitive!(Int64, Int64Type),
        DataType::UInt8 => primitive!(Uint8, UInt8Type),
        DataType::UInt16 => primitive!(Uint16, UInt16Type),
        DataType::UInt32 => primitive!(Uint32, UInt32Type),
        DataType::UInt64 => primitive!(Uint64, UInt64Type),
        DataType::Float32 => primitive!(Float32, Float32Type),
        DataType::Float64 => primitive!(Float64, Float64Type),
        DataType::Date32 => primitive!(Int32, Date32Type),
        DataType::Timestamp(TimeUnit::Second, _) => primitive!(Int64, TimestampSecondType),
        DataType::Timestamp(TimeUnit::Millisecond, _) => primitive!(Int64, TimestampMillisecondType),
        DataType::Timestamp(TimeUnit::Microsecond, _) => primitive!(Int64, TimestampMicrosecondType),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => primitive!(Int64, TimestampNanosecondType),
        DataType::Decimal128(_, _) => {
            To::Fixed(array.as_primitive::<Decimal128Type>().values().inner().clone())
        }
        DataType::FixedSizeBinary(_) => {
            let array = array.as_fixed_size_binary();
            To::Fixed(Buffer::from(array.value_data()))
        }
        DataType::Utf8 => {
            let array = array.as_string::<i32>();
            byte_strings(array.offsets(), array.values())
        }
        DataType::Binary => {
            let array = array.as_binary::<i32>();
            byte_strings(array.offsets(), array.values())
        }
        DataType::List(_) => {
            let array = array.as_list::<i32>();
            let (offsets, first, length) = rebased(array.offsets());
            children.push(array.values().slice(first, length));
            To::Offsets(offsets)
        }
        DataType::Map(_, _) => {
            let array = array.as_map();
            let (offsets, first, length) = rebased(array.offsets());
            children.push(std::sync::Arc::new(array.entries().slice(first, length)));
            To::Offsets(offsets)
        }
        DataType::Struct(_) => {
            children.extend(array.as_struct().columns().iter().cloned());
            To::None
        }
        other => unreachable!("columns of type {other} are hidden from plugins"),
    };
    let validity =
        array.nulls().filter(|nulls| nulls.null_count() > 0).map(|nulls| aligned_bits(nulls.inner()));
    columns.push(LoweredColumn { length: array.len(), validity, values });
    for child in &children {
        lower_array(child, columns);
    }
}

/// The bits from bit 0 on, the last byte filled up with zeros: a plugin sees nothing of other rows.
fn aligned_bits(bits: &BooleanBuffer) -> Buffer {
    let bytes = bits.len().div_ceil(8);
    let unused = bytes * 8 - bits.len();
    if bits.offset().is_multiple_of(8) {
        let shared = bits.inner().slice_with_length(bits.offset() / 8, bytes);
        if unused == 0 || shared.last().is_none_or(|last| last.leading_zeros() as usize >= unused) {
            return shared;
        }
    }
    let mut copy = MutableBuffer::from(bits.sliced().as_slice()[..bytes].to_vec());
    if let Some(last) = copy.last_mut() {
        *last &= 0xff >> unused;
    }
    copy.into()
}

fn byte_strings(offsets: &OffsetBuffer<i32>, data: &Buffer) -> LoweredValues {
    let (offsets, first, length) = rebased(offsets);
    LoweredValues::Bytes { offsets, data: data.slice_with_length(first, length) }
}

/// The offsets from 0 on, with where the first value starts and how far the values reach.
fn rebased(offsets: &OffsetBuffer<i32>) -> (ScalarBuffer<i32>, usize, usize) {
    // An offset buffer is never empty, its values ascend from zero or more.
    let first = offsets.first().copied().unwrap_or(0);
    let length = offsets.last().map_or(0, |last| (last - first) as usize);
    if first == 0 {
        return (offsets.inner().clone(), 0, length);
    }
    (offsets.iter().map(|offset| offset - first).collect(), first as usize, length)
}
