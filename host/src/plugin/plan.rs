//! What a plugin and the host agree on in `open`: checked once, relied on for every batch.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::{FieldRef, Schema, SchemaRef};

use super::bindings::types;
use super::instance::StatedPlan;
use super::rows::ColumnSource;
use super::schema::{HOST_COLUMNS, from_contract, is_supported};
use super::text::{is_metric_name, sanitised};

const MAX_RULES: usize = 256;
const MAX_RULE_NAME: usize = 64;

/// A sound plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// Which columns of the input the plugin gets, in its order.
    pub reads: Vec<usize>,
    /// The names that rejections refer to.
    pub rules: Vec<Arc<str>>,
    pub output: Output,
    /// Of the rows that come out.
    pub schema: SchemaRef,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Output {
    /// The input's rows as they are.
    Select,
    /// The input's rows with other columns: `made` are the plugin's.
    Columns { made: SchemaRef, sources: Vec<ColumnSource> },
    /// New rows.
    Rows,
}

impl Plan {
    pub fn check(stated: StatedPlan, input: &SchemaRef) -> Result<Self, String> {
        let (reads, rules, output, schema) = match stated {
            StatedPlan::Transform(plan) => {
                let (output, schema) = match plan.output {
                    types::TransformOutput::Select => (Output::Select, input.clone()),
                    types::TransformOutput::Columns(changes) => columns(input, changes.set, changes.drop)?,
                    types::TransformOutput::Rows(fields) => (Output::Rows, new_rows(fields)?),
                };
                (plan.reads, plan.rules, output, schema)
            }
            StatedPlan::Aggregate(plan) => (plan.reads, plan.rules, Output::Rows, new_rows(plan.output)?),
        };
        Ok(Self { reads: check_reads(reads, input)?, rules: check_rules(rules)?, output, schema })
    }
}

fn check_reads(names: Vec<String>, input: &Schema) -> Result<Vec<usize>, String> {
    let mut seen = HashSet::new();
    let mut reads = Vec::new();
    for name in names {
        let shown = sanitised(&name, 256);
        let index = input
            .index_of(&name)
            .map_err(|_| format!("it reads the column `{shown}`, which is not there"))?;
        let data_type = input.field(index).data_type();
        if !is_supported(data_type) {
            return Err(format!("it reads the column `{shown}`, whose type {data_type} plugins cannot get"));
        }
        if !seen.insert(index) {
            return Err(format!("it reads the column `{shown}` twice"));
        }
        reads.push(index);
    }
    Ok(reads)
}

fn check_rules(rules: Vec<String>) -> Result<Vec<Arc<str>>, String> {
    if rules.len() > MAX_RULES {
        return Err(format!("it has {} rules, the limit is {MAX_RULES}", rules.len()));
    }
    let mut seen = HashSet::new();
    for rule in &rules {
        if !is_metric_name(rule, MAX_RULE_NAME) {
            return Err(format!(
                "its rule {:?} is not fit for a metric: lower-case letters, digits and `_`, at most {MAX_RULE_NAME} \
                 bytes",
                sanitised(rule, MAX_RULE_NAME)
            ));
        }
        if !seen.insert(rule) {
            return Err(format!("it has two rules `{rule}`"));
        }
    }
    Ok(rules.into_iter().map(Into::into).collect())
}

fn is_host_column(name: &str) -> bool {
    HOST_COLUMNS.contains(&name)
}

fn new_rows(fields: Vec<types::FieldResult>) -> Result<SchemaRef, String> {
    let fields = from_contract(fields)?;
    match fields.iter().find(|field| is_host_column(field.name())) {
        Some(field) => Err(format!("it makes the column `{}`, which only the host makes", field.name())),
        None if fields.is_empty() => Err("its new rows have no columns".to_owned()),
        None => Ok(Schema::new(fields).into()),
    }
}

