//! Rows as JSON objects: what people read, and what is compared.

use anyhow::Result;
use arrow::array::RecordBatch;
use serde_json::{Map, Value};

use crate::json::rows::{Nulls, json_lines};
use crate::plugin::HOST_COLUMNS;

pub type Row = Map<String, Value>;

/// The rows with their nulls, in the order of the columns, those that the host makes left out, but for `_rescued` where
/// something was rescued. Values are as [`json_lines`] writes them.
pub fn json_rows(batch: &RecordBatch) -> Result<Vec<Row>> {
    let schema = batch.schema();
    let own = (0..schema.fields().len()).filter(|index| {
        let (name, column) = (schema.field(*index).name(), batch.column(*index));
        !is_made_by_host(name) || (name == RESCUED && column.null_count() < column.len())
    });
    let batch = batch.project(&own.collect::<Vec<_>>())?;
    if batch.num_columns() == 0 {
        return Ok(vec![Row::new(); batch.num_rows()]);
    }
    let lines = json_lines(&batch, Nulls::Written)?;
    serde_json::Deserializer::from_slice(&lines).into_iter().map(|row| Ok(row?)).collect()
}

/// Where the decoder keeps what its columns cannot hold.
const RESCUED: &str = "_rescued";

/// Whether the host makes the column, and no plugin.
pub fn is_made_by_host(column: &str) -> bool {
    HOST_COLUMNS.contains(&column) || ["_event_time", RESCUED].contains(&column)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, BinaryArray, Float64Array, StringArray, TimestampMicrosecondArray};

    use super::*;

    #[test]
    fn rows_have_their_nulls_and_not_the_hosts_columns() {
        let time = TimestampMicrosecondArray::from(vec![Some(1_500_000), None]).with_timezone("UTC");
        let columns: [(&str, ArrayRef); 5] = [
            ("b", Arc::new(StringArray::from(vec![Some("x"), None]))),
            ("a", Arc::new(Float64Array::from(vec![f64::NAN, 0.5]))),
            ("at", Arc::new(time)),
            ("bytes", Arc::new(BinaryArray::from(vec![&b"\x01\xff"[..], b""]))),
            ("_topic", Arc::new(StringArray::from(vec!["t", "t"]))),
        ];
        let batch =
            RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true)));
        let batch = batch.unwrap();
        assert_eq!(
            serde_json::to_string(&json_rows(&batch).unwrap()).unwrap(),
            r#"[{"b":"x","a":"NaN","at":"1970-01-01T00:00:01.500Z","bytes":"Af8="},{"b":null,"a":0.5,"at":null,"bytes":""}]"#
        );
        assert_eq!(json_rows(&batch.slice(0, 0)).unwrap(), Vec::<Row>::new());
        assert_eq!(json_rows(&batch.project(&[4]).unwrap()).unwrap(), vec![Row::new(); 2]);
    }
}
