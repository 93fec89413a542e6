//! A capture as a file: a tar archive of
//!
//! | member | holds |
//! |---|---|
//! | `about.json` | [`About`], and what kind of state there is |
//! | `input.arrow` | the schema of the rows that came to the step, as an Arrow IPC stream without batches |
//! | `rows.arrow` | the columns that the plugin got, as an Arrow IPC stream |
//! | `state.arrow` | the state before the call, if the step has one and it is known |
//! | `SHA256SUMS` | the digests of the others, as `sha256sum` writes them |
//!
//! Arrow's IPC reader panics on malformed input: it only gets members whose digest is right.

use std::collections::BTreeMap;
use std::io::Read;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::concat_batches;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{About, Capture, CapturedState};
use crate::changes::StateLayout;
use crate::plugin::sanitised;

const FORMAT: u32 = 1;

/// Rows of a call: more than any batch has, and few enough to be looked at.
const MAX_ROWS: usize = 1 << 24;

/// Bytes that are shown of a name.
const MAX_NAME: usize = 64;

const ABOUT: &str = "about.json";
const INPUT: &str = "input.arrow";
const ROWS: &str = "rows.arrow";
const STATE: &str = "state.arrow";
const SUMS: &str = "SHA256SUMS";
const MEMBERS: [&str; 5] = [ABOUT, INPUT, ROWS, STATE, SUMS];

