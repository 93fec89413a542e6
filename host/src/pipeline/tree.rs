//! The tree of layers with its plugins loaded: what every task of a worker opens for itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use serde_json::Value;

use super::capturing::Capturing;
use super::keyed_rows::{self, KeyedRows};
use super::message_rows;
use super::outputs::{SinkRows, WriteError};
use super::references::RefusedTable;
use super::shadow::{Shadow, ShadowSpec};
use super::share_limit::ShareLimit;
use super::side_rows::{
    DEAD_LETTER_SCHEMA, HIDDEN_COLUMNS, POSITION_COLUMNS, QUARANTINE_SCHEMA, utc_microseconds,
};
use crate::plugin::{
    Grants, Limits, OnError, Plugin, PluginError, PluginKind, Step, StepError, StepSettings,
};
use crate::reference_table::ReferenceTable;
use crate::sink::kafka::{MESSAGE_SCHEMA, MessageEncoder, MessageSettings};

/// The place of a sink in [`LayerTree::sinks`].
pub type SinkIndex = usize;

#[derive(Debug, Clone)]
pub struct LayerTree {
    /// Parents stand before their children.
    pub layers: Vec<LayerSpec>,
    /// The names of all sinks: the dead letters, then those of the layers and their quarantines.
    pub sinks: Vec<String>,
    /// Who keeps the calls on which steps fail, if anybody does.
    pub capturing: Option<Capturing>,
}

/// The dead letters are every tree's first sink.
pub const DEAD_LETTERS: SinkIndex = 0;

#[derive(Debug, Clone)]
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
    /// How rows become messages, where the sink is a topic.
    pub messages: Option<MessageSettings>,
}

#[derive(Debug, Clone)]
pub struct StepSpec {
    pub name: String,
    pub plugin: Arc<Plugin>,
    pub config: Value,
    /// The version in use of the table that the plugin looks rows up in.
    pub reference: Option<Arc<ReferenceTable>>,
    pub limits: Limits,
    pub grants: Arc<Grants>,
    pub on_error: OnError,
    /// How many rows may be rejected.
    pub rejections: ShareLimit,
    /// Whether rows that break the step go to the layer's quarantine instead of the dead letters.
    pub quarantines_failed_rows: bool,
    pub shadow: Option<Arc<ShadowSpec>>,
}

/// One layer's steps, opened for one task.
pub struct OpenLayer {
    pub steps: Vec<Step>,
    /// For each step, once they are [opened](LayerTree::open_shadows).
    pub shadows: Vec<Option<Shadow>>,
    /// The rows that leave the steps.
    pub output: SchemaRef,
    /// Turns them into messages, where the sink is a topic.
    pub messages: Option<MessageEncoder>,
}

