//! Which files of the table may hold a winner's key, by their statistics and partitions.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema, TimeUnit, TimestampMicrosecondType};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};

use super::incoming::Incoming;
use crate::sink::delta::files::{ActiveFile, ActiveFiles, Bounds};
use crate::sink::delta::row_key::RowKey;

/// Statistics say timestamps to the millisecond, and not all writers round a maximum up.
const MICROSECONDS: i64 = 1000;
/// What a double keeps of a decimal: some writers say decimals by way of one.
const EXACT_DIGITS: usize = 15;

/// The files that are worth looking through, in the order of their partitions.
pub(super) fn of<'a>(
    files: &'a ActiveFiles,
    key: &RowKey,
    table: &Schema,
    incoming: &Incoming,
) -> Result<Vec<(&'a String, &'a ActiveFile)>, ArrowError> {
    let mut candidates: Vec<_> = files.iter().collect();
    for (index, name) in key.columns.iter().enumerate() {
        let wanted = wanted(incoming, index);
        let data_type = table.field_with_name(name)?.data_type();
        let partition_column = files.partition_column(name);
        let ranges: Vec<Option<Bounds>> = candidates
            .iter()
            .map(|(_, file)| match partition_column {
                Some(column) => partition_bounds(file, column),
                None => {
                    file.bounds.get(index).cloned().flatten().filter(|bounds| is_exact(bounds, data_type))
                }
            })
            .collect();
        let (lowest, highest) = (ends(&ranges, data_type, false)?, ends(&ranges, data_type, true)?);
        let mut place = 0..;
        candidates.retain(|(_, file)| {
            let at = place.next().unwrap_or_default();
            let no_value = partition_column.is_some_and(|column| !has_value(file, column));
            !no_value && may_hold(&wanted, bytes(&lowest, at), bytes(&highest, at))
        });
    }
    candidates.sort_by(|(_, a), (_, b)| a.partition.cmp(&b.partition));
    Ok(candidates)
}

/// The winners' values of one of the key's columns, ascending. For the first column they are the keys themselves,
/// which begin with it.
fn wanted(incoming: &Incoming, column: usize) -> Vec<&[u8]> {
    let mut values: Vec<&[u8]> = match column.checked_sub(1).and_then(|column| incoming.distinct.get(column))
    {
        Some(distinct) => distinct.iter().map(AsRef::as_ref).collect(),
        None => incoming.keys().collect(),
    };
    values.sort_unstable();
    values
}

/// Whether one of the values lies between the ends; an end that is not known excludes nothing.
fn may_hold(wanted: &[&[u8]], lowest: Option<&[u8]>, highest: Option<&[u8]>) -> bool {
    let (Some(lowest), Some(highest)) = (lowest, highest) else { return true };
    let first = wanted.partition_point(|value| *value < lowest);
    wanted.get(first).is_some_and(|value| *value <= highest || value.starts_with(highest))
}

fn has_value(file: &ActiveFile, column: usize) -> bool {
    file.partition.get(column).is_some_and(Option::is_some)
}

fn partition_bounds(file: &ActiveFile, column: usize) -> Option<Bounds> {
    let value: Box<str> = file.partition.get(column)?.as_deref()?.into();
    Some(Bounds { min: value.clone(), max: value })
}

/// Whether the bounds say what they mean in text.
fn is_exact(bounds: &Bounds, data_type: &DataType) -> bool {
    let fits = |text: &str| {
        text.bytes().filter(u8::is_ascii_digit).count() <= EXACT_DIGITS
            && !text.bytes().any(|byte| byte.eq_ignore_ascii_case(&b'e'))
    };
    match data_type {
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::Boolean => false,
        DataType::Decimal128(_, _) => fits(&bounds.min) && fits(&bounds.max),
        _ => true,
    }
}

/// The lower or upper ends as keys have them; what cannot be read is null.
fn ends(
    ranges: &[Option<Bounds>],
    data_type: &DataType,
    upper: bool,
) -> Result<(ArrayRef, Rows), ArrowError> {
    let texts = ranges
        .iter()
        .map(|range| range.as_ref().map(|bounds| if upper { &*bounds.max } else { &*bounds.min }))
        .collect::<StringArray>();
    let mut values = cast(&texts, data_type)?;
    if upper && let DataType::Timestamp(TimeUnit::Microsecond, zone) = data_type {
        let times = values.as_primitive::<TimestampMicrosecondType>();
        let later = times.unary::<_, TimestampMicrosecondType>(|time| time.saturating_add(MICROSECONDS));
        values = Arc::new(later.with_timezone_opt(zone.clone()));
    }
    let rows = RowConverter::new(vec![SortField::new(data_type.clone())])?
        .convert_columns(std::slice::from_ref(&values))?;
    Ok((values, rows))
}

fn bytes((values, rows): &(ArrayRef, Rows), at: usize) -> Option<&[u8]> {
    values.is_valid(at).then(|| rows.row(at).data())
}
