//! For native tests of plugins: batches from JSON rows, and JSON rows from what comes back.

use serde_json::{Map, Value, json};

use crate::{
    Aggregate, Batch, Bitmap, Column, ColumnBuilder, Error, Field, Kind, Output, Reads, Rejections, Scalar,
    Schema, Stateful, Transform, Values, export,
};

/// A struct field with its children, in pre-order.
pub fn struct_field(name: &str, children: Vec<Vec<Field>>) -> Vec<Field> {
    let count = children.len() as u32;
    let own = Field { children: count, ..crate::field(name, Kind::StructOf) };
    std::iter::once(own).chain(children.into_iter().flatten()).collect()
}

/// A batch with these top-level columns, in pre-order. Timestamps and dates are numbers in their units; missing members
/// are null.
pub fn batch(fields: &[Field], rows: &[Value]) -> Batch {
    let mut columns = Vec::new();
    let mut at = 0;
    while at < fields.len() {
        let values: Vec<&Value> = rows.iter().map(|row| &row[&fields[at].name]).collect();
        at += append(&fields[at..], &values, &mut columns);
    }
    Batch { rows: rows.len() as u32, columns }
}

fn append(fields: &[Field], values: &[&Value], columns: &mut Vec<Column>) -> usize {
    let Some(field) = fields.first() else { return 0 };
    let present = Bitmap::of_values(values, |value| !value.is_null());
    let validity = (!present.all_set()).then(|| present.into_bytes());
    let length = values.len() as u32;
    match field.kind {
        Kind::StructOf => {
            columns.push(Column { length, validity, values: Values::None });
            let mut at = 1;
            for _ in 0..field.children {
                let inner: Vec<&Value> = values.iter().map(|value| &value[&fields[at].name]).collect();
                at += append(&fields[at..], &inner, columns);
            }
            at
        }
        Kind::ListOf => {
            let mut offsets = vec![0];
            let mut inner = Vec::new();
            for value in values {
                inner.extend(value.as_array().into_iter().flatten());
                offsets.push(inner.len() as i32);
            }
            columns.push(Column { length, validity, values: Values::Offsets(offsets) });
            1 + append(&fields[1..], &inner, columns)
        }
        _ => {
            let mut builder = ColumnBuilder::new(&field.kind).expect("the test kit builds this type");
            for value in values {
                builder.push(&scalar(value, &field.kind));
            }
            columns.push(builder.finish());
            1
        }
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
        (Value::String(text), _) => Scalar::Bytes(text.clone().into_bytes()),
        (value, kind) => panic!("{value} is no {kind:?}"),
    }
}

/// The rows of a batch, null members included. Columns that have no single values are left out.
pub fn rows(fields: &[Field], batch: &Batch) -> Vec<Value> {
    let value = |field: &Field, column: &Column, row| match Scalar::read(column, &field.kind, row)? {
        Scalar::Null => Some(Value::Null),
        Scalar::Bool(value) => Some(json!(value)),
        Scalar::Int(value) => Some(json!(value)),
        Scalar::Float(value) => Some(json!(value)),
        Scalar::Text(value) => Some(json!(value)),
        Scalar::Bytes(value) => Some(json!(String::from_utf8_lossy(&value))),
    };
    (0..batch.rows as usize)
        .map(|row| {
            let members = fields.iter().zip(&batch.columns);
            let members =
                members.filter_map(|(field, column)| Some((field.name.clone(), value(field, column, row)?)));
            Value::Object(members.collect::<Map<String, Value>>())
        })
        .collect()
}

/// A rejected row's number, rule and reason.
pub type Rejected = (usize, String, String);

/// What became of the rows of a batch.
#[derive(Debug, PartialEq)]
pub struct Fates {
    /// The rows that were kept, by number, with what the plugin set.
    pub kept: Vec<(usize, Value)>,
    pub dropped: Vec<usize>,
    pub rejected: Vec<Rejected>,
}

impl Fates {
    pub fn kept_rows(&self) -> Vec<usize> {
        self.kept.iter().map(|(row, _)| *row).collect()
    }
}

/// An opened transform.
pub struct Opened<P> {
    pub plugin: P,
    /// The columns that the plugin reads, host-made ones included, in pre-order.
    pub reads: Vec<Field>,
    pub output: Vec<Field>,
    pub drop: Vec<String>,
    rules: Vec<String>,
}

