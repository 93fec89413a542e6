//! Where tables and the state live.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use url::Url;

/// A folder that a table or the state fills: on the local disk, or in a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Location {
    /// Absolute, without `.`, `..` and links.
    Local(PathBuf),
    /// Of S3, Azure Blob Storage or Google Cloud Storage.
    Bucket(Url),
}

/// The schemes of stores, each with the store that it names.
const STORES: [(&str, &str); 7] = [
    ("s3", "S3"),
    ("s3a", "S3"),
    ("az", "Azure"),
    ("azure", "Azure"),
    ("abfs", "Azure"),
    ("abfss", "Azure"),
    ("gs", "Google"),
];

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    #[error("the location is empty")]
    Empty,
    #[error(
        "`{0}` is not a location: give a local path, or a URL that begins with `file://`, `s3://`, `abfss://`, `az://` \
         or `gs://`"
    )]
    Unknown(String),
    #[error("`{0}` does not name a local folder: write `file:///folder`")]
    NotAFolder(String),
    #[error("`{0}` names no folder in a bucket: write `{1}://bucket/folder`")]
    NotInABucket(String, String),
}

impl Location {
    /// Reads a path, relative to `directory`, or a URL. Symbolic links are followed as far as the path exists,
    /// so that two names of one folder are one location.
    pub fn resolve(text: &str, directory: &Path) -> Result<Self, LocationError> {
        if text.is_empty() {
            return Err(LocationError::Empty);
        }
        let path = match text.split_once("://") {
            None => directory.join(text),
            Some(("file", _)) => file_url_path(text)?,
            Some((scheme, _)) if STORES.iter().any(|(known, _)| *known == scheme) => {
                return in_a_bucket(text, scheme);
            }
            Some(_) => return Err(LocationError::Unknown(text.to_owned())),
        };
        let path = std::path::absolute(path).map_err(|_| LocationError::NotAFolder(text.to_owned()))?;
        Ok(Self::Local(without_links(&path)))
    }

    /// The URL of the folder, ending in `/`.
    pub fn url(&self) -> Url {
        match self {
            Self::Local(path) => Url::from_directory_path(path).expect("`resolve` made the path absolute"),
            Self::Bucket(url) => url.clone(),
        }
    }

    /// Whether `other` is this location or lies inside it.
    pub fn contains(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Local(path), Self::Local(other)) => other.starts_with(path),
            (Self::Bucket(url), Self::Bucket(other)) => {
                bucket(url) == bucket(other) && other.path().starts_with(url.path())
            }
            _ => false,
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => path.display().fmt(f),
            Self::Bucket(url) => url.fmt(f),
        }
    }
}

fn in_a_bucket(text: &str, scheme: &str) -> Result<Location, LocationError> {
    let nowhere = || LocationError::NotInABucket(text.to_owned(), scheme.to_owned());
    let mut url = Url::parse(text).map_err(|_| nowhere())?;
    let path = url.path().trim_matches('/').to_owned();
    if !url.has_host() || path.is_empty() || url.query().is_some() || url.fragment().is_some() {
        return Err(nowhere());
    }
    // With the slash a table is not taken for its neighbour with a longer name.
    url.set_path(&format!("/{path}/"));
    Ok(Location::Bucket(url))
}

/// The same for all names of one bucket.
fn bucket(url: &Url) -> (Option<&str>, &str, Option<&str>) {
    let store = STORES.iter().find(|(scheme, _)| *scheme == url.scheme()).map(|(_, store)| *store);
    (store, url.username(), url.host_str())
}

fn file_url_path(text: &str) -> Result<PathBuf, LocationError> {
    Url::parse(text)
        .ok()
        .and_then(|url| url.to_file_path().ok())
        .ok_or_else(|| LocationError::NotAFolder(text.to_owned()))
}

fn without_links(path: &Path) -> PathBuf {
    let mut resolved = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                resolved.pop();
            }
            other => {
                resolved.push(other);
                if let Ok(real) = resolved.canonicalize() {
                    resolved = real;
                }
            }
        }
    }
    resolved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_to_the_directory_and_urls_are_not() {
        let directory = Path::new("/no/such/pipeline");
        for (text, path) in [
            ("./lake/bronze", "/no/such/pipeline/lake/bronze"),
            ("../lake/", "/no/such/lake"),
            ("/lake", "/lake"),
            ("file:///lake/a%20b/../c", "/lake/c"),
        ] {
            assert_eq!(Location::resolve(text, directory).unwrap(), Location::Local(path.into()), "{text}");
        }
        let location = Location::resolve("a b", directory).unwrap();
        assert_eq!(location.url().as_str(), "file:///no/such/pipeline/a%20b/");
    }

    #[test]
    fn buckets_are_locations_and_what_is_neither_is_refused() {
        let resolve = |text| Location::resolve(text, Path::new("/"));
        assert_eq!(resolve("s3://bucket/lake/bronze").unwrap().url().as_str(), "s3://bucket/lake/bronze/");
        let refusal = |text| resolve(text).unwrap_err().to_string();
        assert!(refusal("s3://bucket").contains("s3://bucket/folder"));
        assert!(refusal("abfss:///x").contains("abfss://bucket/folder"));
        assert!(refusal("ftp://host/x").contains("not a location"));
        assert!(refusal("file://relative/x").contains("file:///"));
        assert!(refusal("").contains("empty"));
    }

    #[test]
    fn one_bucket_has_several_names_and_neighbours_are_apart() {
        let location = |text| Location::resolve(text, Path::new("/")).unwrap();
        assert!(location("s3://bucket/lake").contains(&location("s3a://bucket/lake/bronze/")));
        assert!(!location("s3://bucket/lake").contains(&location("s3://bucket/lakes")));
        assert!(!location("s3://bucket/lake").contains(&location("s3://other/lake")));
        assert!(!location("s3://bucket/lake").contains(&location("gs://bucket/lake")));
        assert!(!location("/lake").contains(&location("s3://bucket/lake")));
    }

    #[test]
    fn a_link_does_not_hide_that_one_location_is_inside_another() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("real")).unwrap();
        std::os::unix::fs::symlink("real", directory.path().join("link")).unwrap();
        let location = |text: &str| Location::resolve(text, directory.path()).unwrap();
        assert!(location("real").contains(&location("link/table")));
        assert!(!location("real").contains(&location("really")));
        assert!(location("link").contains(&location("real")));
    }
}
