//! What members and values of JSON say exactly: field names in the order that is expected, decimal numbers, dates
//! and times. For whoever reads rows from JSON or writes them as JSON; text alone, no parser.

pub(crate) mod decimal;
pub(crate) mod names;
pub(crate) mod time;