fn columns(
    input: &SchemaRef,
    set: Vec<types::FieldResult>,
    drop: Vec<String>,
) -> Result<(Output, SchemaRef), String> {
    let made = from_contract(set)?;
    if let Some(field) = made.iter().find(|field| is_host_column(field.name())) {
        return Err(format!("it replaces the column `{}`, which only the host makes", field.name()));
    }
    let mut dropped = HashSet::new();
    for name in &drop {
        let shown = sanitised(name, 256);
        if is_host_column(name) {
            return Err(format!("it drops the column `{shown}`, which the host needs"));
        }
        if input.index_of(name).is_err() {
            return Err(format!("it drops the column `{shown}`, which is not there"));
        }
        if made.iter().any(|field| field.name() == name) {
            return Err(format!("it both sets and drops the column `{shown}`"));
        }
        if !dropped.insert(name.as_str()) {
            return Err(format!("it drops the column `{shown}` twice"));
        }
    }
    let mut fields: Vec<FieldRef> = Vec::new();
    let mut sources = Vec::new();
    for (index, field) in input.fields().iter().enumerate() {
        if dropped.contains(field.name().as_str()) {
            continue;
        }
        let replacement = made.iter().position(|made| made.name() == field.name());
        fields.push(replacement.map_or(field, |made_index| &made[made_index]).clone());
        sources.push(replacement.map_or(ColumnSource::Kept(index), ColumnSource::Made));
    }
    for (index, field) in made.iter().enumerate() {
        if input.index_of(field.name()).is_err() {
            fields.push(field.clone());
            sources.push(ColumnSource::Made(index));
        }
    }
    Ok((Output::Columns { made: Schema::new(made).into(), sources }, Schema::new(fields).into()))
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field};

    use super::*;

    fn input() -> SchemaRef {
        Schema::new(vec![
            Field::new("_offset", DataType::Int64, false),
            Field::new("a", DataType::Utf8, true),
            Field::new("b", DataType::Utf8, true),
            Field::new("large", DataType::LargeUtf8, true),
        ])
        .into()
    }

    fn field(name: &str) -> types::FieldResult {
        types::FieldResult {
            name: name.to_owned(),
            kind: types::KindResult::Int64,
            nullable: true,
            children: 0,
        }
    }

    fn check(reads: &[&str], rules: &[&str], output: types::TransformOutput) -> Result<Plan, String> {
        let strings = |all: &[&str]| all.iter().map(|one| one.to_string()).collect();
        let plan = types::TransformPlan { reads: strings(reads), output, rules: strings(rules) };
        Plan::check(StatedPlan::Transform(plan), &input())
    }

    fn changes(set: &[&str], drop: &[&str]) -> types::TransformOutput {
        types::TransformOutput::Columns(types::ColumnChanges {
            set: set.iter().map(|name| field(name)).collect(),
            drop: drop.iter().map(|name| name.to_string()).collect(),
        })
    }

    #[test]
    fn columns_are_replaced_in_place_dropped_and_added() {
        let plan = check(&["b", "_offset"], &["late"], changes(&["c", "a"], &["b"])).unwrap();
        let names: Vec<&str> = plan.schema.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["_offset", "a", "large", "c"]);
        assert_eq!(plan.schema.field(1).data_type(), &DataType::Int64);
        assert_eq!(plan.reads, [2, 0]);
        let Output::Columns { sources, .. } = plan.output else { panic!("columns were stated") };
        use ColumnSource::{Kept, Made};
        assert_eq!(sources, [Kept(0), Made(1), Kept(3), Made(0)]);
    }

    #[test]
    fn lies_are_refused() {
        let long = "r".repeat(65);
        for (reads, rules, output, says) in [
            (&["x"][..], &[][..], types::TransformOutput::Select, "reads the column `x`"),
            (&["a", "a"], &[], types::TransformOutput::Select, "twice"),
            (&["large"], &[], types::TransformOutput::Select, "plugins cannot get"),
            (&[], &["r", "r"], types::TransformOutput::Select, "two rules"),
            (&[], &["r\n"], types::TransformOutput::Select, "fit for a metric"),
            (&[], &[&long], types::TransformOutput::Select, "fit for a metric"),
            (&[], &[], changes(&["_offset"], &[]), "only the host"),
            (&[], &[], changes(&[], &["_offset"]), "the host needs"),
            (&[], &[], changes(&["c", "c"], &[]), "twice"),
            (&[], &[], changes(&["a"], &["a"]), "both sets and drops"),
            (&[], &[], changes(&[], &["b", "b"]), "twice"),
            (&[], &[], changes(&[], &["x"]), "not there"),
            (&[], &[], types::TransformOutput::Rows(vec![field("_offset")]), "only the host"),
            (&[], &[], types::TransformOutput::Rows(vec![]), "no columns"),
        ] {
            let refused = check(reads, rules, output).unwrap_err();
            assert!(refused.contains(says), "{refused} does not say {says}");
        }
    }
}
