//! What names a row of a table that is kept by key, and what decides between two rows of one name.

use arrow::datatypes::{DataType, Schema};

use crate::sink::rows::{RowsError, refused, written_schema};

/// How rows enter a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Mode {
    #[default]
    Append,
    /// A row replaces the row of the same key.
    Upsert(RowKey),
}

/// The columns of a key, and the one by whose value the later of two rows is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowKey {
    pub columns: Vec<String>,
    pub order_by: String,
}

impl RowKey {
    /// Whether rows of `rows` can be kept by this key. Errors name the column.
    pub fn check(&self, rows: &Schema) -> Result<(), RowsError> {
        let written = written_schema(rows)?;
        let type_of = |column: &str, key: &str| match written.field_with_name(column) {
            Ok(field) => Ok(field.data_type().clone()),
            Err(_) => refused(
                column,
                &format!("is named in `{key}`, but the rows have no such column (derived ones do not count)"),
            ),
        };
        for column in &self.columns {
            match type_of(column, "key")? {
                DataType::Float32 | DataType::Float64 => {
                    return refused(
                        column,
                        "is a float, and floats that look alike need not be equal: cast it, or choose another `key`",
                    );
                }
                other if is_plain(&other) => {}
                other => {
                    return refused(
                        column,
                        &format!("`{other}` cannot be part of `key`: use columns that are not nested"),
                    );
                }
            }
        }
        match type_of(&self.order_by, "order_by")? {
            DataType::Float32 | DataType::Float64 => Ok(()),
            other if is_plain(&other) => Ok(()),
            other => refused(
                &self.order_by,
                &format!("`{other}` has no order: name a time, a number or a string in `order_by`"),
            ),
        }
    }

    /// The columns that are looked at, the key's first.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().chain([&self.order_by]).map(String::as_str)
    }
}

/// Types of equality and order, as tables have them.
fn is_plain(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Boolean
            | DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Utf8View
            | DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::Date32
            | DataType::Timestamp(_, _)
            | DataType::Decimal128(_, _)
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{Field, TimeUnit};

    use super::*;

    #[test]
    fn a_key_needs_columns_with_equality_and_an_order() {
        let list = DataType::List(Arc::new(Field::new("element", DataType::Int32, true)));
        let types = [
            ("id", DataType::UInt64),
            ("name", DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))),
            ("at", DataType::Timestamp(TimeUnit::Nanosecond, None)),
            ("hash", DataType::FixedSizeBinary(16)),
            ("share", DataType::Float32),
            ("list", list),
        ];
        let rows = Schema::new(types.map(|(name, of)| Field::new(name, of, true)).to_vec());
        let check = |columns: &[&str], order_by: &str| {
            let columns = columns.iter().map(|&column| column.to_owned()).collect();
            RowKey { columns, order_by: order_by.to_owned() }.check(&rows).map_err(|error| error.to_string())
        };
        assert_eq!(check(&["id", "name", "hash"], "at"), Ok(()));
        assert_eq!(check(&["at"], "share"), Ok(()));
        for (columns, order_by, expected) in [
            (&["share"][..], "at", "column `share`: is a float"),
            (&["id", "list"], "at", "column `list`"),
            (&["id"], "list", "has no order"),
            (&["date"], "at", "named in `key`, but the rows have no such column"),
            (&["id"], "then", "named in `order_by`"),
        ] {
            let error = check(columns, order_by).expect_err("refused");
            assert!(error.contains(expected), "{error}");
        }
    }
}
