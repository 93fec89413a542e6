//! A folder in a bucket, for the sink of files as it is in the product.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    Attributes, CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use serde_json::Value;
use sluicebox::sink::rows::is_staged;

use crate::topic::staged_file;
use crate::world::{Shared, Table, World};

/// The sinks that are folders; the others are tables.
pub fn is_folder(sink: &str) -> bool {
    sink == "some" || sink.ends_with('1')
}

/// Only what the sinks ask of a store.
pub struct FakeFolder {
    pub shared: Shared,
    pub sink: String,
}

fn silent() -> Error {
    Error::Generic { store: "simulated", source: "nobody answered".into() }
}

fn meta(path: &str, bytes: &Bytes) -> ObjectMeta {
    ObjectMeta {
        location: Path::from(path),
        last_modified: chrono::DateTime::UNIX_EPOCH,
        size: bytes.len() as u64,
        e_tag: None,
        version: None,
    }
}

impl fmt::Debug for FakeFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sink)
    }
}

impl fmt::Display for FakeFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sink)
    }
}

#[async_trait]
impl ObjectStore for FakeFolder {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        assert_eq!(options.mode, PutMode::Create, "{location} is never written over");
        let (sink, path, bytes) = (self.sink.clone(), location.to_string(), Bytes::from(payload));
        let put = self.shared.remote(true, move |world| world.put_marker(&sink, path, bytes)).await;
        match put.ok_or_else(silent)? {
            true => Ok(PutResult { e_tag: None, version: None }),
            false => Err(Error::AlreadyExists { path: location.to_string(), source: "it is there".into() }),
        }
    }

    async fn get_opts(&self, location: &Path, _: GetOptions) -> Result<GetResult> {
        let (sink, path) = (self.sink.clone(), location.to_string());
        let found = self.shared.remote(false, move |world| match is_staged(&path) {
            true => world.files.contains_key(&path).then(|| staged_file(&path)),
            false => world.folders.get(&sink)?.get(&path).cloned(),
        });
        let found = found.await;
        let not_found = || Error::NotFound { path: location.to_string(), source: "it is not there".into() };
        let bytes = found.ok_or_else(silent)?.ok_or_else(not_found)?;
        let (meta, range) = (meta(location.as_ref(), &bytes), 0..bytes.len() as u64);
        let payload = GetResultPayload::Stream(stream::once(async { Ok(bytes) }).boxed());
        Ok(GetResult { payload, meta, range, attributes: Attributes::new() })
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (shared, sink) = (self.shared.clone(), self.sink.clone());
        let prefix = prefix.map(|prefix| format!("{prefix}/")).unwrap_or_default();
        let listed = async move {
            let found = shared.remote(false, move |world| {
                let folder = world.folders.entry(sink).or_default();
                let objects = folder.iter().filter(|(path, _)| path.starts_with(&prefix));
                objects.map(|(path, bytes)| Ok(meta(path, bytes))).collect::<Vec<_>>()
            });
            Ok::<_, Error>(stream::iter(found.await.ok_or_else(silent)?))
        };
        stream::once(listed).try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let all: Vec<_> = self.list(prefix).try_collect().await?;
        let mut result = ListResult { common_prefixes: Vec::new(), objects: Vec::new() };
        let root = Path::default();
        let prefix = prefix.unwrap_or(&root);
        for object in all {
            let mut rest = object.location.prefix_match(prefix).expect("it was listed");
            match (rest.next(), rest.next()) {
                (Some(folder), Some(_)) => result.common_prefixes.push(prefix.clone().join(folder)),
                _ => {
                    drop(rest);
                    result.objects.push(object);
                }
            }
        }
        result.common_prefixes.dedup();
        Ok(result)
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(Error::NotImplemented { operation: "put_multipart".into(), implementer: "simulated".into() })
    }

    fn delete_stream(&self, _: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        stream::iter([Err(silent())]).boxed()
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(silent())
    }
}

impl World {
    /// Whether it was put. What the folder holds for readers is told like a table.
    fn put_marker(&mut self, sink: &str, path: String, bytes: Bytes) -> bool {
        let folder = self.folders.entry(sink.to_owned()).or_default();
        if folder.contains_key(&path) {
            return false;
        }
        folder.insert(path, bytes);
        let mut table = Table::default();
        for bytes in folder.values() {
            let document: Value = serde_json::from_slice(bytes).expect("markers are JSON");
            let number =
                document["entry"].as_u64().or_else(|| document["since"].as_u64()).unwrap_or_default();
            table.mark = table.mark.max(number);
            let files = document["files"].as_array().into_iter().flatten();
            table.files.extend(files.filter_map(|file| file["path"].as_str().map(str::to_owned)));
        }
        self.tables.insert(sink.to_owned(), table);
        self.is_changed = true;
        self.tally.commits += 1;
        true
    }
}
