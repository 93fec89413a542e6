//! The rows of one task in order, with what the host knows of each, and the ways to cut them into batches.

use std::ops::Range;
use std::sync::Arc;

use anyhow::{Result, bail};
use arrow::array::{ArrayRef, AsArray, RecordBatch, TimestampMicrosecondArray, new_null_array};
use arrow::compute::{concat, filter_record_batch};
use arrow::datatypes::TimestampMicrosecondType;

use super::records::RecordRows;
use crate::decode::event_time::{EventTimeSettings, event_time_column, watermarks};
use crate::pipeline::tree::decoded_schema;
use crate::schema::timestamp_type;

/// How rows get their event time.
#[derive(Debug, Clone)]
pub struct EventTime {
    /// The fields from the top, `["reading", "ts"]` for `reading.ts`.
    pub path: Vec<String>,
    pub settings: EventTimeSettings,
}

/// A batch as it was given: so many of the rows, and where the watermark is afterwards, if it moves further than
/// the rows say (microseconds).
#[derive(Debug, Clone, Copy)]
pub struct Written {
    pub rows: usize,
    pub watermark: Option<i64>,
}

/// One call of a step: rows, and the task's watermark after them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub rows: Range<usize>,
    pub watermark: Option<i64>,
}

/// Where batches are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    AsWritten,
    /// After so many rows, at least one.
    Every(usize),
    /// Nowhere.
    Whole,
}

#[derive(Debug)]
pub struct Stream {
    /// With all the columns that a pipeline's rows have.
    pub rows: RecordBatch,
    /// For each row whether it is behind its own watermark.
    pub late: Vec<bool>,
    written: Vec<Piece>,
    /// Each row's own watermark.
    watermarks: Vec<Option<i64>>,
    last_watermark: Option<i64>,
}

impl Stream {
    /// `written` has all the rows. Says which of its watermarks goes back.
    pub fn new(records: RecordRows, event_time: Option<&EventTime>, written: &[Written]) -> Result<Self> {
        let RecordRows { payload, positions, .. } = records;
        let times = match event_time {
            Some(event_time) => event_time_column(&payload, &event_time.path)?,
            None => new_null_array(&timestamp_type(), payload.num_rows())
                .as_primitive::<TimestampMicrosecondType>()
                .clone(),
        };
        let settings =
            event_time.map_or(EventTimeSettings { delay: 0, max_ahead: None }, |given| given.settings);
        let broker = positions[3].as_primitive::<TimestampMicrosecondType>();
        let mut clock = Clock { settings, max_event_time: None };
        let (mut own, mut late, mut pieces) = (Vec::new(), Vec::new(), Vec::new());
        let mut start = 0;
        for (number, batch) in written.iter().enumerate() {
            let (times, broker) = (times.slice(start, batch.rows), broker.slice(start, batch.rows));
            let found = watermarks(&times, &broker, clock.max_event_time, settings);
            late.extend(found.late.iter().map(|late| late == Some(true)));
            own.push(Arc::new(found.watermark) as ArrayRef);
            clock.max_event_time = found.max_event_time;
            if !batch.watermark.is_none_or(|watermark| clock.advance_to(watermark)) {
                bail!(
                    "the watermark of batch {} goes back: the rows before it have moved it further",
                    number + 1
                );
            }
            pieces.push(Piece { rows: start..start + batch.rows, watermark: clock.watermark() });
            start += batch.rows;
        }
        let own = match own.is_empty() {
            true => new_null_array(&timestamp_type(), 0),
            false => concat(&own.iter().map(AsRef::as_ref).collect::<Vec<_>>())?,
        };
        let own_times: &TimestampMicrosecondArray = own.as_primitive();
        let own_watermarks = own_times.iter().collect();
        let schema = decoded_schema(&payload.schema());
        let hidden: [ArrayRef; 2] = [Arc::new(times), own];
        let columns = payload.columns().iter().cloned().chain(positions).chain(hidden).collect();
        Ok(Self {
            rows: RecordBatch::try_new(schema, columns)?,
            late,
            written: pieces,
            watermarks: own_watermarks,
            last_watermark: clock.watermark(),
        })
    }