/// Why a tree cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    #[error(transparent)]
    Plugin(#[from] PluginError),
    #[error(transparent)]
    Messages(#[from] Box<WriteError>),
}

impl LayerTree {
    /// The same tree without its layers: for records of which no schema is known yet.
    pub fn without_layers(&self) -> Self {
        Self {
            layers: Vec::new(),
            sinks: self.sinks.iter().take(DEAD_LETTERS + 1).cloned().collect(),
            capturing: None,
        }
    }

    /// The same tree without its shadows: for what is only tried, and would take their seats.
    pub fn without_shadows(&self) -> Self {
        let mut tree = self.clone();
        tree.layers.iter_mut().flat_map(|layer| &mut layer.steps).for_each(|step| step.shadow = None);
        tree
    }

    /// Opens every step for rows of [`decoded_schema`]. Says what does not fit together.
    pub fn open(&self, decoded: &SchemaRef) -> Result<Vec<OpenLayer>, TreeError> {
        let mut open: Vec<OpenLayer> = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let mut rows = match layer.parent.and_then(|parent| open.get(parent)) {
                Some(parent) => parent.output.clone(),
                None => decoded.clone(),
            };
            let mut steps = Vec::with_capacity(layer.steps.len());
            for spec in &layer.steps {
                let step = spec.open(&layer.name, &rows)?;
                rows = step.output_schema().clone();
                steps.push(step);
            }
            let messages = layer.messages.clone().map(|settings| layer.message_encoder(&rows, settings));
            open.push(OpenLayer {
                shadows: steps.iter().map(|_| None).collect(),
                steps,
                messages: messages.transpose()?,
                output: rows,
            });
        }
        Ok(open)
    }

    /// Opens the shadows beside their steps. One that cannot be opened is no reason to stop.
    pub fn open_shadows(&self, open: &mut [OpenLayer]) {
        for (spec, open) in self.layers.iter().zip(open) {
            let steps = spec.steps.iter().zip(&open.steps);
            open.shadows =
                steps.map(|(spec, step)| Some(Shadow::open(spec.shadow.as_ref()?, step))).collect();
        }
    }

    /// All shadows.
    pub fn shadows(&self) -> impl Iterator<Item = &Arc<ShadowSpec>> {
        self.layers.iter().flat_map(|layer| &layer.steps).filter_map(|step| step.shadow.as_ref())
    }

    /// Opens the steps that look rows up, and loads their tables. Says which table cannot be used.
    pub fn try_references(&self, decoded: &SchemaRef) -> Result<(), RefusedTable> {
        let mut open = self.open(decoded)?;
        for (layer, open) in self.layers.iter().zip(&mut open) {
            layer.prepare(open)?;
        }
        Ok(())
    }

    /// The rows of each sink, given the opened layers.
    pub fn sink_rows(&self, open: &[OpenLayer]) -> Vec<SinkRows> {
        let table = |written| SinkRows { written, messages: None };
        let mut rows = vec![table(QUARANTINE_SCHEMA.clone()); self.sinks.len()];
        let layers = self.layers.iter().zip(open).map(|(layer, open)| {
            let rows = match &open.messages {
                Some(messages) => {
                    SinkRows { written: MESSAGE_SCHEMA.clone(), messages: Some(messages.body()) }
                }
                None => table(layer.table_schema(&open.output)),
            };
            (layer.sink, rows)
        });
        for (sink, of_sink) in layers.chain([(DEAD_LETTERS, table(DEAD_LETTER_SCHEMA.clone()))]) {
            if let Some(place) = rows.get_mut(sink) {
                *place = of_sink;
            }
        }
        rows
    }

    /// The names of each layer's steps, in order; the sink's own check is the last where there is one.
    pub fn step_names(&self) -> BTreeMap<String, Vec<String>> {
        self.layers.iter().map(|layer| (layer.name.clone(), layer.step_names())).collect()
    }
}

impl LayerSpec {
    /// Loads the tables of the steps that look rows up.
    pub fn prepare(&self, open: &mut OpenLayer) -> Result<(), StepError> {
        let looking_up = self.steps.iter().zip(&mut open.steps).filter(|(spec, _)| spec.reference.is_some());
        looking_up.map(|(_, step)| step).try_for_each(Step::prepare)
    }

    fn step_names(&self) -> Vec<String> {
        let steps = self.steps.iter().map(|step| step.name.clone());
        let keyed = self.keyed.iter().map(|_| keyed_rows::STEP.to_owned());
        let messages = self.messages.iter().map(|_| message_rows::STEP.to_owned());
        steps.chain(keyed).chain(messages).collect()
    }

    /// Whether a column of the rows goes into the layer's table.
    pub fn has_in_table(&self, column: &str) -> bool {
        !HIDDEN_COLUMNS.contains(&column) && (self.positions || !POSITION_COLUMNS.contains(&column))
    }

    fn message_encoder(&self, rows: &Schema, settings: MessageSettings) -> Result<MessageEncoder, TreeError> {
        let encoder = MessageEncoder::new(rows, |column| self.has_in_table(column), settings);
        encoder.map_err(|error| Box::new(WriteError { sink: self.name.clone(), error }).into())
    }

    fn table_schema(&self, rows: &Schema) -> SchemaRef {
        let fields = rows.fields().iter().filter(|field| self.has_in_table(field.name())).cloned();
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }
}

impl StepSpec {
    /// Opens the step for rows of this schema.
    pub fn open(&self, layer: &str, rows: &SchemaRef) -> Result<Step, PluginError> {
        let settings = StepSettings {
            layer: layer.into(),
            step: self.name.as_str().into(),
            config: self.config.clone(),
            limits: self.limits.clone(),
            on_error: self.on_error,
            grants: self.grants.clone(),
        };
        Step::open_with_reference(self.plugin.clone(), settings, rows, self.reference.clone())
    }

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
