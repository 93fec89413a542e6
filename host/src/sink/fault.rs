//! A store whose next write of a chosen kind fails, before or after it took effect, and that knows what was read.

use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::conformance::Fault;
use crate::storage::DurableLocal;

#[derive(Debug)]
pub(in crate::sink) struct FaultyStore {
    store: Arc<dyn ObjectStore>,
    /// Which writes fail, by the end of their path.
    next: Mutex<Option<(&'static str, Fault)>>,
    /// The files that were read.
    read: Mutex<Vec<String>>,
}

impl FaultyStore {
    pub(in crate::sink) fn new() -> Arc<Self> {
        Self::over(Arc::new(DurableLocal::new()))
    }

    pub(in crate::sink) fn over(store: Arc<dyn ObjectStore>) -> Arc<Self> {
        Arc::new(Self { store, next: Mutex::new(None), read: Mutex::default() })
    }

    /// The paths that were read since the last time.
    pub(in crate::sink) fn take_read(&self) -> Vec<String> {
        std::mem::take(&mut *self.read.lock().expect("not poisoned"))
    }

    pub(in crate::sink) fn fail_next(&self, path_ends_with: &'static str, fault: Fault) {
        *self.next.lock().expect("not poisoned") = Some((path_ends_with, fault));
    }

    pub(in crate::sink) fn is_spent(&self) -> bool {
        self.next.lock().expect("not poisoned").is_none()
    }

    fn take(&self, location: &Path) -> Option<Fault> {
        let mut next = self.next.lock().expect("not poisoned");
        next.take_if(|(end, _)| location.as_ref().ends_with(*end)).map(|(_, fault)| fault)
    }
}

fn lost() -> Error {
    Error::Generic { store: "faulty", source: "the connection was lost".into() }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faulty")
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        match self.take(location) {
            Some(Fault::BeforeEffect) => Err(lost()),
            Some(Fault::AfterEffect) => {
                self.store.put_opts(location, payload, options).await?;
                Err(lost())
            }
            None => self.store.put_opts(location, payload, options).await,
        }
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        match self.take(at) {
            Some(_) => Err(lost()),
            None => self.store.put_multipart_opts(at, options).await,
        }
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.read.lock().expect("not poisoned").push(location.to_string());
        self.store.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.store.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, options).await
    }
}
