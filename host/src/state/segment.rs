//! One step's changes as bytes: the length of the upserts' Arrow IPC stream (8 bytes, little endian), that
//! stream, and the deletes' stream. The first is there without rows too, since its schema tells the layout; absent
//! deletes are an empty stream of bytes.
//!
//! Arrow's IPC reader panics on malformed input. It only ever gets bytes that this module wrote: the digest
//! is checked first.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use sha2::{Digest, Sha256};

use crate::changes::{StateChanges, StateLayout};

use super::StateError;

/// Metadata of the upserts' schema.
const VERSION: &str = "sluicebox.state_version";
const KEY_COLUMNS: &str = "sluicebox.key_columns";

/// Changes as bytes, with the digest that guards them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    pub bytes: Vec<u8>,
    /// SHA-256 (hex) of `bytes`.
    pub sha256: String,
}

/// `changes` as a segment. A base is a segment of upserts alone.
pub fn encode(layout: &StateLayout, changes: &StateChanges) -> Result<Segment, StateError> {
    let metadata = HashMap::from([
        (VERSION.to_owned(), layout.version.to_string()),
        (KEY_COLUMNS.to_owned(), layout.key.fields().len().to_string()),
    ]);
    let row = Schema::new_with_metadata(layout.row().fields().clone(), metadata);
    let upserts = write(&row, changes.upserts.as_ref())?;
    let deletes = match &changes.deletes {
        Some(deletes) => write(&layout.key, Some(deletes))?,
        None => Vec::new(),
    };
    let mut bytes = (upserts.len() as u64).to_le_bytes().to_vec();
    bytes.extend(upserts);
    bytes.extend(deletes);
    let sha256 = digest(&bytes);
    Ok(Segment { bytes, sha256 })
}

/// The changes that [`encode`] wrote, and their layout. `sha256` is what the ledger entry carries.
pub fn decode(bytes: &[u8], sha256: &str) -> Result<(StateLayout, StateChanges), StateError> {
    let found = digest(bytes);
    if found != sha256 {
        return Err(StateError::Digest { expected: sha256.to_owned(), found });
    }
    let malformed = |what: &str| StateError::Malformed(what.to_owned());
    let is_short = || malformed("it is shorter than it says");
    let (length, streams) = bytes.split_first_chunk::<8>().ok_or_else(is_short)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| is_short())?;
    let (upserts, deletes) = streams.split_at_checked(length).ok_or_else(is_short)?;
    let is_unlabelled = || malformed("it does not say how it is laid out");
    if upserts.is_empty() {
        return Err(is_unlabelled());
    }
    let (row, upserts) = read(upserts)?;
    let layout = layout(&row).ok_or_else(is_unlabelled)?;
    let deletes = match deletes.is_empty() {
        true => Vec::new(),
        false => read(deletes)?.1,
    };
    let changes =
        StateChanges { upserts: joined(&layout.row(), &upserts)?, deletes: joined(&layout.key, &deletes)? };
    Ok((layout, changes))
}

fn digest(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

fn write(schema: &Schema, batch: Option<&RecordBatch>) -> Result<Vec<u8>, StateError> {
    let mut writer = StreamWriter::try_new(Vec::new(), schema)?;
    if let Some(batch) = batch {
        writer.write(batch)?;
    }
    Ok(writer.into_inner()?)
}

fn read(stream: &[u8]) -> Result<(SchemaRef, Vec<RecordBatch>), StateError> {
    let reader = StreamReader::try_new(stream, None)?;
    Ok((reader.schema(), reader.collect::<Result<_, _>>()?))
}

fn joined(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Option<RecordBatch>, StateError> {
    Ok(if batches.is_empty() { None } else { Some(concat_batches(schema, batches)?) })
}

fn layout(row: &Schema) -> Option<StateLayout> {
    let version = row.metadata().get(VERSION)?.parse().ok()?;
    let (key, value) = row.fields().split_at_checked(row.metadata().get(KEY_COLUMNS)?.parse().ok()?)?;
    let schema = |fields: &[_]| Arc::new(Schema::new(fields.to_vec()));
    Some(StateLayout { version, key: schema(key), value: schema(value) })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field};

    use super::*;

    fn layout() -> StateLayout {
        StateLayout {
            version: 3,
            key: Schema::new(vec![Field::new("k", DataType::Utf8, true)]).into(),
            value: Schema::new(vec![Field::new("v", DataType::Int64, false)]).into(),
        }
    }

    fn changes() -> StateChanges {
        let layout = layout();
        let keys: StringArray = [Some("a"), None, Some("c")].into_iter().collect();
        let values = Int64Array::from(vec![1, 2, 3]);
        let upserts = RecordBatch::try_new(layout.row(), vec![Arc::new(keys), Arc::new(values)]).unwrap();
        let keys = StringArray::from(vec!["gone"]);
        let deletes = RecordBatch::try_new(layout.key, vec![Arc::new(keys)]).unwrap();
        StateChanges { upserts: Some(upserts), deletes: Some(deletes) }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let all = changes();
        for changes in [
            StateChanges::default(),
            StateChanges { upserts: all.upserts.clone(), deletes: None },
            StateChanges { upserts: all.upserts.as_ref().map(|batch| batch.slice(1, 2)), deletes: None },
            StateChanges { upserts: None, deletes: all.deletes.clone() },
            all,
        ] {
            let segment = encode(&layout(), &changes).unwrap();
            assert_eq!(decode(&segment.bytes, &segment.sha256).unwrap(), (layout(), changes));
        }
    }

    #[test]
    fn any_other_byte_is_refused_before_it_is_read() {
        let segment = encode(&layout(), &changes()).unwrap();
        for index in (0..segment.bytes.len()).step_by(7) {
            let mut bytes = segment.bytes.clone();
            bytes[index] ^= 0x80;
            let refused = decode(&bytes, &segment.sha256);
            assert!(matches!(refused, Err(StateError::Digest { .. })));
        }
        let short = 7u64.to_le_bytes();
        assert!(matches!(decode(&short, &digest(&short)), Err(StateError::Malformed(_))));
    }
}
