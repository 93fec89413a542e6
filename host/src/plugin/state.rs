//! The state of a stateful step: what changed is taken out, what was kept is put back.

use std::collections::HashSet;

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, Schema};

use crate::changes::{StateChanges, StateKind, StateLayout};

use super::bindings::state;
use super::error::{Fault, StepError};
use super::lift::lift_batch;
use super::lower::lower;
use super::schema::{from_contract, to_contract};
use super::step::Step;

/// Rows that are put back in one call.
const RESTORED_AT_ONCE: usize = 8192;

impl Step {
    /// What changed in the state since the last time, or since it was restored; `None` if nothing did, and for
    /// stateless steps. After a migration it is the whole state, once.
    pub fn changes(&mut self) -> Result<Option<(StateKind, StateChanges)>, StepError> {
        if self.is_broken {
            return Err(self.refused("its state was lost and not restored".to_owned()));
        }
        let (Some(layout), Some(instance)) = (&self.layout, &mut self.instance) else { return Ok(None) };
        let delta = instance.state_changes(self.limits.cpu);
        let changes = delta.and_then(|delta| check_changes(delta, layout).map_err(Fault::Malformed));
        self.note_taken_changes(changes.as_ref().err());
        match changes {
            Ok(changes) if std::mem::take(&mut self.is_migrated) => Ok(Some((StateKind::Base, changes))),
            Ok(changes) if changes == StateChanges::default() => Ok(None),
            Ok(changes) => Ok(Some((StateKind::Changes, changes))),
            Err(fault) => Err(self.broken(fault)),
        }
    }

    /// Puts everything that was stored, rows of `stored.row()`, back into a step that was just opened. The plugin is
    /// asked to migrate what is not of its own layout.
    pub fn restore(&mut self, stored: &StateLayout, upserts: &RecordBatch) -> Result<(), StepError> {
        let Some(layout) = &self.layout else {
            return Err(self.refused("the plugin keeps no state".to_owned()));
        };
        if stored.row().fields() != upserts.schema_ref().fields() {
            return Err(
                self.refused("the kept rows are not of the layout that they are said to be".to_owned())
            );
        }
        if stored != layout {
            self.migrate(stored)?;
        }
        for start in (0..upserts.num_rows()).step_by(RESTORED_AT_ONCE) {
            let chunk = upserts.slice(start, RESTORED_AT_ONCE.min(upserts.num_rows() - start));
            let cpu = self.limits.cpu;
            let restored = self
                .live_instance()
                .and_then(|instance| instance.state_restore(cpu, chunk.num_rows(), &lower(chunk.columns())));
            if let Err(fault) = restored {
                return Err(self.lost_state(format!("its state cannot be restored: {fault}")));
            }
        }
        Ok(())
    }

    fn migrate(&mut self, stored: &StateLayout) -> Result<(), StepError> {
        let cpu = self.limits.cpu;
        let (key, value) = (to_contract(stored.key.fields()), to_contract(stored.value.fields()));
        let fields = state::FieldsParam { version: stored.version, key: &key, value: &value };
        match self.live_instance().and_then(|instance| instance.state_migrate(cpu, fields)) {
            Ok(()) => {
                self.is_migrated = true;
                Ok(())
            }
            Err(fault) => {
                Err(self.lost_state(format!("the kept state, of {stored}, cannot be migrated: {fault}")))
            }
        }
    }

    fn lost_state(&mut self, what: String) -> StepError {
        self.drop_instance();
        self.is_broken = true;
        self.refused(what)
    }
}

/// The layout that a plugin states, if it is sound.
pub(super) fn check_layout(fields: state::FieldsResult) -> Result<StateLayout, String> {
    let unsound = |what: String| format!("the layout of its state is not sound: {what}");
    let key = from_contract(fields.key).map_err(unsound)?;
    let value = from_contract(fields.value).map_err(unsound)?;
    if key.is_empty() {
        return Err(unsound("it has no key".to_owned()));
    }
    let names: HashSet<&String> = key.iter().map(|field| field.name()).collect();
    if let Some(field) = value.iter().find(|field| names.contains(field.name())) {
        return Err(unsound(format!("`{}` is both key and value", field.name())));
    }
    let schema = |fields: Vec<FieldRef>| Schema::new(fields).into();
    Ok(StateLayout { version: fields.version, key: schema(key), value: schema(value) })
}

pub(super) fn check_changes(delta: state::Delta, layout: &StateLayout) -> Result<StateChanges, String> {
    // Every column has buffers, which bound the rows: the size of what comes back is limited already.
    let lift = |schema, batch: Option<_>, which: &str| {
        let lifted = batch.map(|batch| lift_batch(&schema, batch, usize::MAX)).transpose();
        let lifted = lifted.map_err(|what| format!("the state's {which}: {what}"))?;
        Ok::<_, String>(lifted.filter(|batch: &RecordBatch| batch.num_rows() > 0))
    };
    Ok(StateChanges {
        upserts: lift(layout.row(), delta.upserts, "upserts")?,
        deletes: lift(layout.key.clone(), delta.deletes, "deletes")?,
    })
}
