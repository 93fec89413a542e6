//! Rows for a Kafka topic: each must fit into a message.
//!
//! They become messages before their epoch is entered, so that what is refused is in the entry's sums.

use arrow::array::{Array, BooleanArray, RecordBatch, StringArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter_record_batch;
use arrow::error::ArrowError;

use super::keyed_rows::{Checked, Refused};
use crate::sink::kafka::MessageEncoder;
use crate::sink::rows::RowsError;

/// What the check is called among a layer's steps. No step of a pipeline file can have the name.
pub const STEP: &str = "_kafka";

const TOO_LARGE: &str = "too_large";

/// Rows that become messages at once: as texts they may be far larger than they are.
const ROWS_AT_ONCE: usize = 1024;

/// Hands the messages of the rows that fit to `write`, and says what the check came to.
pub fn encode(
    encoder: &MessageEncoder,
    rows: RecordBatch,
    mut write: impl FnMut(&RecordBatch) -> Result<(), RowsError>,
) -> Result<Checked, RowsError> {
    let mut too_large = Vec::new();
    for from in (0..rows.num_rows()).step_by(ROWS_AT_ONCE) {
        let slice = rows.slice(from, ROWS_AT_ONCE.min(rows.num_rows() - from));
        let encoded = encoder.encode(&slice)?;
        write(&encoded.messages)?;
        too_large.extend(encoded.too_large.unwrap_or_else(|| vec![None; slice.num_rows()]));
    }
    match too_large.iter().all(Option::is_none) {
        true => Ok(Checked { kept: rows, refused: None }),
        false => Ok(without(&rows, &too_large, encoder)?),
    }
}

/// `too_large` are the bytes of each row's message, where they are too many.
fn without(
    rows: &RecordBatch,
    too_large: &[Option<usize>],
    encoder: &MessageEncoder,
) -> Result<Checked, ArrowError> {
    let fits = BooleanBuffer::collect_bool(rows.num_rows(), |row| {
        too_large.get(row).is_none_or(|too_large| too_large.is_none())
    });
    let refused = BooleanArray::new(!&fits, None);
    let reasons = too_large
        .iter()
        .flatten()
        .map(|bytes| format!("its message has {bytes} bytes, above `max_message` ({})", encoder.max_bytes()));
    let reasons = StringArray::from_iter_values(reasons);
    Ok(Checked {
        kept: filter_record_batch(rows, &BooleanArray::new(fits, None))?,
        refused: Some(Refused {
            rows: filter_record_batch(rows, &refused)?,
            rules: vec![TOO_LARGE; reasons.len()],
            reasons,
        }),
    })
}
