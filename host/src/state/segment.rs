//! One step's changes as bytes: the length of the upserts' Arrow IPC stream (8 bytes, little endian), that
//! stream, and the deletes' stream. An absent batch is an empty stream of bytes.
//!
//! Arrow's IPC reader panics on malformed input. It only ever gets bytes that this module wrote: the digest
//! is checked first.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use sha2::{Digest, Sha256};

use crate::changes::{StateChanges, StateLayout};

use super::StateError;

/// Changes as bytes, with the digest that guards them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    pub bytes: Vec<u8>,
    /// SHA-256 (hex) of `bytes`.
    pub sha256: String,
}

/// `changes` as a segment. A base is a segment of upserts alone.
pub fn encode(changes: &StateChanges) -> Result<Segment, StateError> {
    let upserts = write(changes.upserts.as_ref())?;
    let deletes = write(changes.deletes.as_ref())?;
    let mut bytes = (upserts.len() as u64).to_le_bytes().to_vec();
    bytes.extend(upserts);
    bytes.extend(deletes);
    let sha256 = digest(&bytes);
    Ok(Segment { bytes, sha256 })
}

/// The changes that [`encode`] wrote. `sha256` is what the ledger entry carries.
pub fn decode(bytes: &[u8], sha256: &str, layout: &StateLayout) -> Result<StateChanges, StateError> {
    let found = digest(bytes);
    if found != sha256 {
        return Err(StateError::Digest { expected: sha256.to_owned(), found });
    }
    let malformed = || StateError::Malformed("it is shorter than it says".to_owned());
    let (length, streams) = bytes.split_first_chunk::<8>().ok_or_else(malformed)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| malformed())?;
    let (upserts, deletes) = streams.split_at_checked(length).ok_or_else(malformed)?;
    Ok(StateChanges { upserts: read(upserts, &layout.row())?, deletes: read(deletes, &layout.key)? })
}

fn digest(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

fn write(batch: Option<&RecordBatch>) -> Result<Vec<u8>, StateError> {
    let Some(batch) = batch else { return Ok(Vec::new()) };
    let mut writer = StreamWriter::try_new(Vec::new(), batch.schema_ref())?;
    writer.write(batch)?;
    Ok(writer.into_inner()?)
}

fn read(stream: &[u8], expected: &SchemaRef) -> Result<Option<RecordBatch>, StateError> {
    if stream.is_empty() {
        return Ok(None);
    }
    let reader = StreamReader::try_new(stream, None)?;
    check_layout(expected, reader.schema().as_ref())?;
    let batches = reader.collect::<Result<Vec<_>, _>>()?;
    Ok(Some(concat_batches(expected, &batches)?))
}

/// Whether kept columns are those that the plugin states.
pub(super) fn check_layout(expected: &Schema, found: &Schema) -> Result<(), StateError> {
    if expected.fields() == found.fields() {
        return Ok(());
    }
    let told = |schema: &Schema| {
        let columns = schema.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type()));
        columns.collect::<Vec<_>>().join(", ")
    };
    Err(StateError::Layout { expected: told(expected), found: told(found) })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field};

    use super::*;

    fn layout(value: DataType) -> StateLayout {
        StateLayout {
            key: Schema::new(vec![Field::new("k", DataType::Utf8, true)]).into(),
            value: Schema::new(vec![Field::new("v", value, false)]).into(),
        }
    }

    fn changes() -> StateChanges {
        let layout = layout(DataType::Int64);
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
            let segment = encode(&changes).unwrap();
            assert_eq!(decode(&segment.bytes, &segment.sha256, &layout(DataType::Int64)).unwrap(), changes);
        }
    }

    #[test]
    fn any_other_byte_is_refused_before_it_is_read() {
        let segment = encode(&changes()).unwrap();
        for index in (0..segment.bytes.len()).step_by(7) {
            let mut bytes = segment.bytes.clone();
            bytes[index] ^= 0x80;
            let refused = decode(&bytes, &segment.sha256, &layout(DataType::Int64));
            assert!(matches!(refused, Err(StateError::Digest { .. })));
        }
        let short = 7u64.to_le_bytes();
        assert!(matches!(
            decode(&short, &digest(&short), &layout(DataType::Int64)),
            Err(StateError::Malformed(_))
        ));
    }

    #[test]
    fn another_layout_is_told() {
        let segment = encode(&changes()).unwrap();
        let refused = decode(&segment.bytes, &segment.sha256, &layout(DataType::Float64)).unwrap_err();
        assert!(refused.to_string().contains("v Int64"), "{refused}");
    }
}
