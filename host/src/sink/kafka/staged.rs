//! Messages out of the files in which they wait.

use std::mem::discriminant;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchReader};
use arrow::datatypes::{FieldRef, Schema};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::messages::MESSAGE_SCHEMA;
use crate::ledger::entry::{DataFile, EntryNumber};
use crate::sink::SinkError;
use crate::sink::rows::is_staged;

/// Messages that are taken out of a file at once, by their largest size.
const BATCH_BYTES: usize = 64 << 20;
const MOST_ROWS: usize = 1024;

#[derive(Debug, thiserror::Error)]
pub(super) enum StagedError {
    /// What is to be said unless its messages were sent: then it was swept.
    #[error(transparent)]
    Gone(SinkError),
    #[error(transparent)]
    Sink(#[from] SinkError),
}

/// Where the files of a sink are.
pub(super) struct StagedFiles {
    pub store: Arc<dyn ObjectStore>,
    /// The topic, for messages.
    pub topic: String,
    /// Of one message.
    pub max_message_bytes: usize,
}

impl StagedFiles {
    /// The file's messages, in their order.
    pub async fn open(
        &self,
        entry: EntryNumber,
        file: &DataFile,
    ) -> Result<impl Iterator<Item = Result<RecordBatch, SinkError>> + use<>, StagedError> {
        let path = &file.path;
        if !is_staged(path) {
            return Err(self.refused(&format!(
                "`{path}` of entry {entry} was written for a table or a folder: give the sink another name, under which \
                 it starts at the ledger's newest entry"
            ))
            .into());
        }
        let location = Path::parse(path).map_err(|error| self.refused(&error.to_string()))?;
        let unavailable =
            |error| SinkError::Unavailable(format!("topic `{}`: reading `{path}`: {error}", self.topic));
        let bytes = match self.store.get(&location).await {
            Ok(found) => found.bytes().await.map_err(unavailable)?,
            Err(object_store::Error::NotFound { .. }) => {
                return Err(StagedError::Gone(self.refused(&format!(
                    "`{path}` of entry {entry} is gone from the state location before its messages were sent: restore \
                     it from a copy, or skip the messages by giving the sink another name"
                ))));
            }
            Err(error) => return Err(unavailable(error).into()),
        };
        let damaged =
            self.refused(&format!("`{path}` at the state location is damaged; restore it from a copy"));
        let damaged = damaged.to_string();
        let rows = (BATCH_BYTES / self.max_message_bytes.max(1)).clamp(1, MOST_ROWS);
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)
            .and_then(|builder| builder.with_batch_size(rows).build());
        let reader = reader.map_err(|error| SinkError::Refused(format!("{damaged} ({error})")))?;
        if !is_of_messages(&reader.schema()) {
            return Err(SinkError::Refused(format!("{damaged} (it holds no messages)")).into());
        }
        Ok(reader.map(move |batch| batch.map_err(|error| SinkError::Refused(format!("{damaged} ({error})")))))
    }

    fn refused(&self, what: &str) -> SinkError {
        SinkError::Refused(format!("topic `{}`: {what}", self.topic))
    }
}

fn is_of_messages(schema: &Schema) -> bool {
    let (found, wanted) = (schema.fields(), MESSAGE_SCHEMA.fields());
    let is_same = |(found, wanted): (&FieldRef, &FieldRef)| {
        found.name() == wanted.name() && discriminant(found.data_type()) == discriminant(wanted.data_type())
    };
    found.len() == wanted.len() && found.iter().zip(wanted).all(is_same)
}
