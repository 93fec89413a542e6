//! Headers.

use reqwest::header::{HeaderName, HeaderValue};
use wasmtime::component::{ComponentType, LinkerInstance, Lower};
use wasmtime::{Result, bail};

use super::super::super::guest::Guest;
use super::super::held::Reservation;
use super::super::{Wasi, resources};
use super::{Context, Handle, MOST_FIELDS};

/// Names in lower case with their values. Those of requests that were made and of responses do not change.
#[derive(Debug)]
pub(super) struct Fields {
    pub entries: Vec<(String, Vec<u8>)>,
    is_fixed: bool,
    held: Reservation,
}

#[derive(Debug, PartialEq, Eq, ComponentType, Lower)]
#[component(variant)]
enum HeaderError {
    #[component(name = "invalid-syntax")]
    InvalidSyntax,
    #[component(name = "forbidden")]
    Forbidden,
    #[component(name = "immutable")]
    Immutable,
}

/// Headers that belong to the connection. `host` above all: a server of many hosts would answer for another one.
pub(super) const FORBIDDEN: [&str; 11] = [
    "connection",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl Wasi {
    pub(super) fn add_fields(&mut self, entries: Vec<(String, Vec<u8>)>, is_fixed: bool) -> Result<Handle> {
        let mut fields = Fields::empty(is_fixed, self.held.reserve());
        fields.hold(size(&entries))?;
        fields.entries = entries;
        self.handles.add(fields)
    }
}

/// Bytes that headers take, what is around them included.
pub(super) fn size<'a>(entries: impl IntoIterator<Item = &'a (String, Vec<u8>)>) -> usize {
    entries.into_iter().map(|(name, value)| name.len() + value.len() + 64).sum()
}

impl Fields {
    pub fn empty(is_fixed: bool, held: Reservation) -> Self {
        Self { entries: Vec::new(), is_fixed, held }
    }

    fn hold(&mut self, bytes: usize) -> Result<()> {
        if bytes > MOST_FIELDS || !self.held.resize(bytes) {
            bail!("its headers are larger than {MOST_FIELDS} bytes, or it holds too many of them");
        }
        Ok(())
    }

    /// Checks all before any is taken.
    fn set(
        &mut self,
        added: Vec<(String, Vec<u8>)>,
        replaced: Option<&str>,
    ) -> Result<Result<(), HeaderError>> {
        if self.is_fixed {
            return Ok(Err(HeaderError::Immutable));
        }
        for (name, value) in &added {
            if HeaderName::from_bytes(name.as_bytes()).is_err() || HeaderValue::from_bytes(value).is_err() {
                return Ok(Err(HeaderError::InvalidSyntax));
            }
            if FORBIDDEN.contains(&name.to_ascii_lowercase().as_str()) {
                return Ok(Err(HeaderError::Forbidden));
            }
        }
        let stays = |(name, _): &(String, Vec<u8>)| {
            !replaced.is_some_and(|replaced| name.eq_ignore_ascii_case(replaced))
        };
        let kept = size(self.entries.iter().filter(|entry| stays(entry)));
        self.hold(kept + size(&added))?;
        self.entries.retain(stays);
        self.entries.extend(added.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)));
        Ok(Ok(()))
    }

    fn values(&self, name: &str) -> Vec<Vec<u8>> {
        let of_name = self.entries.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        of_name.map(|(_, value)| value.clone()).collect()
    }
}

