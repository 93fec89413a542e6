//! Lowering and lifting are each other's inverse, for whatever arrays: every type, nested, sliced, with nulls.

use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::{BooleanBuffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::*;
use proptest::prelude::*;

use super::bindings::types::{self, ByteStringsResult, ColumnResult, ValuesParam, ValuesResult};
use super::lift::lift_batch;
use super::lower::{LoweredColumn, lower};
use super::schema::{from_contract, to_contract};

#[path = "../../tests/fuzzing/dice.rs"]
mod dice;
pub(super) use self::dice::Dice;

impl Dice {
    pub fn field(&mut self, name: &str, depth: usize) -> Field {
        let nullable = self.below(3) > 0;
        let data_type = match self.below(if depth == 0 { 22 } else { 25 }) {
            0 => DataType::Boolean,
            1 => DataType::Int8,
            2 => DataType::Int16,
            3 => DataType::Int32,
            4 => DataType::Int64,
            5 => DataType::UInt8,
            6 => DataType::UInt16,
            7 => DataType::UInt32,
            8 => DataType::UInt64,
            9 => DataType::Float32,
            10 => DataType::Float64,
            11 => DataType::Decimal128(38, 5),
            12 => DataType::FixedSizeBinary(3),
            13 => DataType::Date32,
            14 => DataType::Timestamp(TimeUnit::Second, None),
            15 => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
            16 => DataType::Timestamp(TimeUnit::Microsecond, Some("+02:00".into())),
            17 => DataType::Timestamp(TimeUnit::Nanosecond, None),
            18 | 19 => DataType::Binary,
            20 | 21 => DataType::Utf8,
            22 => DataType::List(Arc::new(self.field("item", depth - 1))),
            23 => DataType::Struct(["a", "b"].map(|name| self.field(name, depth - 1)).to_vec().into()),
            _ => {
                let key = Field::new("key", DataType::Utf8, false);
                let entry = vec![key, self.field("value", depth - 1)];
                DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entry.into()), false)), false)
            }
        };
        Field::new(name, data_type, nullable)
    }

    fn bits(&mut self, length: usize) -> BooleanBuffer {
        let skipped = self.below(20);
        let bits: BooleanBuffer = (0..length + skipped).map(|_| self.below(4) > 0).collect();
        bits.slice(skipped, length)
    }

    /// Offsets that need not start at 0, and how far they reach.
    fn offsets(&mut self, length: usize) -> (OffsetBuffer<i32>, usize) {
        let mut last = self.below(3) as i32;
        let mut offsets = vec![last];
        for _ in 0..length {
            last += self.below(4) as i32;
            offsets.push(last);
        }
        (OffsetBuffer::new(offsets.into()), last as usize)
    }

    /// An array of that field, sliced out of a longer one.
    pub fn array(&mut self, field: &Field, length: usize) -> ArrayRef {
        let (before, after) = (self.below(12), self.below(3));
        let whole = before + length + after;
        let nulls = (field.is_nullable() && self.below(2) > 0).then(|| NullBuffer::new(self.bits(whole)));
        self.whole_array(field.data_type(), whole, nulls).slice(before, length)
    }

    fn primitive<T: ArrowPrimitiveType>(
        &mut self,
        length: usize,
        nulls: Option<NullBuffer>,
        value: impl Fn(u64) -> T::Native,
    ) -> PrimitiveArray<T> {
        let values: ScalarBuffer<T::Native> = (0..length).map(|_| value(self.next())).collect();
        PrimitiveArray::new(values, nulls)
    }

    fn whole_array(&mut self, data_type: &DataType, length: usize, nulls: Option<NullBuffer>) -> ArrayRef {
        match data_type {
            DataType::Boolean => Arc::new(BooleanArray::new(self.bits(length), nulls)),
            DataType::Int8 => Arc::new(self.primitive::<Int8Type>(length, nulls, |bits| bits as i8)),
            DataType::Int16 => Arc::new(self.primitive::<Int16Type>(length, nulls, |bits| bits as i16)),
            DataType::Int32 => Arc::new(self.primitive::<Int32Type>(length, nulls, |bits| bits as i32)),
            DataType::Int64 => Arc::new(self.primitive::<Int64Type>(length, nulls, |bits| bits as i64)),
            DataType::UInt8 => Arc::new(self.primitive::<UInt8Type>(length, nulls, |bits| bits as u8)),
            DataType::UInt16 => Arc::new(self.primitive::<UInt16Type>(length, nulls, |bits| bits as u16)),
            DataType::UInt32 => Arc::new(self.primitive::<UInt32Type>(length, nulls, |bits| bits as u32)),
            DataType::UInt64 => Arc::new(self.primitive::<UInt64Type>(length, nulls, |bits| bits)),
            DataType::Float32 => Arc::new(self.primitive::<Float32Type>(length, nulls, |bits| bits as f32)),
            DataType::Float64 => Arc::new(self.primitive::<Float64Type>(length, nulls, |bits| bits as f64)),
            DataType::Date32 => Arc::new(self.primitive::<Date32Type>(length, nulls, |bits| bits as i32)),
            DataType::Decimal128(precision, scale) => {
                let array = self.primitive::<Decimal128Type>(length, nulls, |bits| -(bits as i128) << 40);
                Arc::new(array.with_precision_and_scale(*precision, *scale).unwrap())
            }
            DataType::Timestamp(unit, zone) => {
                let zone = zone.clone();
                macro_rules! timestamps {
                    ($type:ty) => {
                        Arc::new(
                            self.primitive::<$type>(length, nulls, |bits| bits as i64)
                                .with_timezone_opt(zone),
                        )
                    };
                }
                match unit {
                    TimeUnit::Second => timestamps!(TimestampSecondType),
                    TimeUnit::Millisecond => timestamps!(TimestampMillisecondType),
                    TimeUnit::Microsecond => timestamps!(TimestampMicrosecondType),
                    TimeUnit::Nanosecond => timestamps!(TimestampNanosecondType),
                }
            }
            DataType::FixedSizeBinary(size) => {
                let bytes: Vec<u8> = (0..length * *size as usize).map(|_| self.next() as u8).collect();
                Arc::new(FixedSizeBinaryArray::try_new_with_len(*size, bytes.into(), nulls, length).unwrap())
            }
            DataType::Binary => {
                let (offsets, last) = self.offsets(length);
                let data: Vec<u8> = (0..last + 2).map(|_| self.next() as u8).collect();
                Arc::new(BinaryArray::new(offsets, data.into(), nulls))
            }
            DataType::Utf8 => {
                let texts = ["", "a", "plain text", "é", "日本", "🦀 crab"];
                let array: StringArray = (0..length).map(|_| Some(texts[self.below(texts.len())])).collect();
                let (offsets, data, _) = array.into_parts();
                Arc::new(StringArray::new(offsets, data, nulls))
            }
            DataType::List(item) => {
                let (offsets, last) = self.offsets(length);
                let spare = self.below(3);
                Arc::new(ListArray::new(item.clone(), offsets, self.array(item, last + spare), nulls))
            }
            DataType::Struct(fields) => {
                let children = fields.iter().map(|field| self.array(field, length)).collect();
                Arc::new(StructArray::new(fields.clone(), children, nulls))
            }
            DataType::Map(entries, sorted) => {
                let (offsets, last) = self.offsets(length);
                let children = self.whole_array(entries.data_type(), last, None).as_struct().clone();
                Arc::new(MapArray::new(entries.clone(), offsets, children, nulls, *sorted))
            }
            other => panic!("{other} is not drawn"),
        }
    }
}

