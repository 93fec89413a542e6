//! The table in which a step looks rows up: agreed on before `open`, loaded before the first batch.

use std::sync::Arc;
use std::time::Duration;

use crate::reference_table::ReferenceTable;

use super::component::Plugin;
use super::error::{Fault, StepError};
use super::instance::Instance;
use super::limits::Limits;
use super::lower::lower;
use super::schema::{is_supported, to_contract};
use super::step::Step;
use super::text::sanitised;

/// Rows of a table that are handed over in one call.
const LOADED_AT_ONCE: usize = 8192;

/// CPU time of such a call, unless the step allows calls more.
const LOAD_CPU: Duration = Duration::from_secs(10);

impl Step {
    /// Has the instance ready for the first batch, its table loaded. Otherwise that is done when the batch comes.
    pub fn prepare(&mut self) -> Result<(), StepError> {
        self.live_instance().map(drop).map_err(|fault| self.refused(fault.to_string()))
    }

    /// Whether rows that come out of both are of one schema, with the same rules.
    pub fn agrees_with(&self, other: &Self) -> bool {
        self.plan == other.plan
    }

    /// Gives the instance all rows of the table, if it has not got them yet.
    pub(super) fn load_reference(&mut self) -> Result<(), Fault> {
        let (Some(table), Some(instance)) = (&self.reference, &mut self.instance) else { return Ok(()) };
        let Some(columns) = instance.take_wanted_columns() else { return Ok(()) };
        let loaded = load(instance, table, &columns, &self.limits);
        loaded.map_err(|fault| {
            self.drop_instance();
            Fault::Instantiate(format!("its reference table cannot be used: {}", in_load(&fault)))
        })
    }
}

/// Whether the plugin and the step agree that there is a table.
pub(super) fn check(plugin: &Plugin, table: Option<&Arc<ReferenceTable>>) -> Result<(), String> {
    match (plugin.has_reference(), table) {
        (true, None) => Err("the plugin looks rows up in a table: give the step a `reference`".to_owned()),
        (false, Some(_)) => Err("the plugin looks nothing up: remove the step's `reference`".to_owned()),
        _ => Ok(()),
    }
}

/// Asks which columns of the table the plugin wants.
pub(super) fn agree(
    instance: &mut Instance,
    table: &ReferenceTable,
    config: &str,
    limits: &Limits,
) -> Result<(), Fault> {
    let stated = instance.reference_columns(limits.cpu, config, &to_contract(table.schema.fields()));
    let stated = stated.map_err(|fault| with_hidden(fault, table))?;
    let columns = wanted_columns(&stated, table).map_err(Fault::Schema)?;
    instance.want_columns(columns);
    Ok(())
}

fn wanted_columns(stated: &[String], table: &ReferenceTable) -> Result<Vec<usize>, String> {
    let mut columns = Vec::with_capacity(stated.len());
    for name in stated {
        let shown = sanitised(name, 256);
        let Some((index, field)) = table.schema.column_with_name(name) else {
            return Err(format!("it wants the column `{shown}` of its reference table, which is not there"));
        };
        if !is_supported(field.data_type()) {
            let of = field.data_type();
            return Err(format!(
                "it wants the column `{shown}` of its reference table, whose type {of} plugins cannot get"
            ));
        }
        if columns.contains(&index) {
            return Err(format!("it wants the column `{shown}` of its reference table twice"));
        }
        columns.push(index);
    }
    Ok(columns)
}

/// A column that the plugin misses may be one that it was not shown.
fn with_hidden(fault: Fault, table: &ReferenceTable) -> Fault {
    let hidden = table.schema.fields().iter().filter(|field| !is_supported(field.data_type()));
    let hidden: Vec<String> =
        hidden.map(|field| format!("`{}` ({})", field.name(), field.data_type())).collect();
    match fault {
        Fault::Schema(what) if !hidden.is_empty() => {
            Fault::Schema(format!("{what}; of types that plugins cannot get: {}", hidden.join(", ")))
        }
        fault => fault,
    }
}

fn load(
    instance: &mut Instance,
    table: &ReferenceTable,
    columns: &[usize],
    limits: &Limits,
) -> Result<(), Fault> {
    for batch in &table.batches {
        let batch = batch.project(columns).map_err(|error| Fault::Malformed(error.to_string()))?;
        for start in (0..batch.num_rows()).step_by(LOADED_AT_ONCE) {
            let chunk = batch.slice(start, LOADED_AT_ONCE.min(batch.num_rows() - start));
            instance.reference_load(limits.cpu.max(LOAD_CPU), chunk.num_rows(), &lower(chunk.columns()))?;
        }
    }
    Ok(())
}

fn in_load(fault: &Fault) -> String {
    match fault {
        Fault::Memory(_) => format!("{fault}; raise the step's `limits.memory`"),
        fault => fault.to_string(),
    }
}
