//! The state location of a pipeline, and the ledger in it.

use std::sync::Arc;

use anyhow::{Context, Result};
use object_store::ObjectStore;
use uuid::Uuid;

use crate::clock::SystemClock;
use crate::config::{Loaded, Location};
use crate::ledger::bucket::BucketEntries;
use crate::ledger::entry::Configuration;
use crate::ledger::local::LocalEntries;
use crate::ledger::store::EntryStore;
use crate::ledger::{Ledger, LedgerSettings, Opening};
use crate::storage::{self, StoreOptions};

/// How the pipeline's buckets are reached.
pub fn store_options(pipeline: &Loaded) -> Result<StoreOptions> {
    let given = pipeline.pipeline.storage.iter();
    let given = given.map(|(name, value)| (name.clone(), value.expose().to_owned()));
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    StoreOptions::new(given, environment).context("storage")
}

/// The state location.
pub fn state_store(pipeline: &Loaded) -> Result<Arc<dyn ObjectStore>> {
    storage::open_folder(&pipeline.state.url(), &store_options(pipeline)?).context("state")
}

/// Where the ledger's objects are.
pub fn entry_store(pipeline: &Loaded) -> Result<Arc<dyn EntryStore>> {
    const FOLDER: &str = "ledger";
    Ok(match &pipeline.state {
        Location::Local(path) => Arc::new(LocalEntries::new(path.join(FOLDER))),
        Location::Bucket(_) => Arc::new(BucketEntries::new(state_store(pipeline)?, FOLDER.into())),
    })
}

/// Opens the ledger, or begins it.
pub async fn open_ledger(
    pipeline: &Loaded,
    configuration: &Configuration,
    incarnation: Uuid,
    known: Option<Uuid>,
) -> Result<Ledger> {
    let opening = Opening {
        pipeline: pipeline.pipeline.id.clone(),
        configuration: configuration.clone(),
        incarnation,
        new_id: Uuid::new_v4(),
        known,
    };
    Ok(Ledger::open(entry_store(pipeline)?, Arc::new(SystemClock), LedgerSettings::default(), opening)
        .await?)
}