/// What a plugin would hand back that hands back what it got.
pub(super) fn handed_back(column: &LoweredColumn) -> ColumnResult {
    use ValuesParam as To;
    use ValuesResult as Back;
    let column = column.param();
    let values = match column.values {
        To::None => Back::None,
        To::Bits(bits) => Back::Bits(bits.to_vec()),
        To::Int8(values) => Back::Int8(values.to_vec()),
        To::Int16(values) => Back::Int16(values.to_vec()),
        To::Int32(values) => Back::Int32(values.to_vec()),
        To::Int64(values) => Back::Int64(values.to_vec()),
        To::Uint8(values) => Back::Uint8(values.to_vec()),
        To::Uint16(values) => Back::Uint16(values.to_vec()),
        To::Uint32(values) => Back::Uint32(values.to_vec()),
        To::Uint64(values) => Back::Uint64(values.to_vec()),
        To::Float32(values) => Back::Float32(values.to_vec()),
        To::Float64(values) => Back::Float64(values.to_vec()),
        To::Fixed(data) => Back::Fixed(data.to_vec()),
        To::Bytes(strings) => {
            Back::Bytes(ByteStringsResult { offsets: strings.offsets.to_vec(), data: strings.data.to_vec() })
        }
        To::Offsets(offsets) => Back::Offsets(offsets.to_vec()),
    };
    ColumnResult { length: column.length, validity: column.validity.map(<[u8]>::to_vec), values }
}

