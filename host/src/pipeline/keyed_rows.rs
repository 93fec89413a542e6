//! Rows for a table that is kept by key: each needs a key, and an order.
//!
//! They are looked at before their epoch is entered, so that what is refused is in the entry's sums.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

/// What the check is called among a layer's steps. No step of a pipeline file can have the name.
pub const STEP: &str = "_upsert";

const NO_KEY: &str = "no_key";
const NO_ORDER: &str = "no_order";

/// The columns that a row may not be without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyedRows {
    pub key: Vec<String>,
    pub order_by: String,
    /// In a partition column Delta takes an empty string for null.
    pub partition_by: Vec<String>,
}

/// Rows that have both, and those that have not.
pub struct Checked {
    pub kept: RecordBatch,
    pub refused: Option<Refused>,
}

pub struct Refused {
    pub rows: RecordBatch,
    pub rules: Vec<&'static str>,
    pub reasons: StringArray,
}

impl KeyedRows {
    pub fn check(&self, rows: RecordBatch) -> Result<Checked, ArrowError> {
        let mut faults: Vec<(BooleanBuffer, &'static str, String)> = Vec::new();
        for column in &self.key {
            if let Some(missing) = self.missing(&rows, column)? {
                faults.push((missing, NO_KEY, format!("`{column}` of the key is null")));
            }
        }
        if let Some(missing) = self.missing(&rows, &self.order_by)? {
            faults.push((
                missing,
                NO_ORDER,
                format!("`{}`, which orders rows of one key, is null", self.order_by),
            ));
        }
        if faults.is_empty() {
            return Ok(Checked { kept: rows, refused: None });
        }
        let none = BooleanBuffer::new_unset(rows.num_rows());
        let refused = faults.iter().fold(none, |all, (missing, ..)| &all | missing);
        let first = |row: usize| faults.iter().find(|(missing, ..)| missing.value(row));
        let (rules, reasons): (Vec<_>, Vec<_>) =
            refused.set_indices().filter_map(first).map(|(_, rule, reason)| (*rule, reason.as_str())).unzip();
        let refused = BooleanArray::new(refused, None);
        let kept = BooleanArray::new(!refused.values(), None);
        Ok(Checked {
            kept: filter_record_batch(&rows, &kept)?,
            refused: Some(Refused {
                rows: filter_record_batch(&rows, &refused)?,
                rules,
                reasons: reasons.into(),
            }),
        })
    }

    /// The rows that have nothing in `column`; `None` if there are none.
    fn missing(&self, rows: &RecordBatch, column: &str) -> Result<Option<BooleanBuffer>, ArrowError> {
        let Some(values) = rows.column_by_name(column) else {
            return Ok(Some(BooleanBuffer::new_set(rows.num_rows())).filter(|_| rows.num_rows() > 0));
        };
        let nulls = values.logical_nulls().filter(|nulls| nulls.null_count() > 0);
        let nulls = nulls.as_ref().map(|nulls: &NullBuffer| !nulls.inner());
        if !self.key.iter().any(|key| key == column) || !self.partition_by.iter().any(|by| by == column) {
            return Ok(nulls);
        }
        Ok(match (nulls, empty(values)?) {
            (Some(nulls), Some(empty)) => Some(&nulls | &empty),
            (nulls, empty) => nulls.or(empty),
        })
    }
}

/// The empty strings among the values; `None` if there are none.
fn empty(values: &ArrayRef) -> Result<Option<BooleanBuffer>, ArrowError> {
    let is_text = |of: &DataType| matches!(of, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let text = match values.data_type() {
        DataType::Dictionary(_, of) if is_text(of) => cast(values, &DataType::Utf8)?,
        of if is_text(of) => cast(values, &DataType::Utf8)?,
        _ => return Ok(None),
    };
    let text = text.as_string::<i32>();
    let empty =
        BooleanBuffer::collect_bool(text.len(), |row| text.is_valid(row) && text.value(row).is_empty());
    Ok(Some(empty).filter(|empty| empty.count_set_bits() > 0))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Int64Array;

    use super::*;

    #[test]
    fn rows_without_key_or_order_are_refused_with_the_first_reason() {
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3), Some(4), None]));
        let sites: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), Some("b"), None, Some(""), None]));
        let times: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None, Some(9), Some(9), Some(1)]));
        let rows = RecordBatch::try_from_iter([("id", ids), ("site", sites), ("at", times)]).unwrap();
        let check = |key: &[&str], order_by: &str, partition_by: &[&str]| {
            let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
            let keyed = KeyedRows {
                key: names(key),
                order_by: order_by.to_owned(),
                partition_by: names(partition_by),
            };
            keyed.check(rows.clone()).unwrap()
        };

        let checked = check(&["id", "site"], "at", &["site"]);
        let refused = checked.refused.unwrap();
        assert_eq!(checked.kept, rows.slice(0, 1));
        assert_eq!(refused.rows, rows.slice(1, 4));
        assert_eq!(refused.rules, [NO_KEY, NO_KEY, NO_KEY, NO_KEY]);
        assert!(refused.reasons.value(1).contains("`site`"), "{}", refused.reasons.value(1));

        let checked = check(&["site"], "at", &[]);
        assert_eq!(checked.kept.num_rows(), 2, "an empty string is a key where it is not a folder");
        let refused = checked.refused.unwrap();
        assert_eq!(refused.rules, [NO_ORDER, NO_KEY, NO_KEY]);
        let whole = check(&["at"], "at", &[]).kept;
        assert_eq!(check(&["at"], "at", &["at"]).kept, whole);
        assert_eq!(whole.num_rows(), 4);
    }
}
