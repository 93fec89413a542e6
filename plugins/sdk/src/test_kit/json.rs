//! Batches from JSON rows, and JSON rows from batches.

use serde_json::{Map, Value, json};

use crate::builder::validity_of;
use crate::place::is_present;
use crate::schema::{children, span};
use crate::{Batch, Column, ColumnBuilder, Field, Kind, Scalar, Values, parse_rfc3339};

/// The rows of a text with one JSON object a line; empty lines are left out.
///
/// # Panics
/// If a line is not JSON.
pub fn json_lines(text: &str) -> Vec<Value> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
}

/// A batch with these top-level columns, in pre-order. Timestamps and dates are numbers in their units; timestamps in
/// microseconds may be texts as in `2026-01-31T12:00:00Z`. Missing members are null. Maps are objects.
///
/// # Panics
/// If a value is not of its column's type.
pub fn batch(fields: &[Field], rows: &[Value]) -> Batch {
    let mut columns = Vec::new();
    for at in children(fields, 0, fields.len()) {
        let values: Vec<&Value> = rows.iter().map(|row| &row[&fields[at].name]).collect();
        append(&fields[at..], &values, &mut columns);
    }
    Batch { rows: rows.len() as u32, columns }
}

fn append(fields: &[Field], values: &[&Value], columns: &mut Vec<Column>) {
    let Some(field) = fields.first() else { return };
    let present: Vec<bool> = values.iter().map(|value| !value.is_null()).collect();
    let nested = |values| Column { length: present.len() as u32, validity: validity_of(&present), values };
    match field.kind {
        Kind::StructOf => {
            columns.push(nested(Values::None));
            for at in children(fields, 1, span(fields, 0)) {
                let inner: Vec<&Value> = values.iter().map(|value| &value[&fields[at].name]).collect();
                append(&fields[at..], &inner, columns);
            }
        }
        Kind::ListOf | Kind::MapOf => {
            let items: Vec<Vec<Value>> = values.iter().map(|value| items(value, fields)).collect();
            let offsets = items.iter().scan(0, |end, items| {
                *end += items.len() as i32;
                Some(*end)
            });
            columns.push(nested(Values::Offsets(std::iter::once(0).chain(offsets).collect())));
            append(&fields[1..], &items.iter().flatten().collect::<Vec<_>>(), columns);
        }
        _ => {
            let mut builder = ColumnBuilder::new(&field.kind).expect("the test kit builds this type");
            for value in values {
                builder.push(&scalar(value, &field.kind));
            }
            columns.push(builder.finish());
        }
    }
}

/// The items of a list; the entries of a map, with its own names of key and value.
fn items(value: &Value, fields: &[Field]) -> Vec<Value> {
    match value {
        Value::Array(items) => items.clone(),
        Value::Object(entries) => {
            let (key, value) = (&fields[2].name, &fields[2 + span(fields, 2)].name);
            entries.iter().map(|(k, v)| json!({ key.as_str(): k, value.as_str(): v })).collect()
        }
        _ => Vec::new(),
    }
}

fn scalar(value: &Value, kind: &Kind) -> Scalar {
    match (value, kind) {
        (Value::Null, _) => Scalar::Null,
        (Value::Bool(value), _) => Scalar::Bool(*value),
        (Value::Number(number), Kind::Float32 | Kind::Float64) => {
            Scalar::Float(number.as_f64().expect("a float"))
        }
        (Value::Number(number), _) => Scalar::Int(number.as_i64().expect("an integer")),
        (Value::String(text), Kind::Utf8) => Scalar::Text(text.clone()),
        (Value::String(text), Kind::Timestamp(_)) => {
            Scalar::Int(parse_rfc3339(text.as_bytes()).expect("a time as in 2026-01-31T12:00:00Z"))
        }
        (Value::String(text), _) => Scalar::Bytes(text.clone().into_bytes()),
        (value, kind) => panic!("{value} is no {kind:?}"),
    }
}

/// The rows of a batch, null members included; bytes as texts. Columns of types without a case in [`Scalar`] are left out,
/// unless they are nested.
pub fn rows(fields: &[Field], batch: &Batch) -> Vec<Value> {
    (0..batch.rows as usize).map(|row| object(fields, &batch.columns, row)).collect()
}

fn object(fields: &[Field], columns: &[Column], row: usize) -> Value {
    let members = children(fields, 0, fields.len())
        .filter_map(|at| Some((fields[at].name.clone(), value(&fields[at..], &columns[at..], row)?)));
    Value::Object(members.collect::<Map<_, _>>())
}

/// `fields` and `columns`: from the value's own on.
fn value(fields: &[Field], columns: &[Column], row: usize) -> Option<Value> {
    let (field, column) = (fields.first()?, columns.first()?);
    if !is_present(column, row) {
        return Some(Value::Null);
    }
    let end = span(fields, 0);
    match &column.values {
        Values::None => Some(object(&fields[1..end], &columns[1..end], row)),
        Values::Offsets(offsets) => {
            let items = offsets[row] as usize..offsets[row + 1] as usize;
            items
                .map(|item| value(&fields[1..], &columns[1..], item))
                .collect::<Option<Vec<_>>>()
                .map(Value::Array)
        }
        _ => Scalar::read(column, &field.kind, row).map(|scalar| match scalar {
            Scalar::Null => Value::Null,
            Scalar::Bool(value) => json!(value),
            Scalar::Int(value) => json!(value),
            Scalar::Float(value) => json!(value),
            Scalar::Text(value) => json!(value),
            Scalar::Bytes(value) => json!(String::from_utf8_lossy(&value)),
        }),
    }
}
