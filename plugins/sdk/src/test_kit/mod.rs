//! For native tests of plugins: rows go in as JSON, and their fates come back. A plugin of another style than
//! [`Transform`] is opened as what it is exported as: `open_transform::<Rowwise<Hot>>(config, &fields)`.

mod json;
mod state;

use serde_json::Value;

use crate::{
    Aggregate, Error, Field, Kind, Outcome, Output, Reads, ReferenceTransform, Rejections, Schema, Transform,
    TransformPlan, export,
};

pub use json::{batch, json_lines, rows};
pub use state::StateStore;

/// A struct field with its children, in pre-order.
pub fn struct_field(name: &str, children: Vec<Vec<Field>>) -> Vec<Field> {
    let count = children.len() as u32;
    let own = Field { children: count, ..crate::field(name, Kind::StructOf) };
    std::iter::once(own).chain(children.into_iter().flatten()).collect()
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
    /// New rows; a plugin that makes them keeps and drops none.
    pub made: Vec<Value>,
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
    makes_rows: bool,
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
    Ok(Opened::new(plugin, &schema, plan))
}

impl<P: Transform> Opened<P> {
    /// Sends JSON rows through a transform.
    pub fn apply(&mut self, input: &[Value]) -> Result<Fates, Error> {
        let outcome = self.plugin.apply(&batch(&self.reads, input))?;
        Ok(self.fates(outcome, input.len()))
    }
}

/// Opens a transform that looks rows up, over the columns `fields` and with a reference table of the columns `table`
/// (both in pre-order) and these rows, which come in one batch.
pub fn open_reference_transform<P: ReferenceTransform>(
    config: Value,
    fields: &[Field],
    table: &[Field],
    table_rows: &[Value],
) -> Result<OpenedReference<P>, Error> {
    let config = config.to_string();
    let (schema, table) = (Schema::new(fields.to_vec()), Schema::new(table.to_vec()));
    let names = P::columns(&export::config(&config)?, &table)?;
    let table = export::narrowed(&table, &names)?;
    let (plugin, plan) = P::open(export::config(&config)?, &schema, &table)?;
    let mut opened =
        OpenedReference { opened: Opened::new(plugin, &schema, plan), table: table.fields().to_vec() };
    opened.load(table_rows)?;
    Ok(opened)
}

/// An opened transform that looks rows up.
pub struct OpenedReference<P> {
    pub opened: Opened<P>,
    /// The columns of the table that the plugin gets.
    pub table: Vec<Field>,
}

impl<P: ReferenceTransform> OpenedReference<P> {
    /// Gives it more rows of the table, before the first that it looks up.
    pub fn load(&mut self, table_rows: &[Value]) -> Result<(), Error> {
        self.opened.plugin.load(batch(&self.table, table_rows))
    }

    /// Sends JSON rows through.
    pub fn apply(&mut self, input: &[Value]) -> Result<Fates, Error> {
        let outcome = self.opened.plugin.apply(&batch(&self.opened.reads, input))?;
        Ok(self.opened.fates(outcome, input.len()))
    }
}

impl<P> Opened<P> {
    fn new(plugin: P, schema: &Schema, plan: TransformPlan) -> Opened<P> {
        let makes_rows = matches!(plan.output, Output::Rows(_));
        let (output, drop) = match plan.output {
            Output::Select => (Vec::new(), Vec::new()),
            Output::Columns { set, drop } => (set, drop),
            Output::Rows(fields) => (fields, Vec::new()),
        };
        let reads = read_fields(schema, &plan.reads);
        Opened { plugin, reads, output, drop, makes_rows, rules: plan.rules }
    }

    fn fates(&self, outcome: Outcome, input: usize) -> Fates {
        let rejected = by_name(&outcome.rejected, &self.rules);
        let output = outcome.batch.map(|batch| rows(&self.output, &batch));
        if self.makes_rows {
            let made = output.unwrap_or_default();
            return Fates { kept: Vec::new(), dropped: Vec::new(), rejected, made };
        }
        let is_rejected = |row| rejected.iter().any(|(rejected, ..)| *rejected == row);
        let is_kept = |row| !is_rejected(row) && outcome.keep.as_ref().is_none_or(|keep| keep.get(row));
        let set = output.unwrap_or_else(|| vec![Value::Null; input]);
        Fates {
            kept: set.into_iter().enumerate().filter(|(row, _)| is_kept(*row)).collect(),
            dropped: (0..input).filter(|row| !is_kept(*row) && !is_rejected(*row)).collect(),
            rejected,
            made: Vec::new(),
        }
    }
}

/// Opens an aggregate over these top-level columns (in pre-order).
pub fn open_aggregate<P: Aggregate>(config: Value, fields: &[Field]) -> Result<Opened<P>, Error> {
    let schema = Schema::new(fields.to_vec());
    let (plugin, plan) = P::open(export::config(&config.to_string())?, &schema)?;
    let reads = read_fields(&schema, &plan.reads);
    Ok(Opened { plugin, reads, output: plan.output, drop: Vec::new(), makes_rows: true, rules: plan.rules })
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
