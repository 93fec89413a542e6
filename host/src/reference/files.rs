//! Which files a table is.

use std::future::ready;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
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

/// Files that a table may be.
pub(super) const MOST_FILES: usize = 10_000;

/// The files of a table, by their names.
pub(super) struct Listing {
    pub files: Vec<TableFile>,
}

impl Listing {
    /// The file at `location`, or what lies in the folder there and below and ends so. Names that begin with `_` or `.`
    /// are no data. Of more than [`MOST_FILES`] there is one too many.
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
        let listed =
            store.list(Some(&root)).try_filter_map(|meta| ready(Ok(of_table(meta, &root, extension))));
        let mut files: Vec<TableFile> = listed.take(MOST_FILES + 1).try_collect().await?;
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

fn of_table(meta: ObjectMeta, root: &Path, extension: &str) -> Option<TableFile> {
    let parts: Vec<String> = meta.location.prefix_match(root)?.map(|part| part.as_ref().to_owned()).collect();
    let is_hidden = parts.iter().any(|part| part.starts_with(['_', '.']));
    let has_extension = meta.location.extension() == Some(extension);
    (has_extension && !is_hidden).then(|| TableFile {
        name: parts.join("/"),
        location: meta.location.clone(),
        meta,
    })
}

/// The bytes of a file as it is now; none if there are more than `most`.
pub(super) async fn read(store: &Arc<dyn ObjectStore>, location: &Path, most: u64) -> Result<Option<Bytes>> {
    let found = store.get(location).await?;
    if found.meta.size > most {
        return Ok(None);
    }
    found.bytes().await.map(Some)
}
