//! The table in which a step looks rows up: agreed on before `open`, loaded before the first batch.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::reference_table::ReferenceTable;

use super::component::Plugin;
use super::error::{Fault, StepError};
use super::instance::Instance;
use super::limits::{Limits, thread_cpu_time};
use super::lower::lower;
use super::schema::{is_supported, to_contract};
use super::step::Step;
use super::text::sanitised;
use super::wasi::thread_waited;

/// Rows of a table that are handed over in one call.
const LOADED_AT_ONCE: usize = 8192;

/// CPU time of all these calls together, unless the step allows a single one more.
const LOAD_CPU: Duration = Duration::from_secs(10);
/// What each row adds to it.
const LOAD_CPU_OF_ROW: Duration = Duration::from_micros(10);

impl Step {
    /// Has the instance ready for the first batch, its table loaded. Otherwise that is done when the batch comes.
    pub fn prepare(&mut self) -> Result<(), StepError> {
        self.live_instance().map(drop).map_err(|fault| self.refused(fault.to_string()))
    }

    /// [`prepare`](Self::prepare) for a step that was just opened. Refused as well once it is given up, which is asked before
    /// each part of the table.
    pub fn prepare_unless(&mut self, given_up: &AtomicBool) -> Result<(), StepError> {
        self.load_unless(given_up).map_err(|fault| self.refused(fault.to_string()))?;
        self.prepare()
    }

    /// Whether rows that come out of both are of one schema, with the same rules.
    pub fn agrees_with(&self, other: &Self) -> bool {
        self.plan == other.plan
    }

    /// Gives the instance all rows of the table, if it has not got them yet.
    pub(super) fn load_reference(&mut self) -> Result<(), Fault> {
        self.load_unless(&AtomicBool::new(false))
    }

    fn load_unless(&mut self, given_up: &AtomicBool) -> Result<(), Fault> {
        let (Some(table), Some(instance)) = (&self.reference, &mut self.instance) else { return Ok(()) };
        let Some(columns) = instance.take_wanted_columns() else { return Ok(()) };
        let loaded = load(instance, table, &columns, &self.limits, given_up);
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
    given_up: &AtomicBool,
) -> Result<(), Fault> {
    let rows = u32::try_from(table.rows()).unwrap_or(u32::MAX);
    let most = limits.cpu.max(LOAD_CPU).saturating_add(LOAD_CPU_OF_ROW.saturating_mul(rows));
    let (cpu, waited) = (thread_cpu_time(), thread_waited());
    for batch in &table.batches {
        let batch = batch.project(columns).map_err(|error| Fault::Malformed(error.to_string()))?;
        for start in (0..batch.num_rows()).step_by(LOADED_AT_ONCE) {
            let chunk = batch.slice(start, LOADED_AT_ONCE.min(batch.num_rows() - start));
            if given_up.load(Ordering::Relaxed) {
                return Err(Fault::Instantiate("nobody waits for it any more".to_owned()));
            }
            let left = most.saturating_sub(thread_cpu_time().saturating_sub(cpu));
            if left.is_zero() {
                return Err(Fault::Time(most));
            }
            let loaded = instance.reference_load(left, chunk.num_rows(), &lower(chunk.columns()));
            loaded.map_err(|fault| if let Fault::Time(_) = fault { Fault::Time(most) } else { fault })?;
            if thread_waited().saturating_sub(waited) > limits.wait {
                let most = limits.wait.as_millis();
                return Err(Fault::Trap(format!(
                    "it waited for more than {most} ms while it got its table; raise the step's `limits.wait`"
                )));
            }
        }
    }
    Ok(())
}

fn in_load(fault: &Fault) -> String {
    match fault {
        Fault::Memory(_) => format!("{fault}; raise the step's `limits.memory`"),
        Fault::Time(most) => {
            let most = most.as_millis();
            format!(
                "the plugin used more than {most} ms of CPU time to take it; raise the step's `limits.time`"
            )
        }
        fault => fault.to_string(),
    }
}
