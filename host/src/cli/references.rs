//! From a step's `reference` in the pipeline file to what reads its table.

use anyhow::{Context, Result, bail};

use super::stores;
use crate::config::{Loaded, Step, TableReference};
use crate::pipeline::references::{StepPlace, StepReference};
use crate::plugin::Plugin;
use crate::reference::{CsvForm, ReferenceForm, ReferenceSource};
use crate::schema::parse_type;

/// What is read for a step, if its plugin looks rows up.
pub fn of_step(
    pipeline: &Loaded,
    step: &Step,
    plugin: &Plugin,
    place: StepPlace,
) -> Result<Option<StepReference>> {
    let reference = match (&step.reference, plugin.has_reference()) {
        (Some(reference), true) => reference,
        (None, false) => return Ok(None),
        (None, true) => {
            bail!("the plugin `{}` looks rows up in a table: give the step a `reference`", plugin.name())
        }
        (Some(_), false) => {
            bail!("the plugin `{}` looks nothing up: remove the `reference`", plugin.name())
        }
    };
    let location = pipeline.reference_location(reference)?.url();
    let options = stores::store_options(pipeline)?;
    let source = ReferenceSource::new(form(reference)?, location, &options, reference.max_bytes.as_usize())?;
    Ok(Some(StepReference { place, source, refresh: reference.refresh.map(Into::into), stamp: None }))
}

/// What the table is made of.
pub fn form(reference: &TableReference) -> Result<ReferenceForm> {
    if reference.delta.is_some() {
        return Ok(ReferenceForm::Delta { version: reference.version });
    }
    if reference.csv.is_none() {
        return Ok(ReferenceForm::Parquet);
    }
    let column = |(name, of): (&String, &String)| {
        let data_type = parse_type(of).with_context(|| format!("schema.{name}"))?;
        if data_type.is_nested() {
            bail!("schema.{name}: CSV has no nested values");
        }
        Ok((name.clone(), data_type))
    };
    let columns = reference.schema.as_ref().map(|schema| schema.iter().map(column).collect::<Result<_>>());
    Ok(ReferenceForm::Csv(CsvForm {
        columns: columns.transpose()?,
        delimiter: reference.delimiter(),
        header: reference.header.unwrap_or(true),
    }))
}
