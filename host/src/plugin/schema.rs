//! Arrow schemas in the words of the contract, and back: flat, in pre-order.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, TimeUnit};

use super::bindings::types;

/// Columns a host makes for every row. Plugins read them by name, and cannot replace or drop them.
pub const HOST_COLUMNS: [&str; 6] = ["_topic", "_partition", "_offset", "_timestamp", "_key", "_watermark"];

const MAX_FIELDS: usize = 4096;
const MAX_DEPTH: usize = 16;
const MAX_NAME: usize = 256;
const MAX_FIXED_SIZE: u32 = 1 << 16;

/// The fields that the contract can express; the others stay hidden from plugins.
pub(super) fn to_contract(fields: &Fields) -> Vec<types::FieldParam<'_>> {
    let mut flat = Vec::with_capacity(fields.len());
    for field in fields.iter().filter(|field| is_supported(field.data_type())) {
        flatten(field, &mut flat);
    }
    flat
}

pub(super) fn is_supported(data_type: &DataType) -> bool {
    match data_type {
        // An empty struct has no buffer that bounds its length.
        DataType::Struct(fields) => !fields.is_empty() && fields.iter().all(|f| is_supported(f.data_type())),
        DataType::List(item) | DataType::Map(item, _) => is_supported(item.data_type()),
        DataType::FixedSizeBinary(size) => *size > 0,
        other => kind(other).is_some(),
    }
}

fn flatten<'a>(field: &'a Field, flat: &mut Vec<types::FieldParam<'a>>) {
    let children: &[FieldRef] = match field.data_type() {
        DataType::Struct(fields) => fields,
        DataType::List(item) | DataType::Map(item, _) => std::slice::from_ref(item),
        _ => &[],
    };
    let Some(kind) = kind(field.data_type()) else { return };
    let count = u32::try_from(children.len()).unwrap_or(u32::MAX);
    flat.push(types::FieldParam { name: field.name(), kind, nullable: field.is_nullable(), children: count });
    for child in children {
        flatten(child, flat);
    }
}

fn kind(data_type: &DataType) -> Option<types::KindParam<'_>> {
    use types::KindParam as Kind;
    Some(match data_type {
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
            Kind::Decimal128(types::DecimalType { precision: *precision, scale: *scale })
        }
        DataType::Utf8 => Kind::Utf8,
        DataType::Binary => Kind::Binary,
        DataType::FixedSizeBinary(size) => Kind::FixedSizeBinary(u32::try_from(*size).ok()?),
        DataType::Date32 => Kind::Date32,
        DataType::Timestamp(unit, zone) => {
            let unit = match unit {
                TimeUnit::Second => types::TimeUnit::Seconds,
                TimeUnit::Millisecond => types::TimeUnit::Milliseconds,
                TimeUnit::Microsecond => types::TimeUnit::Microseconds,
                TimeUnit::Nanosecond => types::TimeUnit::Nanoseconds,
            };
            Kind::Timestamp(types::TimestampTypeParam { unit, zone: zone.as_deref() })
        }
        DataType::List(_) => Kind::ListOf,
        DataType::Struct(_) => Kind::StructOf,
        DataType::Map(_, _) => Kind::MapOf,
        _ => return None,
    })
}

/// The fields that a plugin states, checked: every one of the result is supported, and its names are
/// unique among their siblings.
pub(super) fn from_contract(flat: Vec<types::FieldResult>) -> Result<Vec<FieldRef>, String> {
    if flat.len() > MAX_FIELDS {
        return Err(format!("it states {} fields, the limit is {MAX_FIELDS}", flat.len()));
    }
    let mut flat = flat.into_iter();
    let mut fields = Vec::new();
    while flat.len() > 0 {
        fields.push(read_field(&mut flat, 1)?);
    }
    check_unique(&fields)?;
    Ok(fields)
}

fn check_unique(fields: &[FieldRef]) -> Result<(), String> {
    let mut seen = HashSet::with_capacity(fields.len());
    match fields.iter().find(|field| !seen.insert(field.name())) {
        Some(field) => Err(format!("it states the field `{}` twice", field.name())),
        None => Ok(()),
    }
}

