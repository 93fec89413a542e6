//! A pipeline that fits together: what to run, under whatever schema the records have.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use super::event_clock::EventTimePlan;
use super::lane::TaskPlan;
use super::outputs::{SinkLayout, WriteError};
use super::tree::{LayerTree, OpenLayer, TreeError, decoded_schema};
use crate::decode::event_time::EventTimeError;
use crate::decode::{DecodeError, DecodeSettings, Decoder};
use crate::ledger::LedgerState;
use crate::schema::RecordSchema;
use crate::sink::delta::Mode;
use crate::sink::rows::FileFormat;

pub struct Blueprint {
    pub tree: Arc<LayerTree>,
    /// In the order of the tree's sinks.
    pub tables: Vec<TableSpec>,
    pub decode: DecodeSettings,
    pub event_time: Option<Arc<EventTimePlan>>,
    /// The declared columns; `None` if the schema is inferred from the records.
    pub declared: Option<RecordSchema>,
}

#[derive(Debug, Clone)]
pub struct TableSpec {
    pub mode: Mode,
    pub partition_by: Vec<String>,
    pub file_size: usize,
    pub format: FileFormat,
}

#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error("decode: {0}")]
    Decode(#[from] DecodeError),
    #[error("event_time: {0}. Declare it in `decode.schema`")]
    EventTime(#[from] EventTimeError),
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error(transparent)]
    Layout(#[from] WriteError),
}

impl Blueprint {
    /// Opens everything once under this schema, and says what does not fit together.
    pub fn plan(&self, records: &RecordSchema) -> Result<TaskPlan, PlanError> {
        self.plan_tree(self.tree.clone(), records)
    }

    /// What to run under the schema in force. While none is known, only decoding, and dead letters: the first record
    /// asks for one.
    pub fn plan_in_force(&self, state: &LedgerState) -> Result<TaskPlan, PlanError> {
        match state.schema.as_ref().or(self.declared.as_ref()) {
            Some(records) => self.plan(records),
            None => self.plan_tree(Arc::new(self.tree.without_layers()), &RecordSchema::default()),
        }
    }

    /// Every step of the tree, for records of this schema.
    pub fn open_layers(&self, records: &RecordSchema) -> Result<Vec<OpenLayer>, PlanError> {
        let decoder = Decoder::new(self.decode.clone(), records.clone())?;
        Ok(self.tree.open(&decoded_schema(decoder.output_schema()))?)
    }

    /// The columns of the decoded records under the schema in force; nothing while none is known.
    pub fn decoded_in_force(&self, state: &LedgerState) -> Result<Option<SchemaRef>, PlanError> {
        let Some(records) = state.schema.as_ref().or(self.declared.as_ref()) else { return Ok(None) };
        self.decoded(records).map(Some)
    }

    /// The columns of records that are decoded under this schema.
    pub fn decoded(&self, records: &RecordSchema) -> Result<SchemaRef, PlanError> {
        Ok(decoded_schema(Decoder::new(self.decode.clone(), records.clone())?.output_schema()))
    }

    fn plan_tree(&self, tree: Arc<LayerTree>, records: &RecordSchema) -> Result<TaskPlan, PlanError> {
        let decoder = Decoder::new(self.decode.clone(), records.clone())?;
        if let Some(event_time) = self.event_time.as_ref().filter(|_| !tree.layers.is_empty()) {
            event_time.check(decoder.output_schema())?;
        }
        let open = tree.open(&decoded_schema(decoder.output_schema()))?;
        let rows = tree.sink_rows(&open);
        let event_time = self.event_time.as_ref().and_then(|event_time| match event_time.path.as_slice() {
            [column] => Some(column.as_str()),
            _ => None,
        });
        let layouts = tree
            .sinks
            .iter()
            .zip(rows)
            .zip(&self.tables)
            .map(|((name, rows), table)| SinkLayout::new(name, rows, table, event_time))
            .collect::<Result<Arc<[SinkLayout]>, _>>()?;
        Ok(TaskPlan {
            event_time: self.event_time.clone().filter(|_| !tree.layers.is_empty()),
            tree,
            decode: self.decode.clone(),
            records: records.clone(),
            layouts,
        })
    }
}
