//! A table at one version, to be read wholly: what others look rows up in.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use delta_kernel::engine::arrow_data::EngineDataArrowExt;
use delta_kernel::{Engine, Snapshot};
use deltalake_core::kernel::engine::arrow_conversion::TryIntoArrow;

use super::{DeltaError, DeltaStorage};

pub struct TableSnapshot {
    snapshot: Arc<Snapshot>,
    engine: Arc<dyn Engine>,
    location: String,
}

impl TableSnapshot {
    /// The newest version, or this one; `None` if there is no table.
    pub async fn load(storage: &DeltaStorage, version: Option<u64>) -> Result<Option<Self>, DeltaError> {
        let log_store = storage.log_store.clone();
        let location = log_store.root_url().to_string();
        let failed = |what: String| DeltaError::Table { location: location.clone(), what };
        if !log_store.is_delta_table_location().await.map_err(|error| failed(error.to_string()))? {
            return Ok(None);
        }
        let engine = log_store.engine(None);
        let folder = super::log::folder(&log_store);
        let load = move || {
            let builder = Snapshot::builder_for(folder);
            let builder = match version {
                Some(version) => builder.at_version(version),
                None => builder,
            };
            builder.build(engine.as_ref()).map(|snapshot| (snapshot, engine))
        };
        let loaded = tokio::task::spawn_blocking(load).await.map_err(|error| failed(error.to_string()))?;
        let (snapshot, engine) = loaded.map_err(|error| failed(error.to_string()))?;
        Ok(Some(Self { snapshot, engine, location }))
    }

    /// The table's id and version: `delta:<id>@7`.
    pub fn name(&self) -> String {
        let id = self.snapshot.table_configuration().metadata().id();
        format!("delta:{id}@{}", self.snapshot.version())
    }

    pub fn schema(&self) -> Result<SchemaRef, DeltaError> {
        let schema: Schema = self.snapshot.schema().as_ref().try_into_arrow()?;
        Ok(Arc::new(schema))
    }

    /// Hands all rows over, deleted ones left out, batch by batch. Blocks the calling thread.
    pub fn read<E: From<DeltaError>>(
        &self,
        mut take: impl FnMut(RecordBatch) -> Result<(), E>,
    ) -> Result<(), E> {
        let failed = |error: delta_kernel::Error| DeltaError::Table {
            location: self.location.clone(),
            what: error.to_string(),
        };
        let scan = self.snapshot.clone().scan_builder().build().map_err(failed)?;
        for data in scan.execute(self.engine.clone()).map_err(failed)? {
            take(data.and_then(EngineDataArrowExt::try_into_record_batch).map_err(failed)?)?;
        }
        Ok(())
    }
}
