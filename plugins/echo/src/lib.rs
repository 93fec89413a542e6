//! Keeps all rows, and does nothing with the columns that it reads but give them back, if it is told to: what a step
//! of it costs is what the boundary costs. It stands on the contract itself, so that columns go out as they came in,
//! without a copy that the boundary does not make.

use std::cell::Cell;

use exports::sluicebox::plugin::describe::{Description, Guest as Describe};
use exports::sluicebox::plugin::transform::{Guest as Transform, Outcome, Plan};
use serde_json::Value;
use sluicebox::plugin::types::{Batch, ColumnChanges, Error, Field, TransformOutput as Output};

wit_bindgen::generate!({ world: "transform-plugin", path: "../../wit" });

pub struct Echo;

#[cfg(target_arch = "wasm32")]
export!(Echo);

thread_local! {
    static GIVES_BACK: Cell<bool> = const { Cell::new(false) };
}

impl Describe for Echo {
    fn describe() -> Description {
        Description {
            name: "echo".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Gives back what it gets, to measure what crossing the boundary costs.".into(),
            config_schema: include_str!("../config.schema.json").into(),
        }
    }
}

impl Transform for Echo {
    fn open(config: String, input: Vec<Field>) -> Result<Plan, Error> {
        let config: Value =
            serde_json::from_str(&config).map_err(|error| Error::Config(error.to_string()))?;
        let reads: Vec<String> = config["columns"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect();
        let gives_back = config["give_back"] == Value::Bool(true);
        GIVES_BACK.set(gives_back);
        let output = match gives_back {
            true => Output::Columns(ColumnChanges { set: renamed(&reads, &input)?, drop: Vec::new() }),
            false => Output::Select,
        };
        Ok(Plan { reads, output, rules: Vec::new() })
    }

    fn apply(batch: Batch) -> Result<Outcome, Error> {
        Ok(Outcome { keep: None, rejected: None, batch: GIVES_BACK.get().then_some(batch) })
    }
}

/// The fields of the columns, with all that is nested in them, as `echo_0`, `echo_1`, …
fn renamed(columns: &[String], input: &[Field]) -> Result<Vec<Field>, Error> {
    let mut fields = Vec::new();
    for (number, name) in columns.iter().enumerate() {
        let column = top_level(input).find(|column| column[0].name == *name);
        let column = column.ok_or_else(|| Error::Schema(format!("there is no column `{name}`")))?;
        fields.push(Field { name: format!("echo_{number}"), ..column[0].clone() });
        fields.extend_from_slice(&column[1..]);
    }
    Ok(fields)
}

/// The top-level fields, each with all that is nested in it.
fn top_level(fields: &[Field]) -> impl Iterator<Item = &[Field]> {
    let mut rest = fields;
    std::iter::from_fn(move || {
        let (mut open, mut length) = (1, 0);
        while open > 0 {
            open = open - 1 + rest.get(length)?.children;
            length += 1;
        }
        let (column, after) = rest.split_at(length);
        rest = after;
        Some(column)
    })
}

#[cfg(test)]
mod tests {
    use sluicebox::plugin::types::Kind;

    use super::*;

    fn field(name: &str, kind: Kind, children: u32) -> Field {
        Field { name: name.into(), kind, nullable: true, children }
    }

    #[test]
    fn nested_columns_come_back_whole() {
        let input = [
            field("a", Kind::Int64, 0),
            field("s", Kind::StructOf, 2),
            field("l", Kind::ListOf, 1),
            field("element", Kind::Utf8, 0),
            field("x", Kind::Boolean, 0),
            field("b", Kind::Float64, 0),
        ];
        let names = |columns: &[&str]| -> Vec<String> {
            let columns: Vec<String> = columns.iter().map(|name| (*name).to_owned()).collect();
            renamed(&columns, &input).unwrap().into_iter().map(|field| field.name).collect()
        };
        assert_eq!(names(&["b", "s"]), ["echo_0", "echo_1", "l", "element", "x"]);
        assert!(renamed(&["l".to_owned()], &input).is_err(), "a nested field is no column");
    }
}
