//! Rows to data files: what all sinks have in common that keep rows in files.
//!
//! | module | what it does |
//! |---|---|
//! | `written` | the types that rows have in files and tables |
//! | `partition` | partition columns: derived, escaped, split off the rows |
//! | `format` | which files there are |
//! | `writer` | rows to files in memory |
//! | `parquet`, `text` | one file of each format |
//! | `stats` | the statistics of a Parquet file |
//! | `upload` | files to their place, durably |
//! | `in_place` | whether they are still there |

mod format;
mod in_place;
mod parquet;
mod partition;
mod stats;
mod text;
mod upload;
mod writer;
mod written;

#[cfg(test)]
pub(in crate::sink) mod tests;

pub use self::format::{Compression, Encoding, FileFormat};
pub use self::in_place::{InPlace, in_place};
pub(in crate::sink) use self::partition::Values;
pub use self::partition::{PartitionSettings, Partitioning, is_staged};
pub(in crate::sink) use self::text::texts;
pub use self::upload::upload;
pub use self::writer::{EncodedFile, RowWriter, WriterSettings};
pub(in crate::sink) use self::written::as_written;
pub use self::written::written_schema;

/// What can be wrong with rows, schemas or settings before anything is made visible.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    #[error("column `{column}`: {what}")]
    Column { column: String, what: String },
    #[error("the table's schema cannot take these rows: {0}")]
    Schema(String),
    #[error("the rows fall into more than {limit} partitions at once: partition by a coarser column")]
    TooManyPartitions { limit: usize },
    #[error("rows came with another schema than the writer was opened with: {0}")]
    OtherRows(String),
    #[error("encoding Parquet: {0}")]
    Parquet(#[from] ::parquet::errors::ParquetError),
    #[error("encoding text: {0}")]
    Text(#[from] std::io::Error),
    #[error("converting rows: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
    #[error("storing `{path}`: {source}")]
    Store { path: String, source: object_store::Error },
}

/// What is wrong with a column.
pub(in crate::sink) fn refused<T>(column: &str, what: &str) -> Result<T, RowsError> {
    Err(RowsError::Column { column: column.to_owned(), what: what.to_owned() })
}
