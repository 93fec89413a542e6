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
    if incoming.winners.is_empty() {
        return Ok(Vec::new());
    }
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

#[cfg(test)]
mod tests {
    use arrow::array::{Decimal128Array, TimestampMicrosecondArray};

    use super::*;

    /// Whether a file with these statistics is looked through for `key`.
    fn is_looked_through(key: ArrayRef, min: &str, max: &str) -> bool {
        let data_type = key.data_type().clone();
        let bounds = Bounds { min: min.into(), max: max.into() };
        let ranges = [Some(bounds).filter(|bounds| is_exact(bounds, &data_type))];
        let (lowest, highest) = (
            ends(&ranges, &data_type, false).expect("lower ends"),
            ends(&ranges, &data_type, true).expect("upper ends"),
        );
        let keys = RowConverter::new(vec![SortField::new(data_type)]).expect("a converter");
        let keys = keys.convert_columns(&[key]).expect("keys");
        may_hold(&[keys.row(0).data()], bytes(&lowest, 0), bytes(&highest, 0))
    }

    /// Other writers cut a maximum to the millisecond, say decimals as doubles, and cut strings.
    #[test]
    fn statistics_of_other_writers_exclude_no_file_that_holds_the_key() {
        let micros =
            |at| Arc::new(TimestampMicrosecondArray::from(vec![at]).with_timezone("UTC")) as ArrayRef;
        let (min, max) = ("2023-11-14T22:13:20.000Z", "2023-11-14T22:13:20.123Z");
        assert!(is_looked_through(micros(1_700_000_000_123_999), min, max));
        assert!(!is_looked_through(micros(1_700_000_000_125_000), min, max));
        assert!(!is_looked_through(micros(1_699_999_999_999_999), min, max));

        let decimal = |unscaled| {
            let values = Decimal128Array::from(vec![unscaled]);
            Arc::new(values.with_precision_and_scale(38, 2).expect("a decimal")) as ArrayRef
        };
        // The double next to it is 123456789012345680.
        for max in ["1.2345678901234568e17", "123456789012345680.00"] {
            assert!(is_looked_through(decimal(12_345_678_901_234_568_799), "0.1", max));
        }
        assert!(is_looked_through(decimal(1005), "-3", "10.05"));
        assert!(!is_looked_through(decimal(1006), "-3", "10.05"));

        let text = |text: &str| Arc::new(StringArray::from(vec![text])) as ArrayRef;
        assert!(is_looked_through(text("zebra"), "a", "ze\u{10ffff}"));
        assert!(!is_looked_through(text("zulu"), "a", "ze\u{10ffff}"));
        assert!(is_looked_through(Arc::new(arrow::array::BinaryArray::from(vec![&b"z"[..]])), "a", "b"));
    }

    /// A key of several columns begins with the first one's bytes: the end of a range is not beyond them.
    #[test]
    fn the_first_of_many_columns_is_compared_alone() {
        assert!(may_hold(&[b"b1"], Some(b"a"), Some(b"b")));
        assert!(!may_hold(&[b"c1"], Some(b"a"), Some(b"b")));
        assert!(may_hold(&[b"b1"], None, Some(b"a")));
        assert!(!may_hold(&[b"a9", b"c1"], Some(b"b"), Some(b"b")));
    }
}
