//! Files of text in memory: JSON lines and CSV.

use std::fmt::Write as _;
use std::io::Write;

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Date32Type, Schema, TimeUnit, TimestampMicrosecondType};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use flate2::write::GzEncoder;

use super::writer::Finished;
use super::{Compression, RowsError};
use crate::json::rows::{Nulls, json_lines, write_timestamp};
use crate::json::time::write_date;

/// Zstandard's level: the one that costs least, as for Parquet.
const ZSTD_LEVEL: i32 = 1;

/// A file that is being written.
pub(super) struct TextFile {
    text: Text,
    compressed: Compressed,
    rows: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Text {
    JsonLines,
    Csv,
}

enum Compressed {
    Plain(Vec<u8>),
    Gzip(GzEncoder<Vec<u8>>),
    Zstd(zstd::Encoder<'static, Vec<u8>>),
    Snappy(Box<snap::write::FrameEncoder<Vec<u8>>>),
}

impl TextFile {
    /// `columns` are those of the rows.
    pub fn open(text: Text, compression: Compression, columns: &Schema) -> Result<Self, RowsError> {
        let into = Vec::new();
        let mut compressed = match compression {
            Compression::None => Compressed::Plain(into),
            Compression::Gzip => Compressed::Gzip(GzEncoder::new(into, flate2::Compression::default())),
            Compression::Zstd => Compressed::Zstd(zstd::Encoder::new(into, ZSTD_LEVEL)?),
            Compression::Snappy => Compressed::Snappy(Box::new(snap::write::FrameEncoder::new(into))),
        };
        if text == Text::Csv {
            let mut header = String::new();
            for (place, field) in columns.fields().iter().enumerate() {
                separate(&mut header, place);
                quote(&mut header, field.name());
            }
            header.push('\n');
            compressed.writer().write_all(header.as_bytes())?;
        }
        Ok(Self { text, compressed, rows: 0 })
    }

    pub fn write(&mut self, rows: &RecordBatch) -> Result<(), RowsError> {
        let bytes = match self.text {
            Text::JsonLines => json_lines(rows, Nulls::Written)?,
            Text::Csv => csv(rows)?.into_bytes(),
        };
        self.compressed.writer().write_all(&bytes)?;
        self.rows += rows.num_rows() as u64;
        Ok(())
    }

    /// Bytes so far; what the compression still holds back is not counted.
    pub fn bytes(&self) -> usize {
        match &self.compressed {
            Compressed::Plain(bytes) => bytes.len(),
            Compressed::Gzip(gzip) => gzip.get_ref().len(),
            Compressed::Zstd(zstd) => zstd.get_ref().len(),
            Compressed::Snappy(snappy) => snappy.get_ref().len(),
        }
    }

    pub fn finish(self) -> Result<Finished, RowsError> {
        let bytes = match self.compressed {
            Compressed::Plain(bytes) => bytes,
            Compressed::Gzip(gzip) => gzip.finish()?,
            Compressed::Zstd(zstd) => zstd.finish()?,
            Compressed::Snappy(snappy) => {
                snappy.into_inner().map_err(|error| std::io::Error::other(error.to_string()))?
            }
        };
        Ok(Finished { bytes: Bytes::from(bytes), rows: self.rows, stats: None })
    }
}

impl Compressed {
    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Plain(bytes) => bytes,
            Self::Gzip(gzip) => gzip,
            Self::Zstd(zstd) => zstd,
            Self::Snappy(snappy) => snappy,
        }
    }
}

fn csv(rows: &RecordBatch) -> Result<String, RowsError> {
    let options = FormatOptions::new();
    let formatters: Vec<_> = rows
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column, &options))
        .collect::<Result<_, _>>()?;
    let (mut text, mut cell) = (String::new(), String::new());
    for row in 0..rows.num_rows() {
        for (place, (column, formatter)) in rows.columns().iter().zip(&formatters).enumerate() {
            separate(&mut text, place);
            if column.is_valid(row) {
                cell.clear();
                write_cell(column, row, formatter, &mut cell);
                quote(&mut text, &cell);
            } else if formatters.len() == 1 {
                // Readers skip empty lines.
                text.push_str("\"\"");
            }
        }
        text.push('\n');
    }
    Ok(text)
}

/// The text of each value, as a cell has it.
pub(in crate::sink) fn texts(column: &dyn Array) -> Result<StringArray, RowsError> {
    let formatter = ArrayFormatter::try_new(column, &FormatOptions::new())?;
    let mut text = String::new();
    let texts = (0..column.len()).map(|row| {
        text.clear();
        column.is_valid(row).then(|| write_cell(column, row, &formatter, &mut text)).map(|()| text.clone())
    });
    Ok(texts.collect())
}

/// Of the types that rows have in files. Times that no calendar tells are numbers.
fn write_cell(column: &dyn Array, row: usize, formatter: &ArrayFormatter<'_>, cell: &mut String) {
    // Writing to a string does not fail, and other types than those of times have a text for every value.
    match column.data_type() {
        DataType::Binary => BASE64_STANDARD.encode_string(column.as_binary::<i32>().value(row), cell),
        DataType::LargeBinary => BASE64_STANDARD.encode_string(column.as_binary::<i64>().value(row), cell),
        DataType::BinaryView => BASE64_STANDARD.encode_string(column.as_binary_view().value(row), cell),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let at = column.as_primitive::<TimestampMicrosecondType>().value(row);
            if !write_timestamp(at, 1_000_000, true, cell) {
                let _ = write!(cell, "{at}");
            }
        }
        DataType::Date32 => {
            let days = column.as_primitive::<Date32Type>().value(row);
            if !write_date(days, cell) {
                let _ = write!(cell, "{days}");
            }
        }
        _ => {
            let _ = write!(cell, "{}", formatter.value(row));
        }
    }
}

fn separate(line: &mut String, place: usize) {
    if place > 0 {
        line.push(',');
    }
}

fn quote(line: &mut String, cell: &str) {
    if !cell.is_empty() && !cell.contains([',', '"', '\n', '\r']) {
        line.push_str(cell);
        return;
    }
    line.push('"');
    for (place, part) in cell.split('"').enumerate() {
        if place > 0 {
            line.push_str("\"\"");
        }
        line.push_str(part);
    }
    line.push('"');
}
