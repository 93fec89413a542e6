//! What members and values of JSON say exactly: field names in the order that is expected, decimal numbers, dates
//! and times; rows as lines. For whoever reads rows from JSON or writes them as JSON; no parser.

pub(crate) mod decimal;
pub(crate) mod names;
pub(crate) mod rows;
pub(crate) mod time;
