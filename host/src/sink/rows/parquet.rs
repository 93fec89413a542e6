//! Parquet files in memory.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::arrow::arrow_writer::ArrowWriterOptions;
use ::parquet::basic::{self, Encoding, GzipLevel, PageType, ZstdLevel};
use ::parquet::column::page::{Page, PageReader};
use ::parquet::file::metadata::{PageEncodingStats, ParquetMetaData};
use ::parquet::file::properties::{EnabledStatistics, WriterProperties};
use ::parquet::file::serialized_reader::SerializedPageReader;
use ::parquet::file::statistics::Statistics;
use ::parquet::schema::types::ColumnPath;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;

use super::writer::Finished;
use super::{Compression, RowsError, stats};

/// How many files a column goes without a dictionary before it is tried again.
const FILES_WITHOUT_DICTIONARY: u64 = 32;
/// With fewer rows nothing can be said about how distinct they are.
const ROWS_TO_JUDGE: i64 = 1024;

pub(super) type ParquetFile = ArrowWriter<Vec<u8>>;

/// Opens and finishes files, and learns from one for the next.
pub(super) struct ParquetFiles {
    schema: SchemaRef,
    compression: Compression,
    /// Leaf columns whose values are mostly distinct, and the file from which they get a dictionary again.
    without_dictionary: HashMap<ColumnPath, u64>,
    files: u64,
}

impl ParquetFiles {
    pub fn new(schema: SchemaRef, compression: Compression) -> Self {
        Self { schema, compression, without_dictionary: HashMap::new(), files: 0 }
    }

    pub fn open(&mut self) -> Result<ParquetFile, RowsError> {
        let now = self.files;
        self.files += 1;
        self.without_dictionary.retain(|_, again| *again > now);
        let mut properties = WriterProperties::builder()
            .set_compression(codec(self.compression)?)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_offset_index_disabled(true)
            .set_created_by(concat!("sluicebox version ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_coerce_types(true);
        for column in self.without_dictionary.keys() {
            properties = properties.set_column_dictionary_enabled(column.clone(), false);
        }
        // Readers go by the file's own schema; Arrow's would only tell them of our types.
        let options =
            ArrowWriterOptions::new().with_properties(properties.build()).with_skip_arrow_metadata(true);
        Ok(ArrowWriter::try_new_with_options(Vec::new(), self.schema.clone(), options)?)
    }

    pub fn finish(&mut self, mut file: ParquetFile) -> Result<Finished, RowsError> {
        let footer = file.finish()?;
        let bytes = Bytes::from(std::mem::take(file.inner_mut()));
        for column in mostly_distinct(&bytes, &footer)? {
            self.without_dictionary.insert(column, self.files + FILES_WITHOUT_DICTIONARY);
        }
        let stats = stats::stats(self.schema.fields(), &footer);
        let rows = u64::try_from(footer.file_metadata().num_rows()).unwrap_or_default();
        Ok(Finished { bytes, rows, stats: Some(stats) })
    }
}

fn codec(compression: Compression) -> Result<basic::Compression, RowsError> {
    Ok(match compression {
        Compression::None => basic::Compression::UNCOMPRESSED,
        Compression::Gzip => basic::Compression::GZIP(GzipLevel::default()),
        Compression::Zstd => basic::Compression::ZSTD(ZstdLevel::try_new(1)?),
        Compression::Snappy => basic::Compression::SNAPPY,
    })
}

/// Leaf columns whose dictionary did not pay: most of their values are distinct, or too many for one page.
fn mostly_distinct(file: &Bytes, footer: &ParquetMetaData) -> Result<HashSet<ColumnPath>, RowsError> {
    let mut columns = HashSet::new();
    let file = Arc::new(file.clone());
    for group in footer.row_groups().iter().filter(|group| group.num_rows() >= ROWS_TO_JUDGE) {
        let rows = usize::try_from(group.num_rows()).unwrap_or_default();
        for chunk in group.columns().iter().filter(|chunk| chunk.dictionary_page_offset().is_some()) {
            let overflowed =
                chunk.page_encoding_stats().is_some_and(|pages| pages.iter().any(is_plain_data_page));
            let mut pages = SerializedPageReader::new(Arc::clone(&file), chunk, rows, None)?;
            let distinct = match pages.get_next_page()? {
                Some(Page::DictionaryPage { num_values, .. }) => i64::from(num_values),
                _ => 0,
            };
            let nulls = chunk.statistics().and_then(Statistics::null_count_opt).unwrap_or_default();
            let values = chunk.num_values() - i64::try_from(nulls).unwrap_or_default();
            if overflowed || distinct * 2 > values {
                columns.insert(chunk.column_path().clone());
            }
        }
    }
    Ok(columns)
}

fn is_plain_data_page(pages: &PageEncodingStats) -> bool {
    pages.page_type != PageType::DICTIONARY_PAGE && pages.encoding == Encoding::PLAIN
}