fn read_field(flat: &mut std::vec::IntoIter<types::FieldResult>, depth: usize) -> Result<FieldRef, String> {
    let Some(field) = flat.next() else {
        return Err("a nested field has fewer children than it says".to_owned());
    };
    let name = field.name;
    if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(format!(
            "a field's name is empty, longer than {MAX_NAME} bytes or holds control characters: {:?}",
            super::text::sanitised(&name, 64)
        ));
    }
    if depth > MAX_DEPTH {
        return Err(format!("the field `{name}` is nested deeper than {MAX_DEPTH} levels"));
    }
    let count = field.children as usize;
    if count > flat.len() {
        return Err(format!("the field `{name}` says it has {count} children, {} follow", flat.len()));
    }
    let mut children = Vec::with_capacity(count);
    for _ in 0..count {
        children.push(read_field(flat, depth + 1)?);
    }
    let data_type = data_type(field.kind, children).map_err(|what| format!("the field `{name}` {what}"))?;
    Ok(Arc::new(Field::new(name, data_type, field.nullable)))
}

fn data_type(kind: types::KindResult, children: Vec<FieldRef>) -> Result<DataType, String> {
    use types::KindResult as Kind;
    let nested = matches!(kind, Kind::ListOf | Kind::StructOf | Kind::MapOf);
    if !nested && !children.is_empty() {
        return Err("has children, but is not nested".to_owned());
    }
    Ok(match kind {
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
        Kind::Decimal128(types::DecimalType { precision, scale }) => {
            if !(1..=38).contains(&precision) || scale.unsigned_abs() > precision {
                return Err(format!("has no sound precision and scale: {precision}, {scale}"));
            }
            DataType::Decimal128(precision, scale)
        }
        Kind::Utf8 => DataType::Utf8,
        Kind::Binary => DataType::Binary,
        Kind::FixedSizeBinary(size) => match i32::try_from(size) {
            Ok(bytes) if (1..=MAX_FIXED_SIZE).contains(&size) => DataType::FixedSizeBinary(bytes),
            _ => return Err(format!("has a fixed size of {size}, not 1 to {MAX_FIXED_SIZE} bytes")),
        },
        Kind::Date32 => DataType::Date32,
        Kind::Timestamp(types::TimestampTypeResult { unit, zone }) => timestamp(unit, zone)?,
        Kind::ListOf => {
            let [item] = <[FieldRef; 1]>::try_from(children)
                .map_err(|children| format!("is a list of {} children, not of one", children.len()))?;
            DataType::List(item)
        }
        Kind::StructOf => {
            if children.is_empty() {
                return Err("is a struct without fields".to_owned());
            }
            check_unique(&children)?;
            DataType::Struct(children.into())
        }
        Kind::MapOf => map(children)?,
    })
}

fn timestamp(unit: types::TimeUnit, zone: Option<String>) -> Result<DataType, String> {
    let unit = match unit {
        types::TimeUnit::Seconds => TimeUnit::Second,
        types::TimeUnit::Milliseconds => TimeUnit::Millisecond,
        types::TimeUnit::Microseconds => TimeUnit::Microsecond,
        types::TimeUnit::Nanoseconds => TimeUnit::Nanosecond,
    };
    let is_zone = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'-' | b':' | b'/' | b'_');
    match zone {
        Some(zone) if zone.is_empty() || zone.len() > 64 || !zone.bytes().all(is_zone) => {
            Err("has no sound time zone".to_owned())
        }
        zone => Ok(DataType::Timestamp(unit, zone.map(Into::into))),
    }
}

fn map(children: Vec<FieldRef>) -> Result<DataType, String> {
    let entries = match <[FieldRef; 1]>::try_from(children) {
        Ok([entries]) => entries,
        Err(children) => return Err(format!("is a map of {} children, not of one", children.len())),
    };
    match entries.data_type() {
        DataType::Struct(pair) if pair.len() == 2 && !pair[0].is_nullable() && !entries.is_nullable() => {
            Ok(DataType::Map(entries, false))
        }
        _ => Err("is a map whose child is not a non-null struct of a non-null key and a value".to_owned()),
    }
}
