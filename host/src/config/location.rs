//! Where tables and the state live.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use url::Url;

/// A folder that a table or the state fills. Local for now: the other stores are recognised and refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Location {
    path: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    #[error("the location is empty")]
    Empty,
    #[error("`{0}` is on {1}, which this version cannot write yet: give a local path or a `file://` URL")]
    NotYet(String, &'static str),
    #[error("`{0}` is not a location: give a local path or a `file://` URL")]
    Unknown(String),
    #[error("`{0}` does not name a local folder: write `file:///folder`")]
    NotAFolder(String),
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
            Some(("s3" | "s3a", _)) => return Err(LocationError::NotYet(text.to_owned(), "S3")),
            Some(("az" | "abfs" | "abfss" | "azure", _)) => {
                return Err(LocationError::NotYet(text.to_owned(), "Azure Blob Storage"));
            }
            Some(("gs", _)) => return Err(LocationError::NotYet(text.to_owned(), "Google Cloud Storage")),
            Some(_) => return Err(LocationError::Unknown(text.to_owned())),
        };
        let path = std::path::absolute(path).map_err(|_| LocationError::NotAFolder(text.to_owned()))?;
        Ok(Self { path: without_links(&path) })
    }

    /// Absolute, without `.` and `..`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The `file://` URL of the folder, ending in `/`.
    pub fn url(&self) -> Url {
        Url::from_directory_path(&self.path).expect("`resolve` made the path absolute")
    }

    /// Whether `other` is this location or lies inside it.
    pub fn contains(&self, other: &Self) -> bool {
        other.path.starts_with(&self.path)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
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
            assert_eq!(Location::resolve(text, directory).unwrap().path(), Path::new(path), "{text}");
        }
        let location = Location::resolve("a b", directory).unwrap();
        assert_eq!(location.url().as_str(), "file:///no/such/pipeline/a%20b/");
    }

    #[test]
    fn other_stores_are_named_in_the_refusal() {
        let refusal = |text| Location::resolve(text, Path::new("/")).unwrap_err().to_string();
        assert!(refusal("s3://bucket/x").contains("S3"));
        assert!(refusal("abfss://container/x").contains("Azure"));
        assert!(refusal("gs://bucket/x").contains("Google"));
        assert!(refusal("ftp://host/x").contains("not a location"));
        assert!(refusal("file://relative/x").contains("file:///"));
        assert!(refusal("").contains("empty"));
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
