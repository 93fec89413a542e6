//! For native tests of plugins: rows go in as JSON, and their fates come back. A plugin of another style than
//! [`Transform`] is opened as what it is exported as: `open_transform::<Rowwise<Hot>>(config, &fields)`.

mod json;
mod state;

use serde_json::Value;

use crate::{Aggregate, Error, Field, Kind, Output, Reads, Rejections, Schema, Transform, export};

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
    let makes_rows = matches!(plan.output, Output::Rows(_));
    let (output, drop) = match plan.output {
        Output::Select => (Vec::new(), Vec::new()),
        Output::Columns { set, drop } => (set, drop),
        Output::Rows(fields) => (fields, Vec::new()),
    };
    Ok(Opened {
        plugin,
        reads: read_fields(&schema, &plan.reads),
        output,
        drop,
        makes_rows,
        rules: plan.rules,
    })
}

impl<P: Transform> Opened<P> {
    /// Sends JSON rows through a transform.
    pub fn apply(&mut self, input: &[Value]) -> Result<Fates, Error> {
        let outcome = self.plugin.apply(&batch(&self.reads, input))?;
        let rejected = by_name(&outcome.rejected, &self.rules);
        let output = outcome.batch.map(|batch| rows(&self.output, &batch));
        if self.makes_rows {
            let made = output.unwrap_or_default();
            return Ok(Fates { kept: Vec::new(), dropped: Vec::new(), rejected, made });
        }
        let is_rejected = |row| rejected.iter().any(|(rejected, ..)| *rejected == row);
        let is_kept = |row| !is_rejected(row) && outcome.keep.as_ref().is_none_or(|keep| keep.get(row));
        let set = output.unwrap_or_else(|| vec![Value::Null; input.len()]);
        Ok(Fates {
            kept: set.into_iter().enumerate().filter(|(row, _)| is_kept(*row)).collect(),
            dropped: (0..input.len()).filter(|row| !is_kept(*row) && !is_rejected(*row)).collect(),
            rejected,
            made: Vec::new(),
        })
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
