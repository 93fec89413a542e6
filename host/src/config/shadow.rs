//! A second plugin beside a step's own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pipeline::Step;
use super::secret::PluginConfig;
use super::step_limits::StepLimits;
use super::units::ByteSize;

/// A plugin that gets the batches of a step after the step's own. What it makes of them is compared and counted, and
/// goes nowhere else; whatever it does, the step and the pipeline go on. No part of the configuration in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shadow {
    /// Like a step's. Of the same kind as the step's plugin: one that aggregates beside one that aggregates.
    pub plugin: String,
    /// The SHA-256 that the component must have, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9a-fA-F]{64}$"))]
    pub sha256: Option<String>,
    /// The step's own, unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<PluginConfig>,
    /// The step's own, unless given. `rejections.max_share` stops nothing here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<StepLimits>,
    /// Where differences are shown. They are only counted, unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<Samples>,
}

/// A file of JSON lines, one for a row that came out otherwise. It holds the rows themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Samples {
    /// A path relative to this file.
    pub file: String,
    /// How many rows of each kind of difference a worker writes. Those that differ in other columns, or by other rules,
    /// are of another kind.
    #[serde(default = "twenty")]
    #[schemars(range(min = 1))]
    pub each: u32,
    /// The file grows no further.
    #[serde(default = "four_mebibytes")]
    pub bytes: ByteSize,
}

fn twenty() -> u32 {
    20
}

fn four_mebibytes() -> ByteSize {
    ByteSize::mebibytes(4)
}

impl Step {
    /// The shadow as a step: what it does not say is the step's own.
    pub fn as_shadow(&self) -> Option<Self> {
        let shadow = self.shadow.as_ref()?;
        Some(Self {
            name: format!("{}.shadow", self.name),
            plugin: shadow.plugin.clone(),
            sha256: shadow.sha256.clone(),
            config: shadow.config.clone().unwrap_or_else(|| self.config.clone()),
            limits: shadow.limits.unwrap_or(self.limits),
            shadow: None,
            ..self.clone()
        })
    }
}
