//! Which files rows are written to.

use arrow::datatypes::Schema;

use super::RowsError;

/// How the files of a sink are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileFormat {
    pub encoding: Encoding,
    pub compression: Compression,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Parquet,
    /// One JSON object a line, every column in each.
    JsonLines,
    /// RFC 4180, with a line of names. A null is an empty cell, an empty text is `""`.
    Csv,
}

/// Of the pages in Parquet, of the whole file elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
    /// Of texts, in the framing format.
    Snappy,
}

impl FileFormat {
    /// The files of Delta tables, and those that wait to be merged or sent.
    pub const TABLE: Self = Self { encoding: Encoding::Parquet, compression: Compression::Zstd };

    /// What the names of the files end in, without the first dot.
    pub fn ending(self) -> &'static str {
        match (self.encoding, self.compression) {
            (Encoding::Parquet, _) => "parquet",
            (Encoding::JsonLines, Compression::None) => "jsonl",
            (Encoding::JsonLines, Compression::Gzip) => "jsonl.gz",
            (Encoding::JsonLines, Compression::Zstd) => "jsonl.zst",
            (Encoding::JsonLines, Compression::Snappy) => "jsonl.sz",
            (Encoding::Csv, Compression::None) => "csv",
            (Encoding::Csv, Compression::Gzip) => "csv.gz",
            (Encoding::Csv, Compression::Zstd) => "csv.zst",
            (Encoding::Csv, Compression::Snappy) => "csv.sz",
        }
    }

    /// Whether rows of the schema can be written so. Errors name the column.
    pub fn check(self, rows: &Schema) -> Result<(), RowsError> {
        let nested = rows.fields().iter().find(|field| field.data_type().is_nested());
        match nested {
            Some(field) if self.encoding == Encoding::Csv => Err(RowsError::Column {
                column: field.name().clone(),
                what: format!(
                    "`{}` has no place in CSV: make columns of its parts in a step before (`explode`), or choose \
                     another `format`",
                    field.data_type()
                ),
            }),
            _ => Ok(()),
        }
    }
}
