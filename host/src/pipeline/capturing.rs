//! Calls on which a step fails, kept with all that it takes to make them again.
//!
//! A stateless step's call stands for itself. That of a stateful step hangs on its state, which is only known where the
//! open epoch holds nothing else: so it is kept at the end of the search for suspects, when one record is tried alone.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use serde_json::Value;
use tracing::warn;

use super::suspect::Suspect;
use super::task::StepChanges;
use super::tree::{LayerSpec, StepSpec};
use crate::capture::{About, Capture, CapturedState, Captures, FailingRow, PluginFacts};
use crate::changes::{StateChanges, StateKind, StateLayout};
use crate::plugin::{CONTRACT_VERSION, FaultyCall, OnError, Step};
use crate::progress::{OffsetRange, TopicPartition};
use crate::state;

/// A layer's and a step's name.
type StepName = (String, String);

/// Who keeps them, and what a capture says beside the call.
#[derive(Debug, Clone)]
pub struct Capturing {
    pub captures: Captures,
    pub pipeline: String,
    /// The configurations as the pipeline file has them: what is interpolated may be secret.
    pub configs: Arc<HashMap<StepName, Value>>,
}

/// What stateful steps remember at the last cut of a task that has suspects.
#[derive(Debug, Default)]
pub struct StateAtCut {
    by_step: HashMap<StepName, (StateLayout, Vec<StateChanges>)>,
}

impl StateAtCut {
    pub fn restored(&mut self, layer: &str, step: &str, layout: StateLayout, rows: RecordBatch) {
        let changes = StateChanges { upserts: Some(rows), deletes: None };
        self.by_step.insert((layer.to_owned(), step.to_owned()), (layout, vec![changes]));
    }

    pub fn cut(&mut self, cut: &StepChanges) {
        let name = (cut.layer.clone(), cut.step.clone());
        let known = self.by_step.entry(name).or_insert_with(|| (cut.layout.clone(), Vec::new()));
        if cut.kind == StateKind::Base {
            *known = (cut.layout.clone(), Vec::new());
        }
        known.1.push(cut.changes.clone());
    }

    /// Nothing, in the layout `own`, of a step that has not remembered anything yet.
    fn of(&self, layer: &str, step: &str, own: &StateLayout) -> Result<CapturedState, state::StateError> {
        let known = self.by_step.get(&(layer.to_owned(), step.to_owned())).cloned();
        let (layout, changes) = known.unwrap_or_else(|| (own.clone(), Vec::new()));
        let rows = state::compact(&layout, None, changes)?;
        Ok(CapturedState::Known { layout, rows })
    }
}

/// A batch on its way through the layers, as far as captures are concerned.
pub struct Scene<'a> {
    pub partition: &'a TopicPartition,
    pub range: OffsetRange,
    pub suspect: Option<&'a Suspect>,
    pub state: Option<&'a StateAtCut>,
}

impl Capturing {
    /// Keeps the call on which the step has failed, if it can be made again.
    pub fn keep(&self, scene: &Scene<'_>, layer: &LayerSpec, spec: &StepSpec, step: &Step, call: FaultyCall) {
        let state = match step.state_layout() {
            None => CapturedState::Stateless,
            Some(_) if spec.on_error == OnError::Stop => CapturedState::Unknown,
            Some(layout) => {
                let isolated = scene.suspect.is_some_and(|suspect| suspect.isolates(scene.range));
                let Some(state) = scene.state.filter(|_| isolated) else { return };
                match state.of(&layer.name, &spec.name, layout) {
                    Ok(state) => state,
                    Err(error) => {
                        let (layer, step) = (&layer.name, &spec.name);
                        return warn!(layer, step, "a call that failed is not captured: {error}");
                    }
                }
            }
        };
        let config = self.configs.get(&(layer.name.clone(), spec.name.clone()));
        let plugin = step.plugin();
        let about = About {
            host: env!("CARGO_PKG_VERSION").to_owned(),
            contract: CONTRACT_VERSION.to_owned(),
            captured_at: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
            pipeline: self.pipeline.clone(),
            layer: layer.name.clone(),
            step: spec.name.clone(),
            plugin: PluginFacts {
                name: plugin.name().to_string(),
                version: plugin.version().to_owned(),
                sha256: plugin.digest().to_owned(),
            },
            topic: scene.partition.topic.to_string(),
            partition: scene.partition.partition,
            range: scene.range,
            config: config.cloned().unwrap_or_default(),
            limits: call.limits,
            granted: spec.grants.capabilities().iter().map(ToString::to_string).collect(),
            reference: spec.reference.as_ref().map(|table| table.version.clone()),
            watermark: call.watermark,
            fault: call.fault,
            failing_rows: call.failing_rows.map(numbered),
        };
        self.captures.keep(Capture { about, input: call.input, rows: call.rows, state });
    }
}

fn numbered(rows: Vec<(usize, String)>) -> Vec<FailingRow> {
    rows.into_iter().map(|(row, reason)| FailingRow { row, reason }).collect()
}
