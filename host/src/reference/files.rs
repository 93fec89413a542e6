//! Which files a table is.

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error, ObjectMeta, ObjectStore, ObjectStoreExt, Result};
use url::Url;

use super::Stamp;

pub(super) struct TableFile {
    /// Relative to the table's folder; a single file's own name.
    pub name: String,
    pub location: Path,
    meta: ObjectMeta,
}

/// The files of a table, by their names.
pub(super) struct Listing {
    pub files: Vec<TableFile>,
}

impl Listing {
    /// The file at `location`, or what lies in the folder there and below and ends so. Names that begin with `_` or `.`
    /// are no data.
    pub async fn read(store: &Arc<dyn ObjectStore>, location: &Url, extension: &str) -> Result<Self> {
        let root = Path::from_url_path(location.path())?;
        match store.head(&root).await {
            Ok(meta) => {
                let name = root.filename().unwrap_or_default().to_owned();
                return Ok(Self { files: vec![TableFile { name, location: root, meta }] });
            }
            Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        let listed: Vec<ObjectMeta> = store.list(Some(&root)).try_collect().await?;
        let files = listed.into_iter().filter_map(|meta| {
            let parts: Vec<String> =
                meta.location.prefix_match(&root)?.map(|part| part.as_ref().to_owned()).collect();
            let is_hidden = parts.iter().any(|part| part.starts_with(['_', '.']));
            let has_extension = meta.location.extension() == Some(extension);
            (has_extension && !is_hidden).then(|| TableFile {
                name: parts.join("/"),
                location: meta.location.clone(),
                meta,
            })
        });
        let mut files: Vec<TableFile> = files.collect();
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { files })
    }

    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.meta.size).sum()
    }

    pub fn stamp(&self) -> Stamp {
        let one = |file: &TableFile| {
            let ObjectMeta { last_modified, size, e_tag, version, .. } = &file.meta;
            format!("{} {size} {last_modified:?} {e_tag:?} {version:?}", file.name)
        };
        Stamp(self.files.iter().map(one).collect::<Vec<_>>().join("\n"))
    }
}

pub(super) async fn read(store: &Arc<dyn ObjectStore>, location: &Path) -> Result<Bytes> {
    store.get(location).await?.bytes().await
}
