//! What several standard plugins do to whole columns.

mod cast;
mod text;
mod time_format;

pub use cast::{CastTo, Failed, can_cast, cast, floats, ints, is_int, parse_timestamps};
pub use text::{lower, trim, upper};
pub use time_format::TimeFormat;
