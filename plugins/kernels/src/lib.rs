//! What several standard plugins do to whole columns.

mod append;
mod cast;
mod gather;
mod text;
mod time_format;

pub use append::{append, empty};
pub use cast::{CastTo, Failed, can_cast, cast, floats, ints, is_int, parse_timestamps};
pub use gather::{NULL, gather};
pub use text::{lower, trim, upper};
pub use time_format::TimeFormat;
