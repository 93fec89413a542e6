mod bindings;
mod error;
mod lift;
mod limits;
mod lower;
mod rows;
mod schema;
mod select;
mod text;

pub use error::{At, PluginError, StepError};
pub use limits::Limits;
pub use rows::Rows;
pub use schema::HOST_COLUMNS;
