//! The tree of layers with its plugins loaded: what every task of a worker opens for itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use serde_json::Value;

use super::keyed_rows::{self, KeyedRows};
use super::side_rows::{
    DEAD_LETTER_SCHEMA, HIDDEN_COLUMNS, POSITION_COLUMNS, QUARANTINE_SCHEMA, utc_microseconds,
};
use crate::plugin::{Limits, OnError, Plugin, PluginError, PluginKind, Step, StepSettings};

/// The place of a sink in [`LayerTree::sinks`].
pub type SinkIndex = usize;

#[derive(Debug)]
pub struct LayerTree {
    /// Parents stand before their children.
    pub layers: Vec<LayerSpec>,
    /// The names of all sinks: the dead letters, then those of the layers and their quarantines.
    pub sinks: Vec<String>,
}

/// The dead letters are every tree's first sink.
pub const DEAD_LETTERS: SinkIndex = 0;

#[derive(Debug)]
pub struct LayerSpec {
    pub name: String,
    /// The layer it reads from; `None` for the decoded records.
    pub parent: Option<usize>,
    pub steps: Vec<StepSpec>,
    pub positions: bool,
    pub quarantine_late_rows: bool,
    pub sink: SinkIndex,
    pub quarantine: Option<SinkIndex>,
    /// What each row must have for a table that is kept by key.
    pub keyed: Option<KeyedRows>,
}

#[derive(Debug)]
pub struct StepSpec {
    pub name: String,
    pub plugin: Arc<Plugin>,
    pub config: Value,
    pub limits: Limits,
    pub on_error: OnError,
    /// Whether rows that break the step go to the layer's quarantine instead of the dead letters.
    pub quarantines_failed_rows: bool,
}

/// One layer's steps, opened for one task.
pub struct OpenLayer {
    pub steps: Vec<Step>,
    /// The rows that leave the steps.
    pub output: SchemaRef,
}

impl LayerTree {
    /// The same tree without its layers: for records of which no schema is known yet.
    pub fn without_layers(&self) -> Self {
        Self { layers: Vec::new(), sinks: self.sinks.iter().take(DEAD_LETTERS + 1).cloned().collect() }
    }

    /// Opens every step for rows of [`decoded_schema`]. Says what does not fit together.
    pub fn open(&self, decoded: &SchemaRef) -> Result<Vec<OpenLayer>, PluginError> {
        let mut open: Vec<OpenLayer> = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let mut rows = match layer.parent.and_then(|parent| open.get(parent)) {
                Some(parent) => parent.output.clone(),
                None => decoded.clone(),
            };
            let mut steps = Vec::with_capacity(layer.steps.len());
            for spec in &layer.steps {
                let settings = StepSettings {
                    layer: layer.name.as_str().into(),
                    step: spec.name.as_str().into(),
                    config: spec.config.clone(),
                    limits: spec.limits.clone(),
                    on_error: spec.on_error,
                };
                let step = Step::open(spec.plugin.clone(), settings, &rows)?;
                rows = step.output_schema().clone();
                steps.push(step);
            }
            open.push(OpenLayer { steps, output: rows });
        }
        Ok(open)
    }

    /// What each sink's table holds, given the opened layers.
    pub fn sink_schemas(&self, open: &[OpenLayer]) -> Vec<SchemaRef> {
        let mut schemas = vec![QUARANTINE_SCHEMA.clone(); self.sinks.len()];
        let layers = self.layers.iter().zip(open);
        let tables = layers.map(|(layer, open)| (layer.sink, layer.table_schema(&open.output)));
        for (sink, schema) in tables.chain([(DEAD_LETTERS, DEAD_LETTER_SCHEMA.clone())]) {
            if let Some(place) = schemas.get_mut(sink) {
                *place = schema;
            }
        }
        schemas
    }

    /// The names of each layer's steps, in order; the check of keys is the last where there is one.
    pub fn step_names(&self) -> BTreeMap<String, Vec<String>> {
        self.layers.iter().map(|layer| (layer.name.clone(), layer.step_names())).collect()
    }
}

impl LayerSpec {
    fn step_names(&self) -> Vec<String> {
        let steps = self.steps.iter().map(|step| step.name.clone());
        steps.chain(self.keyed.iter().map(|_| keyed_rows::STEP.to_owned())).collect()
    }

    /// Whether a column of the rows goes into the layer's table.
    pub fn has_in_table(&self, column: &str) -> bool {
        !HIDDEN_COLUMNS.contains(&column) && (self.positions || !POSITION_COLUMNS.contains(&column))
    }

    fn table_schema(&self, rows: &Schema) -> SchemaRef {
        let fields = rows.fields().iter().filter(|field| self.has_in_table(field.name())).cloned();
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }
}

impl StepSpec {
    pub fn aggregates(&self) -> bool {
        self.plugin.kind() == PluginKind::Aggregate
    }
}

/// The decoded columns with those that the host adds.
pub fn decoded_schema(payload: &Schema) -> SchemaRef {
    let positions = DEAD_LETTER_SCHEMA.fields().iter().take(POSITION_COLUMNS.len()).cloned();
    let hidden = HIDDEN_COLUMNS.map(|name| Arc::new(Field::new(name, utc_microseconds(), true)));
    Arc::new(Schema::new(payload.fields().iter().cloned().chain(positions).chain(hidden).collect::<Vec<_>>()))
}