/// Why a file is no capture that can be read.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    #[error("it is not a capture: {0}")]
    Archive(#[from] std::io::Error),
    #[error("it lacks `{0}`: it is not a capture, or not whole")]
    Missing(&'static str),
    #[error("it holds `{0}`, which no capture does")]
    Unknown(String),
    #[error("it holds `{0}` twice")]
    Twice(&'static str),
    #[error("its members say that they are larger than the file")]
    TooLarge,
    #[error("it says that it has {0} rows, of {MAX_ROWS} at most")]
    TooManyRows(usize),
    #[error("its `{0}` is not what SHA256SUMS says: the file was damaged")]
    Damaged(&'static str),
    #[error("it has the format {0}, this version of sluicebox reads {FORMAT}")]
    Format(u32),
    #[error("its {ABOUT} cannot be read: {0}")]
    About(#[from] serde_json::Error),
    #[error("its columns cannot be read: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
    #[error("its rows are {found}, but {expected} were captured")]
    Rows { expected: usize, found: usize },
}

#[derive(Serialize, Deserialize)]
struct Header {
    format: u32,
    #[serde(flatten)]
    about: About,
    /// Rows without columns have no other place for their number.
    rows: usize,
    state: State,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
enum State {
    Stateless,
    /// The first so many columns of the state are its key.
    Known {
        version: u32,
        key_columns: usize,
    },
    Unknown,
}

pub fn encode(capture: &Capture) -> Result<Vec<u8>, CaptureError> {
    let state = match &capture.state {
        CapturedState::Stateless => State::Stateless,
        CapturedState::Known { layout, .. } => {
            State::Known { version: layout.version, key_columns: layout.key.fields().len() }
        }
        CapturedState::Unknown => State::Unknown,
    };
    let header =
        Header { format: FORMAT, about: capture.about.clone(), rows: capture.rows.num_rows(), state };
    let mut members = vec![
        (ABOUT, serde_json::to_vec_pretty(&header)?),
        (INPUT, stream(&capture.input, None)?),
        (ROWS, stream(capture.rows.schema_ref(), Some(&capture.rows))?),
    ];
    if let CapturedState::Known { rows, .. } = &capture.state {
        members.push((STATE, stream(rows.schema_ref(), Some(rows))?));
    }
    let sums: String =
        members.iter().map(|(name, bytes)| format!("{:x}  {name}\n", Sha256::digest(bytes))).collect();
    members.push((SUMS, sums.into_bytes()));
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        archive.append_data(&mut header, name, bytes.as_slice())?;
    }
    Ok(archive.into_inner()?)
}

pub fn decode(bytes: &[u8]) -> Result<Capture, CaptureError> {
    let members = members(bytes)?;
    let member = |name: &'static str| members.get(name).map(Vec::as_slice).ok_or(CaptureError::Missing(name));
    let header: Header = serde_json::from_slice(member(ABOUT)?)?;
    if header.format != FORMAT {
        return Err(CaptureError::Format(header.format));
    }
    if header.rows > MAX_ROWS {
        return Err(CaptureError::TooManyRows(header.rows));
    }
    let (input, _) = read(member(INPUT)?, 0)?;
    let (_, rows) = read(member(ROWS)?, header.rows)?;
    if rows.num_rows() != header.rows {
        return Err(CaptureError::Rows { expected: header.rows, found: rows.num_rows() });
    }
    let state = match header.state {
        State::Stateless => CapturedState::Stateless,
        State::Unknown => CapturedState::Unknown,
        State::Known { version, key_columns } => {
            let (schema, rows) = read(member(STATE)?, 0)?;
            CapturedState::Known { layout: layout(&schema, version, key_columns), rows }
        }
    };
    Ok(Capture { about: header.about, input, rows, state })
}

/// The members, each with the digest that the archive says.
fn members(bytes: &[u8]) -> Result<BTreeMap<&'static str, Vec<u8>>, CaptureError> {
    let mut members = BTreeMap::new();
    let mut left = bytes.len();
    for entry in tar::Archive::new(bytes).entries()? {
        let entry = entry?;
        let path = entry.path_bytes().into_owned();
        let Some(name) = MEMBERS.into_iter().find(|name| name.as_bytes() == path) else {
            return Err(CaptureError::Unknown(sanitised(&String::from_utf8_lossy(&path), MAX_NAME)));
        };
        let mut contents = Vec::new();
        // Sparse members say that they are larger than the whole file.
        entry.take(left as u64 + 1).read_to_end(&mut contents)?;
        left = left.checked_sub(contents.len()).ok_or(CaptureError::TooLarge)?;
        if members.insert(name, contents).is_some() {
            return Err(CaptureError::Twice(name));
        }
    }
    let sums = members.remove(SUMS).ok_or(CaptureError::Missing(SUMS))?;
    let sums = String::from_utf8_lossy(&sums).into_owned();
    let stated: BTreeMap<&str, &str> =
        sums.lines().filter_map(|line| line.split_once("  ")).map(|(digest, name)| (name, digest)).collect();
    for (name, contents) in &members {
        if stated.get(name) != Some(&format!("{:x}", Sha256::digest(contents)).as_str()) {
            return Err(CaptureError::Damaged(name));
        }
    }
    Ok(members)
}

fn stream(schema: &Schema, batch: Option<&RecordBatch>) -> Result<Vec<u8>, CaptureError> {
    let mut writer = StreamWriter::try_new(Vec::new(), schema)?;
    if let Some(batch) = batch {
        writer.write(batch)?;
    }
    Ok(writer.into_inner()?)
}

/// The stream's rows as one batch; where it has no columns, `rows` of them.
fn read(stream: &[u8], rows: usize) -> Result<(SchemaRef, RecordBatch), CaptureError> {
    let reader = StreamReader::try_new(stream, None)?;
    let schema = reader.schema();
    let batches = reader.collect::<Result<Vec<_>, _>>()?;
    if schema.fields().is_empty() {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(schema.clone(), Vec::new(), &options)?;
        return Ok((schema, batch));
    }
    let batch = concat_batches(&schema, &batches)?;
    Ok((schema, batch))
}

fn layout(row: &SchemaRef, version: u32, key_columns: usize) -> StateLayout {
    let fields = row.fields();
    let (key, value) = fields.split_at(key_columns.min(fields.len()));
    let schema = |fields: &[_]| Schema::new(fields.to_vec()).into();
    StateLayout { version, key: schema(key), value: schema(value) }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use serde_json::json;

    use super::*;
    use crate::capture::{FailingRow, PluginFacts};
    use crate::plugin::Limits;
    use crate::progress::OffsetRange;

    pub fn capture() -> Capture {
        let column = |name, array: ArrayRef| (name, array, true);
        let rows = RecordBatch::try_from_iter_with_nullable([column(
            "text",
            Arc::new(StringArray::from(vec![Some("x"), None])),
        )]);
        let state = RecordBatch::try_from_iter_with_nullable([
            column("k", Arc::new(Int64Array::from(vec![1, 2]))),
            column("v", Arc::new(StringArray::from(vec!["a", "b"]))),
        ])
        .unwrap();
        let rows = rows.unwrap();
        Capture {
            about: About {
                host: "0.1.0".into(),
                contract: "0.3.0".into(),
                captured_at: "2026-01-01T00:00:00Z".into(),
                pipeline: "p".into(),
                layer: "gold".into(),
                step: "count".into(),
                plugin: PluginFacts { name: "n".into(), version: "1.0.0".into(), sha256: "ab".into() },
                topic: "t".into(),
                partition: 3,
                range: OffsetRange { from: 5, to: 7 },
                config: json!({"key": "${KEY}"}),
                limits: Limits::default(),
                granted: vec!["clock".into()],
                reference: Some("7".into()),
                watermark: Some(9),
                fault: "the plugin trapped".into(),
                failing_rows: Some(vec![FailingRow { row: 1, reason: "r".into() }]),
            },
            input: rows.schema(),
            rows,
            state: CapturedState::Known { layout: layout(&state.schema(), 7, 1), rows: state },
        }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let capture = capture();
        let found = decode(&encode(&capture).unwrap()).unwrap();
        assert_eq!(found.about, capture.about);
        assert_eq!((found.input, found.rows), (capture.input.clone(), capture.rows.clone()));
        let (CapturedState::Known { layout, rows }, CapturedState::Known { layout: expected, rows: state }) =
            (found.state, capture.state)
        else {
            panic!("the state is known");
        };
        assert_eq!((layout, rows), (expected, state));
    }

    #[test]
    fn rows_without_columns_keep_their_number() {
        let options = RecordBatchOptions::new().with_row_count(Some(7));
        let none = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options);
        let capture = Capture { rows: none.unwrap(), state: CapturedState::Unknown, ..capture() };
        let found = decode(&encode(&capture).unwrap()).unwrap();
        assert_eq!(found.rows.num_rows(), 7);
        assert!(matches!(found.state, CapturedState::Unknown));
    }

    /// Where each member's contents are.
    fn places(bytes: &[u8]) -> Vec<(String, std::ops::Range<usize>)> {
        let mut archive = tar::Archive::new(bytes);
        let place = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
            let entry = entry.unwrap();
            let start = entry.raw_file_position() as usize;
            (entry.path().unwrap().display().to_string(), start..start + entry.size() as usize)
        };
        archive.entries().unwrap().map(place).collect()
    }

    /// Headers and padding may be anything; whatever else is changed is told, and nothing panics.
    #[test]
    fn a_damaged_file_is_told() {
        let whole = encode(&capture()).unwrap();
        let places = places(&whole);
        let names: Vec<&str> = places.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, MEMBERS);
        for index in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[index] ^= 0x41;
            let decoded = decode(&bytes);
            if let Some((name, _)) = places.iter().find(|(_, place)| place.contains(&index)) {
                let told = matches!(decoded, Err(CaptureError::Damaged(of)) if of == name || name == SUMS);
                assert!(told, "byte {index}, of {name}: {:?}", decoded.err());
            }
        }
        for end in (0..whole.len()).step_by(512) {
            let cut = decode(&whole[..end]);
            assert!(cut.is_err() || end + 1024 >= whole.len(), "cut at {end} of {}", whole.len());
        }
        assert!(decode(b"{}").is_err());
    }

    /// Another member, without contents, and those of a capture.
    fn with_member(name: &str, mut header: tar::Header) -> Vec<u8> {
        header.set_size(0);
        let mut archive = tar::Builder::new(Vec::new());
        archive.append_data(&mut header, name, std::io::empty()).unwrap();
        // Without the end of the archive.
        let member = archive.into_inner().unwrap()[..512].to_vec();
        [member, encode(&capture()).unwrap()].concat()
    }

    #[test]
    fn members_that_a_capture_does_not_have_are_refused_unread() {
        let refused = |bytes: &[u8]| decode(bytes).unwrap_err();
        assert!(
            matches!(refused(&with_member("more.arrow", tar::Header::new_ustar())), CaptureError::Unknown(name) if name == "more.arrow")
        );
        assert!(matches!(refused(&with_member(ROWS, tar::Header::new_ustar())), CaptureError::Twice(ROWS)));
    }

    /// A hole takes no room in the file, and says that it has gigabytes.
    #[test]
    fn members_that_expand_are_refused() {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::GNUSparse);
        let gnu = header.as_gnu_mut().unwrap();
        let octal = |number: u64| <[u8; 12]>::try_from(format!("{number:011o}\0").as_bytes()).unwrap();
        gnu.sparse[0].offset = octal(1 << 32);
        gnu.sparse[0].numbytes = octal(0);
        gnu.realsize = octal(1 << 32);
        let bytes = with_member(STATE, header);
        assert!(matches!(decode(&bytes).unwrap_err(), CaptureError::TooLarge));
    }

    #[test]
    fn rows_that_are_nowhere_are_not_counted_without_end() {
        let options = RecordBatchOptions::new().with_row_count(Some(MAX_ROWS + 1));
        let none = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options);
        let capture = Capture { rows: none.unwrap(), state: CapturedState::Unknown, ..capture() };
        let refused = decode(&encode(&capture).unwrap()).unwrap_err();
        assert!(matches!(refused, CaptureError::TooManyRows(_)), "{refused}");
    }

    /// Of a version that did not write them.
    #[test]
    fn what_a_step_was_granted_may_be_missing() {
        let mut about = serde_json::to_value(capture().about).unwrap();
        about.as_object_mut().unwrap().retain(|key, _| key != "granted" && key != "reference");
        let about: About = serde_json::from_value(about).unwrap();
        assert!(about.granted.is_empty() && about.reference.is_none());
    }
}
