//! Event time: the watermark of each row, and which rows are late.
//!
//! A row's watermark is the largest event time **before** it in its task, minus the allowed delay. It is a
//! function of the rows before it alone, so how the stream was cut into batches does not matter.

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, TimestampMicrosecondType};

use crate::schema::{timestamp_type, type_name};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventTimeError {
    #[error("the event-time column `{path}` is not in the schema")]
    Missing { path: String },
    #[error("the event-time column `{path}` is {found}: it must be a timestamp")]
    Type { path: String, found: String },
}

/// How watermarks follow event time. All in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventTimeSettings {
    /// How far rows may lag behind the largest event time before they are late.
    pub delay: i64,
    /// An event time that is further than this ahead of the broker's timestamp of its record does not move
    /// the watermark: one bad clock must not make every other row late. Records without a broker timestamp are trusted.
    pub max_ahead: Option<i64>,
}

/// What event time says of the rows of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Watermarks {
    /// Each row's own `_watermark`; null as long as no event time has come before it.
    pub watermark: TimestampMicrosecondArray,
    /// Event time before the row's own watermark. A row without event time is not late.
    pub late: BooleanArray,
    /// The largest event time after the batch: pass it to the next one.
    pub max_event_time: Option<i64>,
}

/// The event-time column of a batch: `path` names fields from the top, `["reading", "ts"]` for `reading.ts`.
/// A null struct has null fields.
pub fn event_time_column(
    batch: &RecordBatch,
    path: &[String],
) -> Result<TimestampMicrosecondArray, EventTimeError> {
    let missing = || EventTimeError::Missing { path: path.join(".") };
    let (first, rest) = path.split_first().ok_or_else(missing)?;
    let mut column = batch.column_by_name(first).ok_or_else(missing)?.clone();
    let mut nulls = column.nulls().cloned();
    for name in rest {
        let fields = column.as_struct_opt().ok_or_else(missing)?;
        column = fields.column_by_name(name).ok_or_else(missing)?.clone();
        nulls = arrow::buffer::NullBuffer::union(nulls.as_ref(), column.nulls());
    }
    if *column.data_type() != timestamp_type() {
        let found = type_name(column.data_type());
        return Err(EventTimeError::Type { path: path.join("."), found });
    }
    let times = column.as_primitive::<TimestampMicrosecondType>();
    Ok(TimestampMicrosecondArray::new(times.values().clone(), nulls).with_timezone("UTC"))
}

/// Checks, before there are rows, that [`event_time_column`] will find its column.
pub fn check_event_time(schema: &arrow::datatypes::Schema, path: &[String]) -> Result<(), EventTimeError> {
    let missing = || EventTimeError::Missing { path: path.join(".") };
    let mut fields = schema.fields();
    let (last, parents) = path.split_last().ok_or_else(missing)?;
    for name in parents {
        let (_, field) = fields.find(name).ok_or_else(missing)?;
        let DataType::Struct(inner) = field.data_type() else { return Err(missing()) };
        fields = inner;
    }
    let (_, field) = fields.find(last).ok_or_else(missing)?;
    if *field.data_type() != timestamp_type() {
        let found = type_name(field.data_type());
        return Err(EventTimeError::Type { path: path.join("."), found });
    }
    Ok(())
}