    /// All rows in order, in the batches of that cut.
    pub fn pieces(&self, cut: Cut) -> Vec<Piece> {
        let rows = self.rows.num_rows();
        match cut {
            Cut::AsWritten => self.written.clone(),
            Cut::Every(size) if rows > 0 => {
                let starts = (0..rows).step_by(size.max(1));
                starts.map(|start| self.piece(start..rows.min(start + size.max(1)))).collect()
            }
            Cut::Every(_) | Cut::Whole => vec![self.piece(0..rows)],
        }
    }

    /// The watermark after a row is the next one's own.
    fn piece(&self, rows: Range<usize>) -> Piece {
        let watermark = self.watermarks.get(rows.end).copied().unwrap_or(self.last_watermark);
        Piece { rows, watermark }
    }

    /// The rows of a piece; without those that are behind their watermark, if they are for an aggregate.
    pub fn rows_of(&self, piece: &Piece, for_aggregate: bool) -> Result<RecordBatch> {
        let rows = self.rows.slice(piece.rows.start, piece.rows.len());
        if !for_aggregate {
            return Ok(rows);
        }
        let in_time = self.late[piece.rows.clone()].iter().map(|late| Some(!late)).collect();
        Ok(filter_record_batch(&rows, &in_time)?)
    }
}

struct Clock {
    settings: EventTimeSettings,
    max_event_time: Option<i64>,
}

impl Clock {
    fn watermark(&self) -> Option<i64> {
        self.max_event_time.map(|max| max.saturating_sub(self.settings.delay))
    }

    /// Whether it does not go back.
    fn advance_to(&mut self, watermark: i64) -> bool {
        if self.watermark().is_some_and(|now| now > watermark) {
            return false;
        }
        self.max_event_time = Some(watermark.saturating_add(self.settings.delay));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::plugin::records::{Records, declared_columns};

    const SECOND: i64 = 1_000_000;

    fn stream(seconds: &[u32], written: &[Written]) -> Result<Stream> {
        let mut records = Records::new();
        for second in seconds {
            let payload = format!(r#"{{"at": "1970-01-01T00:00:{second:02}Z"}}"#);
            records.push(Some(payload.as_bytes()), None, None);
        }
        let declared = declared_columns([("at", "timestamp")]).unwrap();
        let settings = EventTimeSettings { delay: 5 * SECOND, max_ahead: None };
        let event_time = EventTime { path: vec!["at".to_owned()], settings };
        Stream::new(records.decode(&declared).unwrap(), Some(&event_time), written)
    }

    fn piece(rows: Range<usize>, seconds: Option<i64>) -> Piece {
        Piece { rows, watermark: seconds.map(|seconds| seconds * SECOND) }
    }

    #[test]
    fn every_cut_ends_at_the_same_watermark() {
        let written = [
            Written { rows: 2, watermark: None },
            Written { rows: 0, watermark: Some(30 * SECOND) },
            Written { rows: 1, watermark: None },
        ];
        let stream = stream(&[10, 20, 29], &written).unwrap();
        assert_eq!(
            stream.pieces(Cut::AsWritten),
            [piece(0..2, Some(15)), piece(2..2, Some(30)), piece(2..3, Some(30))]
        );
        assert_eq!(
            stream.pieces(Cut::Every(1)),
            [piece(0..1, Some(5)), piece(1..2, Some(30)), piece(2..3, Some(30))]
        );
        assert_eq!(stream.pieces(Cut::Whole), [piece(0..3, Some(30))]);
        assert_eq!(stream.late, [false, false, true]);
    }

    #[test]
    fn a_watermark_that_goes_back_is_refused() {
        let written = [Written { rows: 2, watermark: Some(14 * SECOND) }];
        assert!(stream(&[10, 20], &written).unwrap_err().to_string().contains("batch 1 goes back"));
    }

    #[test]
    fn without_rows_there_is_one_piece() {
        let stream = stream(&[], &[Written { rows: 0, watermark: Some(SECOND) }]).unwrap();
        for cut in [Cut::AsWritten, Cut::Every(1), Cut::Whole] {
            assert_eq!(stream.pieces(cut), [piece(0..0, Some(1))]);
        }
    }
}
