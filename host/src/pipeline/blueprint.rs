//! A pipeline that fits together: what to run, under whatever schema the records have.

use std::sync::Arc;

use super::lane::TaskPlan;
use super::outputs::{SinkLayout, WriteError};
use super::tree::LayerTree;
use crate::decode::{DecodeSettings, EventClock};
use crate::plugin::PluginError;
use crate::schema::RecordSchema;

pub struct Blueprint {
    pub tree: Arc<LayerTree>,
    /// In the order of the tree's sinks.
    pub tables: Vec<TableSpec>,
    pub decode: DecodeSettings,
    pub clock: EventClock,
    /// The column that folders by date and hour follow.
    pub event_time: Option<String>,
    /// The declared columns; `None` if the schema is inferred from the records.
    pub declared: Option<RecordSchema>,
}

#[derive(Debug, Clone)]
pub struct TableSpec {
    pub partition_by: Vec<String>,
    pub file_size: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error(transparent)]
    Plugin(#[from] PluginError),
    #[error(transparent)]
    Layout(#[from] WriteError),
}

impl Blueprint {
    /// Opens everything once under this schema, and says what does not fit together.
    pub fn plan(&self, records: &RecordSchema) -> Result<TaskPlan, PlanError> {
        self.plan_tree(self.tree.clone(), records)
    }

    /// While no schema is known: only decoding, and dead letters. The first record asks for a schema.
    pub fn plan_without_schema(&self) -> Result<TaskPlan, PlanError> {
        self.plan_tree(Arc::new(self.tree.without_layers()), &RecordSchema::default())
    }

    fn plan_tree(&self, tree: Arc<LayerTree>, records: &RecordSchema) -> Result<TaskPlan, PlanError> {
        let open = tree.open(records)?;
        let schemas = tree.sink_schemas(&open);
        let layouts = tree
            .sinks
            .iter()
            .zip(schemas)
            .zip(&self.tables)
            .map(|((name, rows), table)| {
                SinkLayout::new(name, rows, &table.partition_by, self.event_time.as_deref(), table.file_size)
            })
            .collect::<Result<Arc<[SinkLayout]>, _>>()?;
        Ok(TaskPlan {
            tree,
            decode: self.decode.clone(),
            clock: self.clock.clone(),
            records: records.clone(),
            layouts,
        })
    }
}