/// The watermarks of rows in offset order. `broker` is `_timestamp` of the same rows, and `max_event_time` what
/// the rows before gave.
pub fn watermarks(
    event_time: &TimestampMicrosecondArray,
    broker: &TimestampMicrosecondArray,
    mut max_event_time: Option<i64>,
    settings: EventTimeSettings,
) -> Watermarks {
    let mut watermark = TimestampMicrosecondArray::builder(event_time.len());
    let mut late = Vec::with_capacity(event_time.len());
    for (row, time) in event_time.iter().enumerate() {
        let own = max_event_time.map(|max| max.saturating_sub(settings.delay));
        watermark.append_option(own);
        late.push(matches!((time, own), (Some(time), Some(own)) if time < own));
        let received = (row < broker.len() && broker.is_valid(row)).then(|| broker.value(row));
        let limit = received.zip(settings.max_ahead).map(|(at, ahead)| at.saturating_add(ahead));
        let trusted = time.filter(|time| limit.is_none_or(|limit| *time <= limit));
        max_event_time = max_event_time.max(trusted);
    }
    Watermarks {
        watermark: watermark.finish().with_timezone("UTC"),
        late: BooleanArray::from(late),
        max_event_time,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StructArray};
    use arrow::buffer::NullBuffer;
    use arrow::datatypes::Field;
    use proptest::prelude::*;

    use super::*;

    const SETTINGS: EventTimeSettings = EventTimeSettings { delay: 10, max_ahead: Some(100) };

    fn times(values: &[Option<i64>]) -> TimestampMicrosecondArray {
        TimestampMicrosecondArray::from(values.to_vec()).with_timezone("UTC")
    }

    fn late_rows(found: &Watermarks) -> Vec<usize> {
        found.late.iter().enumerate().filter(|(_, late)| *late == Some(true)).map(|(row, _)| row).collect()
    }

    #[test]
    fn a_row_is_late_behind_the_rows_before_it() {
        let event_time = times(&[Some(50), Some(39), Some(40), None, Some(70), Some(59), Some(60)]);
        let found = watermarks(&event_time, &times(&[None; 7]), None, SETTINGS);
        let expected = [None, Some(40), Some(40), Some(40), Some(40), Some(60), Some(60)];
        assert_eq!(found.watermark, times(&expected));
        assert_eq!(late_rows(&found), [1, 5]);
        assert_eq!(found.max_event_time, Some(70));
    }

    #[test]
    fn a_clock_far_ahead_does_not_move_the_watermark() {
        let event_time = times(&[Some(1000), Some(1), Some(101), Some(90)]);
        let broker = times(&[Some(0), Some(1), Some(1), Some(1)]);
        let found = watermarks(&event_time, &broker, None, SETTINGS);
        assert_eq!(found.watermark, times(&[None, None, Some(-9), Some(91)]));
        assert_eq!(late_rows(&found), [3]);
        assert_eq!(found.max_event_time, Some(101));
        let trusting = EventTimeSettings { max_ahead: None, ..SETTINGS };
        assert_eq!(watermarks(&event_time, &broker, None, trusting).max_event_time, Some(1000));
    }

    #[test]
    fn nested_columns_are_found_and_others_refused() {
        let inner: ArrayRef = Arc::new(times(&[Some(1), Some(2), None]));
        let reading = StructArray::new(
            vec![Field::new("ts", timestamp_type(), true)].into(),
            vec![inner],
            Some(NullBuffer::from(vec![true, false, true])),
        );
        let number: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
        let batch =
            RecordBatch::try_from_iter([("reading", Arc::new(reading) as ArrayRef), ("n", number)]).unwrap();
        let path = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(event_time_column(&batch, &path("reading.ts")), Ok(times(&[Some(1), None, None])));
        assert_eq!(check_event_time(&batch.schema(), &path("reading.ts")), Ok(()));
        for wrong in ["n", "reading", "reading.x", "x", "n.ts"] {
            let error = event_time_column(&batch, &path(wrong)).unwrap_err();
            assert_eq!(check_event_time(&batch.schema(), &path(wrong)), Err(error), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(
            rows in proptest::collection::vec((proptest::option::of(-50..200i64), proptest::option::of(-50..50i64)), 0..40),
            cut in 1..10usize,
        ) {
            let (event_time, broker): (Vec<_>, Vec<_>) = rows.iter().copied().unzip();
            let (event_time, broker) = (times(&event_time), times(&broker));
            let whole = watermarks(&event_time, &broker, None, SETTINGS);
            let mut max = None;
            for start in (0..rows.len()).step_by(cut) {
                let length = cut.min(rows.len() - start);
                let part = watermarks(&event_time.slice(start, length), &broker.slice(start, length), max, SETTINGS);
                prop_assert_eq!(part.watermark, whole.watermark.slice(start, length));
                prop_assert_eq!(part.late, whole.late.slice(start, length));
                max = part.max_event_time;
            }
            prop_assert_eq!(max, whole.max_event_time);
        }
    }
}
