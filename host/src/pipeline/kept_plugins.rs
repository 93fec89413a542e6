//! Components that were put in force, kept in the state location by their digests: what a rollback goes back to, wherever
//! they came from and whatever has become of them there.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use crate::ledger::LedgerState;
use crate::ledger::store::StoreError;
use crate::plugin::MAX_COMPONENT;

/// Where they lie in the state location.
const FOLDER: &str = "plugins";

/// What no configuration names that is remembered goes once it is this old.
const GRACE: Duration = Duration::from_secs(24 * 3600);

#[derive(Clone)]
pub struct KeptPlugins {
    store: Arc<dyn ObjectStore>,
}

impl KeptPlugins {
    /// `store` is the state location.
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store }
    }

    /// Keeps a component, before a configuration that names it is put in force. What lies there already is put again once
    /// it is old enough for a sweep, which may not have heard of the configuration yet.
    pub async fn keep(&self, sha256: &str, component: &Bytes, now_ms: i64) -> Result<(), StoreError> {
        let path = path(sha256);
        let failed = |action, error| StoreError::new(action, path.as_ref(), error);
        match self.store.head(&path).await {
            Ok(found) if found.size == component.len() as u64 && age(&found, now_ms) < GRACE / 2 => {
                return Ok(());
            }
            Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(failed("look up", error)),
        }
        self.store.put(&path, component.clone().into()).await.map_err(|error| failed("put", error))?;
        Ok(())
    }

    /// The component, as it lies there; `None` if it is not kept.
    pub async fn get(&self, sha256: &str) -> Result<Option<Bytes>, StoreError> {
        let path = path(sha256);
        let read = match self.store.get(&path).await {
            Ok(found) if found.meta.size > MAX_COMPONENT => {
                let what =
                    format!("it has {} bytes, and a component {MAX_COMPONENT} at most", found.meta.size);
                return Err(StoreError::new("get", path.as_ref(), what));
            }
            Ok(found) => found.bytes().await,
            Err(error) => Err(error),
        };
        match read {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(StoreError::new("get", path.as_ref(), error)),
        }
    }

    /// The digests of all that are kept.
    pub async fn list(&self) -> Result<BTreeSet<String>, StoreError> {
        Ok(self.objects().await?.iter().filter_map(digest_of).collect())
    }

    /// Removes what no configuration names, neither the one in force nor one that is remembered. Returns how many.
    pub async fn sweep(&self, state: &LedgerState, now_ms: i64) -> Result<usize, StoreError> {
        let remembered = state.replaced.iter().map(|replaced| &replaced.configuration);
        let named: BTreeSet<&str> = remembered
            .chain([&state.configuration])
            .flat_map(|configuration| &configuration.plugins)
            .map(|plugin| plugin.digest.as_str())
            .collect();
        let mut deleted = 0;
        for object in self.objects().await? {
            let is_named = digest_of(&object).is_none_or(|digest| named.contains(digest.as_str()));
            if is_named || age(&object, now_ms) < GRACE {
                continue;
            }
            // Somebody may have put it anew while the others were looked at.
            let is_old = match self.store.head(&object.location).await {
                Ok(found) => age(&found, now_ms) >= GRACE,
                Err(object_store::Error::NotFound { .. }) => false,
                Err(error) => return Err(StoreError::new("look up", object.location.as_ref(), error)),
            };
            if !is_old {
                continue;
            }
            match self.store.delete(&object.location).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => deleted += 1,
                Err(error) => return Err(StoreError::new("delete", object.location.as_ref(), error)),
            }
        }
        Ok(deleted)
    }

    async fn objects(&self) -> Result<Vec<ObjectMeta>, StoreError> {
        let objects = self.store.list(Some(&Path::from(FOLDER))).try_collect().await;
        objects.map_err(|error| StoreError::new("list", FOLDER, error))
    }
}

fn path(sha256: &str) -> Path {
    Path::from(format!("{FOLDER}/{sha256}.wasm"))
}

/// `None` for what is none of ours.
fn digest_of(object: &ObjectMeta) -> Option<String> {
    let digest = object.location.filename()?.strip_suffix(".wasm")?;
    (digest.len() == 64).then(|| digest.to_owned())
}

fn age(object: &ObjectMeta, now_ms: i64) -> Duration {
    let age = now_ms.saturating_sub(object.last_modified.timestamp_millis());
    Duration::from_millis(age.try_into().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use object_store::memory::InMemory;
    use uuid::Uuid;

    use super::*;
    use crate::ledger::entry::{
        Body, Configuration, Configure, Entry, FORMAT, Genesis, PluginReference, Writer,
    };

    const DAY_MS: i64 = 24 * 3_600_000;

    fn configuration(component: &str) -> Configuration {
        let plugin = PluginReference {
            layer: "silver".to_owned(),
            step: "once".to_owned(),
            name: "dedupe".to_owned(),
            version: "1.0.0".to_owned(),
            digest: component.repeat(64),
            not_deterministic: Vec::new(),
        };
        Configuration {
            digest: format!("configuration with {component}"),
            layers: BTreeMap::new(),
            sinks: Vec::new(),
            plugins: vec![plugin],
        }
    }

    fn entry(number: u64, body: Body) -> Entry {
        let writer = Writer { incarnation: Uuid::from_u128(1), epoch: number };
        Entry { format: FORMAT, ledger: Uuid::nil(), number, writer, written_at_ms: 0, body }
    }

    #[tokio::test]
    async fn what_a_configuration_names_stays_and_the_rest_goes_after_a_day() {
        let genesis = Genesis { pipeline: "p".to_owned(), configuration: configuration("a") };
        let mut state = LedgerState::genesis(&entry(0, Body::Genesis(genesis))).unwrap();
        let replaces = state.configuration.digest.clone();
        let change = Configure { replaces, configuration: configuration("b") };
        assert_eq!(state.apply(&entry(1, Body::Configure(change))), crate::ledger::Verdict::Valid);

        let kept = KeptPlugins::new(Arc::new(InMemory::new()));
        let now = chrono::Utc::now().timestamp_millis();
        for component in ["a", "b", "c"] {
            kept.keep(&component.repeat(64), &Bytes::from(component), now).await.unwrap();
        }
        assert_eq!(kept.sweep(&state, now + DAY_MS / 2).await.unwrap(), 0);
        assert_eq!(kept.sweep(&state, now + 2 * DAY_MS).await.unwrap(), 1);
        assert_eq!(kept.list().await.unwrap(), ["a", "b"].map(|component| component.repeat(64)).into());
        assert_eq!(kept.get(&"a".repeat(64)).await.unwrap().unwrap(), "a");
        assert!(kept.get(&"c".repeat(64)).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn what_is_old_is_put_again_before_a_sweep_can_take_it() {
        let store = Arc::new(InMemory::new());
        let kept = KeptPlugins::new(store.clone());
        let now = chrono::Utc::now().timestamp_millis();
        let sha256 = "a".repeat(64);
        let written = async || store.head(&path(&sha256)).await.unwrap().e_tag;
        kept.keep(&sha256, &Bytes::from("a"), now).await.unwrap();
        let first = written().await;
        kept.keep(&sha256, &Bytes::from("a"), now + DAY_MS / 4).await.unwrap();
        assert_eq!(written().await, first);
        kept.keep(&sha256, &Bytes::from("a"), now + DAY_MS).await.unwrap();
        assert_ne!(written().await, first);
    }
}
