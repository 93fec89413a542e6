//! Types of written rows to Delta types, and how a table's schema grows.

use arrow::datatypes::Schema;
use deltalake_core::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake_core::kernel::{ArrayType, DataType as DeltaType, MapType, StructField, StructType};

use crate::sink::rows::{RowsError, refused};

/// The Delta type of rows whose schema [`written_schema`](crate::sink::rows::written_schema) gave.
pub(super) fn table_type(written: &Schema) -> Result<StructType, RowsError> {
    written.try_into_kernel().map_err(|error| RowsError::Schema(error.to_string()))
}

/// The table's schema after it has taken rows of `rows`: new columns and nested fields are added at the end.
/// Equal to `table` if there is nothing to add. A column of another type is an error: without type
/// widening, which few engines read, a table cannot change it.
pub(super) fn grow(table: &StructType, rows: &StructType) -> Result<StructType, RowsError> {
    grow_struct("", table, rows)
}

fn grow_struct(path: &str, table: &StructType, rows: &StructType) -> Result<StructType, RowsError> {
    let mut fields: Vec<StructField> = table.fields().cloned().collect();
    for field in rows.fields() {
        let column = if path.is_empty() { field.name().clone() } else { format!("{path}.{}", field.name()) };
        match fields.iter_mut().find(|known| known.name().eq_ignore_ascii_case(field.name())) {
            None => fields.push(StructField::nullable(field.name(), field.data_type().clone())),
            Some(known) if known.name() != field.name() => {
                return refused(
                    &column,
                    &format!("the table has it as `{}`, and Delta columns ignore case", known.name()),
                );
            }
            Some(known) => known.data_type = grow_type(&column, known.data_type(), field.data_type())?,
        }
    }
    StructType::try_new(fields).map_err(|error| RowsError::Schema(error.to_string()))
}

fn grow_type(column: &str, table: &DeltaType, rows: &DeltaType) -> Result<DeltaType, RowsError> {
    match (table, rows) {
        (DeltaType::Struct(table), DeltaType::Struct(rows)) => {
            Ok(DeltaType::from(grow_struct(column, table, rows)?))
        }
        (DeltaType::Array(table), DeltaType::Array(rows)) => {
            let element = grow_type(&format!("{column}.element"), table.element_type(), rows.element_type())?;
            Ok(DeltaType::from(ArrayType::new(element, table.contains_null())))
        }
        (DeltaType::Map(table), DeltaType::Map(rows)) => {
            let key = grow_type(&format!("{column}.key"), table.key_type(), rows.key_type())?;
            let value = grow_type(&format!("{column}.value"), table.value_type(), rows.value_type())?;
            Ok(DeltaType::from(MapType::new(key, value, table.value_contains_null())))
        }
        (table, rows) if table == rows => Ok(table.clone()),
        (table, rows) => refused(
            column,
            &format!(
                "the table holds `{table}` and the rows have `{rows}`; cast it in a step before, or write to another table"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field};

    use super::*;

    #[test]
    fn a_table_takes_new_columns_and_nested_fields_but_no_other_type() {
        let rows = |fields: Vec<Field>| table_type(&Schema::new(fields)).expect("a table type");
        let nested = |fields: Vec<Field>| Field::new("s", DataType::Struct(fields.into()), true);
        let a = || Field::new("a", DataType::Int32, true);
        let table = rows(vec![a(), nested(vec![a()])]);
        let more = rows(vec![
            nested(vec![Field::new("b", DataType::Utf8, true)]),
            Field::new("z", DataType::Utf8, true),
        ]);
        let grown = grow(&table, &more).expect("growth");
        let names: Vec<_> = grown.fields().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["a", "s", "z"]);
        let DeltaType::Struct(inner) = grown.field("s").expect("s").data_type() else {
            panic!("not a struct")
        };
        assert_eq!(inner.fields().count(), 2);
        assert_eq!(grow(&grown, &table).expect("nothing to add"), grown);
        let wider = rows(vec![Field::new("a", DataType::Int64, true)]);
        let error = grow(&table, &wider).expect_err("another type").to_string();
        assert!(error.contains("`a`") && error.contains("integer") && error.contains("long"), "{error}");
        assert!(grow(&table, &rows(vec![Field::new("A", DataType::Int32, true)])).is_err());
    }
}