pub(super) fn handed_back_field(field: &types::FieldParam<'_>) -> types::FieldResult {
    use types::{KindParam as To, KindResult as Back};
    let kind = match field.kind {
        To::Boolean => Back::Boolean,
        To::Int8 => Back::Int8,
        To::Int16 => Back::Int16,
        To::Int32 => Back::Int32,
        To::Int64 => Back::Int64,
        To::Uint8 => Back::Uint8,
        To::Uint16 => Back::Uint16,
        To::Uint32 => Back::Uint32,
        To::Uint64 => Back::Uint64,
        To::Float32 => Back::Float32,
        To::Float64 => Back::Float64,
        To::Decimal128(decimal) => Back::Decimal128(decimal),
        To::Utf8 => Back::Utf8,
        To::Binary => Back::Binary,
        To::FixedSizeBinary(size) => Back::FixedSizeBinary(size),
        To::Date32 => Back::Date32,
        To::Timestamp(types::TimestampTypeParam { unit, zone }) => {
            Back::Timestamp(types::TimestampTypeResult { unit, zone: zone.map(str::to_owned) })
        }
        To::ListOf => Back::ListOf,
        To::StructOf => Back::StructOf,
        To::MapOf => Back::MapOf,
    };
    types::FieldResult {
        name: field.name.to_owned(),
        kind,
        nullable: field.nullable,
        children: field.children,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_is_lowered_is_lifted(seed: u64, rows in 0usize..40, columns in 1usize..6) {
        let mut dice = Dice::new(seed);
        let fields: Vec<Field> = (0..columns).map(|index| dice.field(&format!("c{index}"), 3)).collect();
        let schema: SchemaRef = Schema::new(fields).into();
        let arrays: Vec<ArrayRef> = schema.fields().iter().map(|field| dice.array(field, rows)).collect();
        let batch = RecordBatch::try_new(schema.clone(), arrays).unwrap();

        let fields = to_contract(schema.fields());
        let stated = from_contract(fields.iter().map(handed_back_field).collect()).unwrap();
        prop_assert_eq!(&Schema::new(stated), schema.as_ref());

        let lowered = lower(batch.columns());
        for column in &lowered {
            if let ValuesParam::Bits(bits) = column.param().values {
                let last_is_clean = column.param().length.is_multiple_of(8)
                    || bits.last().is_none_or(|last| last >> (column.param().length % 8) == 0);
                prop_assert!(last_is_clean, "a plugin sees bits of other rows");
            }
        }
        let back = types::BatchResult { rows: rows as u32, columns: lowered.iter().map(handed_back).collect() };
        let lifted = lift_batch(&schema, back, rows).unwrap();
        for column in lifted.columns() {
            column.to_data().validate_full().unwrap();
        }
        prop_assert_eq!(lifted, batch);
    }
}
