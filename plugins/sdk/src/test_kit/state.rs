//! A plugin's state outside of it.

use std::collections::BTreeMap;

use crate::{Batch, ColumnBuilder, Error, Field, Key, KeyShape, Scalar, Stateful};

/// The state of one plugin, kept outside of it as the host does.
#[derive(Default)]
pub struct StateStore {
    rows: BTreeMap<Key, Vec<Scalar>>,
}

impl StateStore {
    /// Takes the plugin's changes.
    pub fn take(&mut self, plugin: &mut impl Stateful) -> Result<(), Error> {
        let state = plugin.state();
        let (layout, delta) = (state.layout(), state.changes()?);
        let keys = layout.key.len();
        let shape = KeyShape(layout.key.clone());
        let all: Vec<Field> = layout.key.into_iter().chain(layout.value).collect();
        for row in delta.upserts.iter().flat_map(|batch| scalars(&all, batch)) {
            self.rows.insert(shape.encode(&row[..keys]), row);
        }
        for key in delta.deletes.iter().flat_map(|batch| scalars(&shape.0, batch)) {
            self.rows.remove(&shape.encode(&key));
        }
        Ok(())
    }

    /// Puts everything into a plugin that was just opened.
    pub fn restore(&self, plugin: &mut impl Stateful) -> Result<(), Error> {
        let state = plugin.state();
        let layout = state.layout();
        let column = |(at, field): (usize, &Field)| {
            let mut builder = ColumnBuilder::new(&field.kind).expect("state has columns of single values");
            self.rows.values().for_each(|row| builder.push(&row[at]));
            builder.finish()
        };
        let columns = layout.key.iter().chain(&layout.value).enumerate().map(column).collect();
        state.restore(&Batch { rows: self.rows.len() as u32, columns })
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

fn scalars(fields: &[Field], batch: &Batch) -> Vec<Vec<Scalar>> {
    let columns = || fields.iter().zip(&batch.columns);
    let read = |row| {
        columns().map(move |(field, column)| {
            Scalar::read(column, &field.kind, row).expect("state has columns of single values")
        })
    };
    (0..batch.rows as usize).map(|row| read(row).collect()).collect()
}
