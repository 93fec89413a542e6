//! Fields of the contract, flat in pre-order, as Arrow's, and back.

use arrow_schema::{DataType, Field, FieldRef, Fields, TimeUnit};

use crate::schema::{children, span};
use crate::{DecimalType, Error, Kind, TimestampType};

/// The top-level columns.
pub fn to_arrow(fields: &[crate::Field]) -> Result<Fields, Error> {
    children(fields, 0, fields.len()).map(|at| arrow_field(&fields[at..at + span(fields, at)])).collect()
}

fn arrow_field(fields: &[crate::Field]) -> Result<FieldRef, Error> {
    let (field, nested) =
        fields.split_first().ok_or_else(|| Error::Schema("a field lacks a child".into()))?;
    let only_child = || arrow_field(nested);
    let data_type = match &field.kind {
        Kind::Boolean => DataType::Boolean,
        Kind::Int8 => DataType::Int8,
        Kind::Int16 => DataType::Int16,
        Kind::Int32 => DataType::Int32,
        Kind::Int64 => DataType::Int64,
        Kind::Uint8 => DataType::UInt8,
        Kind::Uint16 => DataType::UInt16,
        Kind::Uint32 => DataType::UInt32,
        Kind::Uint64 => DataType::UInt64,
        Kind::Float32 => DataType::Float32,
        Kind::Float64 => DataType::Float64,
        Kind::Decimal128(DecimalType { precision, scale }) => DataType::Decimal128(*precision, *scale),
        Kind::Utf8 => DataType::Utf8,
        Kind::Binary => DataType::Binary,
        Kind::FixedSizeBinary(size) => DataType::FixedSizeBinary(*size as i32),
        Kind::Date32 => DataType::Date32,
        Kind::Timestamp(TimestampType { unit, zone }) => {
            let unit = match unit {
                crate::TimeUnit::Seconds => TimeUnit::Second,
                crate::TimeUnit::Milliseconds => TimeUnit::Millisecond,
                crate::TimeUnit::Microseconds => TimeUnit::Microsecond,
                crate::TimeUnit::Nanoseconds => TimeUnit::Nanosecond,
            };
            DataType::Timestamp(unit, zone.as_deref().map(Into::into))
        }
        Kind::ListOf => DataType::List(only_child()?),
        Kind::StructOf => DataType::Struct(to_arrow(nested)?),
        Kind::MapOf => DataType::Map(only_child()?, false),
    };
    Ok(Field::new(&field.name, data_type, field.nullable).into())
}

/// In pre-order. [`Error::Config`] for types that the contract does not have.
pub fn from_arrow(fields: &Fields) -> Result<Vec<crate::Field>, Error> {
    let mut flat = Vec::with_capacity(fields.len());
    fields.iter().try_for_each(|field| flatten(field, &mut flat))?;
    Ok(flat)
}

fn flatten(field: &Field, flat: &mut Vec<crate::Field>) -> Result<(), Error> {
    let nested: &[FieldRef] = match field.data_type() {
        DataType::Struct(fields) => fields,
        DataType::List(item) | DataType::Map(item, _) => std::slice::from_ref(item),
        _ => &[],
    };
    let kind = match field.data_type() {
        DataType::Boolean => Kind::Boolean,
        DataType::Int8 => Kind::Int8,
        DataType::Int16 => Kind::Int16,
        DataType::Int32 => Kind::Int32,
        DataType::Int64 => Kind::Int64,
        DataType::UInt8 => Kind::Uint8,
        DataType::UInt16 => Kind::Uint16,
        DataType::UInt32 => Kind::Uint32,
        DataType::UInt64 => Kind::Uint64,
        DataType::Float32 => Kind::Float32,
        DataType::Float64 => Kind::Float64,
        DataType::Decimal128(precision, scale) => {
            Kind::Decimal128(DecimalType { precision: *precision, scale: *scale })
        }
        DataType::Utf8 => Kind::Utf8,
        DataType::Binary => Kind::Binary,
        DataType::FixedSizeBinary(size) if *size > 0 => Kind::FixedSizeBinary(*size as u32),
        DataType::Date32 => Kind::Date32,
        DataType::Timestamp(unit, zone) => {
            let unit = match unit {
                TimeUnit::Second => crate::TimeUnit::Seconds,
                TimeUnit::Millisecond => crate::TimeUnit::Milliseconds,
                TimeUnit::Microsecond => crate::TimeUnit::Microseconds,
                TimeUnit::Nanosecond => crate::TimeUnit::Nanoseconds,
            };
            Kind::Timestamp(TimestampType { unit, zone: zone.as_deref().map(str::to_owned) })
        }
        DataType::List(_) => Kind::ListOf,
        DataType::Struct(fields) if !fields.is_empty() => Kind::StructOf,
        DataType::Map(_, _) => Kind::MapOf,
        _ => {
            let name = field.name();
            return Err(Error::Config(format!("the plugin's plan has a type for `{name}` that hosts lack")));
        }
    };
    let children = nested.len() as u32;
    flat.push(crate::Field { name: field.name().clone(), kind, nullable: field.is_nullable(), children });
    nested.iter().try_for_each(|child| flatten(child, flat))
}
