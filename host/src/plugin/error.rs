//! What can go wrong with a plugin, said so that a user knows where and what to do.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::bindings::CONTRACT_VERSION;

/// Why the engine did not start, or a component is not a plugin that this host runs.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    #[error("the WebAssembly runtime did not start: {0}")]
    Engine(String),
    #[error("cannot use `{path}` as the directory of compiled plugins: {reason}")]
    Cache { path: PathBuf, reason: String },
    #[error("cannot read the plugin `{path}`: {reason}")]
    Read { path: PathBuf, reason: String },
    #[error(
        "the plugin `{path}` has the digest {found}, but the pipeline asks for {expected}: \
         put the right file there, or change `sha256`"
    )]
    Digest { path: PathBuf, expected: String, found: String },
    #[error("`{path}` is not a WebAssembly component: {what}")]
    Form { path: PathBuf, what: &'static str },
    #[error("`{path}` is not a WebAssembly component that can be compiled: {reason}")]
    Compile { path: PathBuf, reason: String },
    #[error(
        "the plugin `{path}` is built for sluicebox:plugin@{found}, this host runs sluicebox:plugin@{runs}: \
         build it against wit/ of this version",
        runs = CONTRACT_VERSION
    )]
    Version { path: PathBuf, found: String },
    #[error("`{path}` is not a plugin: {what}")]
    Contract { path: PathBuf, what: String },
    /// Its configuration or its input is not what the plugin needs, or its plan is not sound.
    #[error("{at}: {what}")]
    Step { at: At, what: String },
}

/// Why a step cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The pipeline must stop: trying again gives the same.
    #[error("{at}: {what}")]
    Refused { at: At, what: String },
    /// The instance of a stateful step is lost, with its state. The task goes back to its last epoch.
    #[error("{at}: {what}; its state is lost and must be restored from the last epoch")]
    Broken { at: At, what: String },
}

impl StepError {
    /// What happened, without where.
    pub fn into_what(self) -> String {
        match self {
            Self::Refused { what, .. } | Self::Broken { what, .. } => what,
        }
    }
}

/// Which step of which layer, and the plugin in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At {
    pub layer: Arc<str>,
    pub step: Arc<str>,
    pub plugin: Arc<str>,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "layer `{}`, step `{}` (plugin {})", self.layer, self.step, self.plugin)
    }
}

/// How one call of a plugin failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("the plugin refuses its configuration: {0}")]
    Config(String),
    #[error("the plugin refuses its input: {0}")]
    Schema(String),
    #[error("the plugin cannot process the data: {0}")]
    Data(String),
    #[error("the plugin trapped: {0}")]
    Trap(String),
    #[error("the plugin used more than {} ms of CPU time in one call", .0.as_millis())]
    Time(Duration),
    #[error("the plugin asked for more than its {0} bytes of memory")]
    Memory(usize),
    #[error("the plugin gave back more than {0} bytes at once")]
    Output(usize),
    #[error("the plugin gave back a malformed value: {0}")]
    Malformed(String),
    #[error("the plugin cannot be instantiated: {0}")]
    Instantiate(String),
}

impl Fault {
    /// Whether another batch or other rows cannot make a difference.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Config(_) | Self::Schema(_) | Self::Instantiate(_))
    }

    /// Whether the instance must not be used again.
    pub fn ends_instance(&self) -> bool {
        !matches!(self, Self::Config(_) | Self::Schema(_) | Self::Data(_))
    }
}
