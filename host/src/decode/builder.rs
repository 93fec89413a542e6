//! Column builders that can forget their last rows, so that a record that fails half-way leaves no trace.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, BooleanBufferBuilder, Decimal128Array,
    ListArray, MapArray, NullBufferBuilder, PrimitiveArray, StringArray, StructArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{
    DataType, Date32Type, Field, FieldRef, Fields, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

use crate::json::names::Names;
use crate::schema::{map_value_type, type_name};

/// A column under construction.
pub(super) struct Builder {
    pub data_type: DataType,
    nulls: NullBufferBuilder,
    pub values: Values,
}

pub(super) enum Values {
    Boolean(BooleanBufferBuilder),
    Int8(Vec<i8>),
    Int16(Vec<i16>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    UInt8(Vec<u8>),
    UInt16(Vec<u16>),
    UInt32(Vec<u32>),
    UInt64(Vec<u64>),
    Float32(Vec<f32>),
    Float64(Vec<f64>),
    Decimal { values: Vec<i128>, precision: u8, scale: i8 },
    Utf8(ByteStrings),
    Binary(ByteStrings),
    Date(Vec<i32>),
    Timestamp(Vec<i64>),
    List { offsets: Offsets, element: Box<Builder> },
    Map { offsets: Offsets, keys: ByteStrings, value: Box<Builder> },
    Struct(StructBuilder),
}

/// The fields of an object. Every field has as many rows as the struct.
pub(super) struct StructBuilder {
    pub names: Names,
    pub children: Vec<Builder>,
    /// For each field the number of the last object that had it.
    pub seen: Vec<u64>,
    /// Counts objects; it never goes back.
    pub object: u64,
}

/// Ends of the rows in a child, starting with 0.
pub(super) struct Offsets(Vec<i32>);

pub(super) struct ByteStrings {
    offsets: Offsets,
    data: Vec<u8>,
}

impl Builder {
    /// `None` for a type outside of the grammar of `crate::schema`.
    pub(super) fn new(data_type: &DataType) -> Option<Self> {
        let values = match data_type {
            DataType::Boolean => Values::Boolean(BooleanBufferBuilder::new(0)),
            DataType::Int8 => Values::Int8(Vec::new()),
            DataType::Int16 => Values::Int16(Vec::new()),
            DataType::Int32 => Values::Int32(Vec::new()),
            DataType::Int64 => Values::Int64(Vec::new()),
            DataType::UInt8 => Values::UInt8(Vec::new()),
            DataType::UInt16 => Values::UInt16(Vec::new()),
            DataType::UInt32 => Values::UInt32(Vec::new()),
            DataType::UInt64 => Values::UInt64(Vec::new()),
            DataType::Float32 => Values::Float32(Vec::new()),
            DataType::Float64 => Values::Float64(Vec::new()),
            DataType::Decimal128(precision, scale) => {
                Values::Decimal { values: Vec::new(), precision: *precision, scale: *scale }
            }
            DataType::Utf8 => Values::Utf8(ByteStrings::new()),
            DataType::Binary => Values::Binary(ByteStrings::new()),
            DataType::Date32 => Values::Date(Vec::new()),
            DataType::Timestamp(..) => Values::Timestamp(Vec::new()),
            DataType::List(field) => {
                let element = Box::new(Self::new(field.data_type())?);
                Values::List { offsets: Offsets::new(), element }
            }
            DataType::Map(entries, false) => {
                let value = Box::new(Self::new(map_value_type(entries)?)?);
                Values::Map { offsets: Offsets::new(), keys: ByteStrings::new(), value }
            }
            DataType::Struct(fields) => Values::Struct(StructBuilder::new(fields)?),
            _ => return None,
        };
        Some(Self { data_type: data_type.clone(), nulls: NullBufferBuilder::new(0), values })
    }

    /// Closes a row whose value has been pushed to `values`.
    pub(super) fn append_valid(&mut self) {
        self.nulls.append_non_null();
    }

    pub(super) fn append_null(&mut self) {
        match &mut self.values {
            Values::Boolean(values) => values.append(false),
            Values::Int8(values) => values.push(0),
            Values::Int16(values) => values.push(0),
            Values::Int32(values) | Values::Date(values) => values.push(0),
            Values::Int64(values) | Values::Timestamp(values) => values.push(0),
            Values::UInt8(values) => values.push(0),
            Values::UInt16(values) => values.push(0),
            Values::UInt32(values) => values.push(0),
            Values::UInt64(values) => values.push(0),
            Values::Float32(values) => values.push(0.0),
            Values::Float64(values) => values.push(0.0),
            Values::Decimal { values, .. } => values.push(0),
            Values::Utf8(values) | Values::Binary(values) => values.push_empty(),
            Values::List { offsets, .. } | Values::Map { offsets, .. } => offsets.repeat_last(),
            Values::Struct(fields) => fields.children.iter_mut().for_each(Self::append_null),
        }
        self.nulls.append_null();
    }

    /// Forgets all rows from `rows` on, finished ones and a started one.
    pub(super) fn truncate(&mut self, rows: usize) {
        match &mut self.values {
            Values::Boolean(values) => values.truncate(rows),
            Values::Int8(values) => values.truncate(rows),
            Values::Int16(values) => values.truncate(rows),
            Values::Int32(values) | Values::Date(values) => values.truncate(rows),
            Values::Int64(values) | Values::Timestamp(values) => values.truncate(rows),
            Values::UInt8(values) => values.truncate(rows),
            Values::UInt16(values) => values.truncate(rows),
            Values::UInt32(values) => values.truncate(rows),
            Values::UInt64(values) => values.truncate(rows),
            Values::Float32(values) => values.truncate(rows),
            Values::Float64(values) => values.truncate(rows),
            Values::Decimal { values, .. } => values.truncate(rows),
            Values::Utf8(values) | Values::Binary(values) => values.truncate(rows),
            Values::List { offsets, element } => element.truncate(offsets.truncate(rows)),
            Values::Map { offsets, keys, value } => {
                let entries = offsets.truncate(rows);
                keys.truncate(entries);
                value.truncate(entries);
            }
            Values::Struct(fields) => fields.truncate(rows),
        }
        self.nulls.truncate(rows);
    }

    /// The rows so far as an array; the builder starts anew, with room for as many.
    pub(super) fn finish(&mut self) -> ArrayRef {
        let nulls = self.nulls.finish();
        match &mut self.values {
            Values::Boolean(values) => {
                let room = BooleanBufferBuilder::new(values.len());
                Arc::new(BooleanArray::new(std::mem::replace(values, room).build(), nulls))
            }
            Values::Int8(values) => primitive::<Int8Type>(values, nulls),
            Values::Int16(values) => primitive::<Int16Type>(values, nulls),
            Values::Int32(values) => primitive::<Int32Type>(values, nulls),
            Values::Int64(values) => primitive::<Int64Type>(values, nulls),
            Values::UInt8(values) => primitive::<UInt8Type>(values, nulls),
            Values::UInt16(values) => primitive::<UInt16Type>(values, nulls),
            Values::UInt32(values) => primitive::<UInt32Type>(values, nulls),
            Values::UInt64(values) => primitive::<UInt64Type>(values, nulls),
            Values::Float32(values) => primitive::<Float32Type>(values, nulls),
            Values::Float64(values) => primitive::<Float64Type>(values, nulls),
            Values::Date(values) => primitive::<Date32Type>(values, nulls),
            Values::Timestamp(values) => {
                let array = PrimitiveArray::<TimestampMicrosecondType>::new(take(values).into(), nulls);
                Arc::new(array.with_timezone("UTC"))
            }
            Values::Decimal { values, .. } => {
                let array = Decimal128Array::new(take(values).into(), nulls);
                Arc::new(array.with_data_type(self.data_type.clone()))
            }
            Values::Utf8(strings) => Arc::new(strings.finish_utf8(nulls)),
            Values::Binary(strings) => {
                let (offsets, data) = strings.take();
                Arc::new(BinaryArray::new(offsets, data.into(), nulls))
            }
            Values::List { offsets, element } => {
                let field = child_field(&self.data_type);
                Arc::new(ListArray::new(field, offsets.finish(), element.finish(), nulls))
            }
            Values::Map { offsets, keys, value } => {
                let field = child_field(&self.data_type);
                let DataType::Struct(fields) = field.data_type() else {
                    unreachable!("the entries of {} are a struct", type_name(&self.data_type));
                };
                let columns: Vec<ArrayRef> = vec![Arc::new(keys.finish_utf8(None)), value.finish()];
                let entries = StructArray::new(fields.clone(), columns, None);
                Arc::new(MapArray::new(field, offsets.finish(), entries, nulls, false))
            }
            Values::Struct(fields) => {
                let DataType::Struct(types) = &self.data_type else {
                    unreachable!("a struct has fields, {} has none", type_name(&self.data_type));
                };
                Arc::new(StructArray::new(types.clone(), fields.finish(), nulls))
            }
        }
    }
}

impl StructBuilder {
    pub(super) fn new(fields: &Fields) -> Option<Self> {
        let children: Option<Vec<Builder>> =
            fields.iter().map(|field| Builder::new(field.data_type())).collect();
        let names = Names::new(fields.iter().map(|field| field.name().as_str()));
        Some(Self { names, children: children?, seen: vec![0; fields.len()], object: 0 })
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.children.iter_mut().for_each(|child| child.truncate(rows));
    }

    pub(super) fn finish(&mut self) -> Vec<ArrayRef> {
        self.children.iter_mut().map(Builder::finish).collect()
    }
}

impl Offsets {
    fn new() -> Self {
        Self(vec![0])
    }

    fn last(&self) -> i32 {
        self.0.last().copied().unwrap_or(0)
    }

    fn repeat_last(&mut self) {
        self.0.push(self.last());
    }

    /// Ends a row after `items` more of the child's; `false` if the child would have more than 2³¹ - 1.
    #[must_use]
    pub(super) fn push(&mut self, items: usize) -> bool {
        let end = i32::try_from(items).ok().and_then(|items| self.last().checked_add(items));
        self.0.extend(end);
        end.is_some()
    }

    /// Keeps `rows` rows, and says how many items the child keeps.
    fn truncate(&mut self, rows: usize) -> usize {
        self.0.truncate(rows + 1);
        self.last() as usize
    }

    fn finish(&mut self) -> OffsetBuffer<i32> {
        let mut room = Vec::with_capacity(self.0.len());
        room.push(0);
        OffsetBuffer::new(std::mem::replace(&mut self.0, room).into())
    }
}

impl ByteStrings {
    pub(super) fn new() -> Self {
        Self { offsets: Offsets::new(), data: Vec::new() }
    }

    /// `false`, and nothing pushed, if the column would have 2 GiB of bytes.
    #[must_use]
    pub(super) fn push(&mut self, bytes: &[u8]) -> bool {
        let fits = self.offsets.push(bytes.len());
        if fits {
            self.data.extend_from_slice(bytes);
        }
        fits
    }

    fn push_empty(&mut self) {
        self.offsets.repeat_last();
    }

    fn truncate(&mut self, rows: usize) {
        let bytes = self.offsets.truncate(rows);
        self.data.truncate(bytes);
    }

    fn take(&mut self) -> (OffsetBuffer<i32>, Vec<u8>) {
        (self.offsets.finish(), take(&mut self.data))
    }

    fn finish_utf8(&mut self, nulls: Option<NullBuffer>) -> StringArray {
        let (offsets, data) = self.take();
        StringArray::new(offsets, data.into(), nulls)
    }
}

fn take<T>(values: &mut Vec<T>) -> Vec<T> {
    let room = Vec::with_capacity(values.len());
    std::mem::replace(values, room)
}

fn primitive<T: ArrowPrimitiveType>(values: &mut Vec<T::Native>, nulls: Option<NullBuffer>) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::new(take(values).into(), nulls))
}

fn child_field(data_type: &DataType) -> FieldRef {
    match data_type {
        DataType::List(field) | DataType::Map(field, _) => Arc::clone(field),
        other => Arc::new(Field::new("element", other.clone(), true)),
    }
}
