//! The columns that the host makes: where each row comes from.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryBuilder, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray};

use crate::batch::{RawBatch, RawRecord};

/// Names of the host's columns, in the order of [`host_columns`].
pub const HOST_COLUMNS: [&str; 5] = ["_topic", "_partition", "_offset", "_timestamp", "_key"];

/// `_topic` (utf8), `_partition` (int32), `_offset` (int64), `_timestamp` (timestamp, null where the broker has
/// none) and `_key` (binary, nullable) for the rows made of `records`, indices into [`RawBatch::records`].
pub fn host_columns(raw: &RawBatch, records: &[u32]) -> [(&'static str, ArrayRef); 5] {
    let rows = || records.iter().filter_map(|index| raw.records.get(*index as usize));
    let count = rows().count();
    let topic = StringArray::from_iter_values(std::iter::repeat_n(raw.partition.topic.as_ref(), count));
    let partition = Int32Array::from_value(raw.partition.partition, count);
    let offset = Int64Array::from_iter_values(rows().map(|record| record.offset));
    let timestamp: TimestampMicrosecondArray = rows().map(broker_time).collect();
    let mut key = BinaryBuilder::new();
    rows().for_each(|record| key.append_option(raw.key(record)));
    let arrays: [ArrayRef; 5] = [
        Arc::new(topic),
        Arc::new(partition),
        Arc::new(offset),
        Arc::new(timestamp.with_timezone("UTC")),
        Arc::new(key.finish()),
    ];
    let mut names = HOST_COLUMNS.into_iter();
    arrays.map(|array| (names.next().unwrap_or_default(), array))
}

/// Microseconds since the epoch.
fn broker_time(record: &RawRecord) -> Option<i64> {
    record.timestamp_ms.and_then(|millis| millis.checked_mul(1_000))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};

    use super::*;
    use crate::progress::{OffsetRange, TopicPartition};

    #[test]
    fn rows_say_where_they_come_from() {
        let record = |offset, timestamp_ms, key| RawRecord { offset, timestamp_ms, key, payload: None };
        let raw = RawBatch {
            partition: TopicPartition::new("t", 3),
            range: OffsetRange { from: 10, to: 20 },
            lost: false,
            records: vec![
                record(10, Some(1), None),
                record(11, Some(2), None),
                record(15, Some(-3), Some(1..3)),
                record(19, None, Some(0..0)),
            ],
            data: b"key".to_vec(),
        };
        let columns = host_columns(&raw, &[0, 2, 3]);
        assert_eq!(columns.each_ref().map(|(name, _)| *name), HOST_COLUMNS);
        let [topic, partition, offset, timestamp, key] = columns.map(|(_, array)| array);
        assert!(topic.as_string::<i32>().iter().eq([Some("t"); 3]));
        assert_eq!(partition.as_primitive::<Int32Type>().values(), &[3, 3, 3]);
        assert_eq!(offset.as_primitive::<Int64Type>().values(), &[10, 15, 19]);
        let timestamps: Vec<_> = timestamp.as_primitive::<TimestampMicrosecondType>().iter().collect();
        assert_eq!(timestamps, [Some(1000), Some(-3000), None]);
        assert_eq!(timestamp.data_type(), &crate::schema::timestamp_type());
        assert!(key.as_binary::<i32>().iter().eq([None, Some(&b"ey"[..]), Some(&b""[..])]));
    }
}