pub(super) fn link(types: &mut LinkerInstance<'_, Guest>) -> Result<()> {
    resources(types, &["fields"])?;
    types.func_wrap("[constructor]fields", |mut context: Context<'_>, (): ()| {
        Ok((context.data_mut().wasi.add_fields(Vec::new(), false)?,))
    })?;
    types.func_wrap(
        "[static]fields.from-list",
        |mut context: Context<'_>, (entries,): (Vec<(String, Vec<u8>)>,)| {
            let wasi = &mut context.data_mut().wasi;
            let fields = wasi.add_fields(Vec::new(), false)?;
            Ok((match wasi.handles.get::<Fields>(&fields)?.set(entries, None)? {
                Ok(()) => Ok(fields),
                Err(error) => {
                    wasi.handles.remove(fields.rep());
                    Err(error)
                }
            },))
        },
    )?;
    types.func_wrap("[method]fields.get", |mut context: Context<'_>, (it, name): (Handle, String)| {
        Ok((context.data_mut().wasi.handles.get::<Fields>(&it)?.values(&name),))
    })?;
    types.func_wrap("[method]fields.has", |mut context: Context<'_>, (it, name): (Handle, String)| {
        Ok((!context.data_mut().wasi.handles.get::<Fields>(&it)?.values(&name).is_empty(),))
    })?;
    types.func_wrap(
        "[method]fields.set",
        |mut context: Context<'_>, (it, name, values): (Handle, String, Vec<Vec<u8>>)| {
            let added = values.into_iter().map(|value| (name.clone(), value)).collect();
            Ok((context.data_mut().wasi.handles.get::<Fields>(&it)?.set(added, Some(&name))?,))
        },
    )?;
    types.func_wrap("[method]fields.delete", |mut context: Context<'_>, (it, name): (Handle, String)| {
        Ok((context.data_mut().wasi.handles.get::<Fields>(&it)?.set(Vec::new(), Some(&name))?,))
    })?;
    types.func_wrap(
        "[method]fields.append",
        |mut context: Context<'_>, (it, name, value): (Handle, String, Vec<u8>)| {
            Ok((context.data_mut().wasi.handles.get::<Fields>(&it)?.set(vec![(name, value)], None)?,))
        },
    )?;
    types.func_wrap("[method]fields.entries", |mut context: Context<'_>, (it,): (Handle,)| {
        Ok((context.data_mut().wasi.handles.get::<Fields>(&it)?.entries.clone(),))
    })?;
    types.func_wrap("[method]fields.clone", |mut context: Context<'_>, (it,): (Handle,)| {
        let wasi = &mut context.data_mut().wasi;
        let entries = wasi.handles.get::<Fields>(&it)?.entries.clone();
        Ok((wasi.add_fields(entries, false)?,))
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::held::Held;
    use super::*;

    fn field(name: &str, value: &str) -> Vec<(String, Vec<u8>)> {
        vec![(name.to_owned(), value.as_bytes().to_vec())]
    }

    #[test]
    fn headers_are_checked() {
        let held = Held::default();
        let empty = |is_fixed| Fields::empty(is_fixed, held.reserve());
        let mut fields = empty(false);
        assert_eq!(fields.set(field("Accept", "text/csv"), None).unwrap(), Ok(()));
        assert_eq!(fields.set(field("accept", "*/*"), None).unwrap(), Ok(()));
        assert_eq!(fields.values("ACCEPT").len(), 2);
        assert_eq!(fields.set(field("accept", "a/b"), Some("Accept")).unwrap(), Ok(()));
        assert_eq!(fields.entries, field("accept", "a/b"));
        for (name, value, error) in [
            ("Host", "other.example.com", HeaderError::Forbidden),
            ("transfer-encoding", "chunked", HeaderError::Forbidden),
            ("a b", "c", HeaderError::InvalidSyntax),
            ("a", "b\r\nhost: c", HeaderError::InvalidSyntax),
        ] {
            assert_eq!(fields.set(field(name, value), None).unwrap(), Err(error), "{name}");
        }
        assert!(fields.set(field("a", &"x".repeat(MOST_FIELDS)), None).is_err());
        let before = fields.held.bytes();
        for _ in 0..100 {
            fields.set(field("large", &"x".repeat(1000)), Some("Large")).unwrap().unwrap();
        }
        fields.set(Vec::new(), Some("LARGE")).unwrap().unwrap();
        assert_eq!(fields.held.bytes(), before, "what was replaced or deleted is held no more");
        assert_eq!(empty(true).set(field("a", "b"), None).unwrap(), Err(HeaderError::Immutable));
    }
}