fn read_fields(schema: &Schema, names: &[String]) -> Vec<Field> {
    let mut reads = Reads::default();
    names
        .iter()
        .flat_map(|name| reads.add(schema, name).expect("the plan reads what is there").fields)
        .collect()
}

fn by_name(rejected: &Rejections, rules: &[String]) -> Vec<Rejected> {
    rejected
        .iter()
        .map(|(row, rule, reason)| (row, rules[rule as usize].clone(), reason.to_owned()))
        .collect()
}

/// Opens a transform over these top-level columns (in pre-order).
pub fn open_transform<P: Transform>(config: Value, fields: &[Field]) -> Result<Opened<P>, Error> {
    let schema = Schema::new(fields.to_vec());
    let (plugin, plan) = P::open(export::config(&config.to_string())?, &schema)?;
    let (output, drop) = match plan.output {
        Output::Select => (Vec::new(), Vec::new()),
        Output::Columns { set, drop } => (set, drop),
        Output::Rows(fields) => (fields, Vec::new()),
    };
    Ok(Opened { plugin, reads: read_fields(&schema, &plan.reads), output, drop, rules: plan.rules })
}

impl<P: Transform> Opened<P> {
    /// Sends JSON rows through a transform that keeps rows.
    pub fn apply(&mut self, input: &[Value]) -> Result<Fates, Error> {
        let outcome = self.plugin.apply(&batch(&self.reads, input))?;
        let rejected = by_name(&outcome.rejected, &self.rules);
        let is_rejected = |row| rejected.iter().any(|(rejected, ..)| *rejected == row);
        let is_kept = |row| !is_rejected(row) && outcome.keep.as_ref().is_none_or(|keep| keep.get(row));
        let set = outcome.batch.map_or(vec![Value::Null; input.len()], |batch| rows(&self.output, &batch));
        Ok(Fates {
            kept: set.into_iter().enumerate().filter(|(row, _)| is_kept(*row)).collect(),
            dropped: (0..input.len()).filter(|row| !is_kept(*row) && !is_rejected(*row)).collect(),
            rejected,
        })
    }
}

/// Opens an aggregate over these top-level columns (in pre-order).
pub fn open_aggregate<P: Aggregate>(config: Value, fields: &[Field]) -> Result<Opened<P>, Error> {
    let schema = Schema::new(fields.to_vec());
    let (plugin, plan) = P::open(export::config(&config.to_string())?, &schema)?;
    let reads = read_fields(&schema, &plan.reads);
    Ok(Opened { plugin, reads, output: plan.output, drop: Vec::new(), rules: plan.rules })
}

impl<P: Aggregate> Opened<P> {
    /// Sends JSON rows through an aggregate: the rows that come out, and those that were rejected.
    pub fn update(
        &mut self,
        input: &[Value],
        watermark: Option<i64>,
    ) -> Result<(Vec<Value>, Vec<Rejected>), Error> {
        let emission = self.plugin.update(&batch(&self.reads, input), watermark)?;
        let rejected = by_name(&emission.rejected, &self.rules);
        Ok((emission.batch.map_or_else(Vec::new, |batch| rows(&self.output, &batch)), rejected))
    }
}

/// The state of one plugin, kept outside of it as the host does.
#[derive(Default)]
pub struct StateStore {
    rows: std::collections::BTreeMap<String, Value>,
}

impl StateStore {
    /// Takes the plugin's changes.
    pub fn take(&mut self, plugin: &mut impl Stateful) -> Result<(), Error> {
        let state = plugin.state();
        let (layout, delta) = (state.layout(), state.changes()?);
        let key_of = |row: &Value| {
            Value::Array(layout.key.iter().map(|field| row[&field.name].clone()).collect::<Vec<_>>())
                .to_string()
        };
        let all: Vec<Field> = layout.key.iter().chain(&layout.value).cloned().collect();
        for row in delta.upserts.iter().flat_map(|batch| rows(&all, batch)) {
            self.rows.insert(key_of(&row), row);
        }
        for row in delta.deletes.iter().flat_map(|batch| rows(&layout.key, batch)) {
            self.rows.remove(&key_of(&row));
        }
        Ok(())
    }

    /// Puts everything into a plugin that was just opened.
    pub fn restore(&self, plugin: &mut impl Stateful) -> Result<(), Error> {
        let state = plugin.state();
        let layout = state.layout();
        let all: Vec<Field> = layout.key.into_iter().chain(layout.value).collect();
        let rows: Vec<Value> = self.rows.values().cloned().collect();
        state.restore(&batch(&all, &rows))
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}
