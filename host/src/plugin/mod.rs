//! Plugins: sandboxed components that process rows. The only place that knows wasmtime.
//!
//! An [`Engine`] loads a [`Plugin`]; each task opens its own [`Step`]s with it and sends [`Rows`] through
//! them. A plugin is hostile until shown otherwise: what it uses is limited ([`Limits`]), everything it
//! gives back is checked before it becomes an Arrow array, and it can fail only its own step.

mod bindings;
mod cache;
mod capability;
mod compiler;
mod component;
mod config;
mod engine;
mod error;
mod facts;
mod fates;
mod faulty_call;
mod form;
#[cfg(test)]
mod fuzz;
mod grants;
mod guest;
mod instance;
mod joining;
mod lift;
mod limits;
mod lower;
mod outcome;
mod plan;
mod records;
mod recycling;
mod reference;
mod replay;
#[cfg(test)]
mod round_trip;
mod rows;
mod schema;
mod search;
mod select;
mod state;
mod step;
mod text;
mod wasi;

pub use bindings::CONTRACT_VERSION;
pub use capability::Capability;
pub use compiler::{CompileLimits, Compiler, run_child as compile_as_child};
pub use component::{MAX_COMPONENT, Plugin, PluginKind, read_component};
pub use engine::{Engine, EngineSettings, MAX_SHADOWS};
pub use error::{At, PluginError, StepError};
pub use facts::GivesBack;
pub use fates::Fates;
pub use faulty_call::FaultyCall;
pub use grants::{GrantError, Grants, HttpHost};
pub use guest::{Metric, Metrics};
pub use limits::{Limits, thread_cpu_time};
pub use outcome::Rejected;
pub use recycling::Recycling;
pub use replay::{Replay, ReplayedFate, ReplayedRows};
pub use rows::Rows;
pub use schema::HOST_COLUMNS;
pub use step::{Failed, OnError, Step, StepOutcome, StepSettings};
pub use text::sanitised;
