//! What names a component in a registry: `oci://registry/name:tag` or `oci://registry/name@sha256:…`.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// What every reference begins with.
pub const SCHEME: &str = "oci://";

const MAX_NAME: usize = 255;
const MAX_TAG: usize = 128;

/// A component in a registry. It names a tag, which can move, or a digest of a manifest, or both: then the digest counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    /// The host, with its port where one is given.
    pub registry: String,
    pub repository: String,
    pub tag: Option<String>,
    /// Of the manifest.
    pub digest: Option<Digest>,
}

/// A SHA-256, written `sha256:` and 64 hexadecimal digits in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(String);

/// Why a text is no reference, and how to write one. The text is not told: somebody may have put a password into it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "this names no component in a registry: {0}. Write `oci://registry/name:tag` or `oci://registry/name@sha256:…`"
)]
pub struct ReferenceError(&'static str);

impl Reference {
    /// Whether the text means to name a component in a registry.
    pub fn is_meant(text: &str) -> bool {
        text.starts_with(SCHEME)
    }

    /// What a manifest is asked for by.
    pub fn manifest_name(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.clone().unwrap_or_default(),
        }
    }

    /// The same component by the digest of its manifest.
    pub fn at(&self, manifest: Digest) -> Self {
        Self { tag: None, digest: Some(manifest), ..self.clone() }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        parse(text).map_err(ReferenceError)
    }
}

fn parse(text: &str) -> Result<Reference, &'static str> {
    let rest = text.strip_prefix(SCHEME).ok_or("it does not begin with `oci://`")?;
    let (registry, rest) = rest.split_once('/').ok_or("it names no component behind its registry")?;
    if !is_host(registry) {
        return Err("the registry is a host, with or without a port");
    }
    let (rest, digest) = match rest.split_once('@') {
        Some((rest, digest)) => {
            (rest, Some(digest.parse().map_err(|_| "a digest is `sha256:` and 64 hexadecimal digits")?))
        }
        None => (rest, None),
    };
    let (repository, tag) = match rest.split_once(':') {
        Some((repository, tag)) => (repository, Some(tag.to_owned())),
        None => (rest, None),
    };
    if !is_repository(repository) {
        return Err(
            "a name is lower-case letters, digits and `-`, `_`, `.` between them, in parts divided by `/`",
        );
    }
    if tag.as_deref().is_some_and(|tag| !is_tag(tag)) {
        return Err("a tag is letters, digits, `_`, `.` and `-`, at most 128");
    }
    if tag.is_none() && digest.is_none() {
        return Err("it has neither a tag nor a digest");
    }
    Ok(Reference { registry: registry.to_owned(), repository: repository.to_owned(), tag, digest })
}

fn is_host(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok());
    let is_name = !host.is_empty()
        && host.len() <= MAX_NAME
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
    (is_address || is_name) && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

fn is_repository(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_part = |part: &str| {
        let bytes = part.as_bytes();
        bytes.first().is_some_and(|byte| is_plain(*byte))
            && bytes.last().is_some_and(|byte| is_plain(*byte))
            && bytes.iter().all(|byte| is_plain(*byte) || matches!(byte, b'-' | b'_' | b'.'))
            && !part.contains("..")
    };
    name.len() <= MAX_NAME && name.split('/').all(is_part)
}

fn is_tag(tag: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= MAX_TAG
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

impl Digest {
    pub fn of(bytes: &[u8]) -> Self {
        Self(format!("{:x}", Sha256::digest(bytes)))
    }

    /// From 64 hexadecimal digits.
    pub fn from_hex(hex: &str) -> Option<Self> {
        let fits = hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        fits.then(|| Self(hex.to_ascii_lowercase()))
    }

    pub fn hex(&self) -> &str {
        &self.0
    }
}

impl FromStr for Digest {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        text.strip_prefix("sha256:").and_then(Self::from_hex).ok_or(())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn references_are_read_as_they_are_written() {
        for text in [
            "oci://ghcr.io/acme/plugins/too-hot:1.2.0".to_owned(),
            "oci://localhost:5000/a:b".to_owned(),
            "oci://[::1]:5000/a:b".to_owned(),
            format!("oci://127.0.0.1:5000/a_b.c@sha256:{HEX}"),
            format!("oci://registry.example.com/a:v1@sha256:{HEX}"),
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.to_string(), text);
        }
        let reference: Reference = format!("oci://h:5/a/b:t@sha256:{HEX}").parse().unwrap();
        assert_eq!((reference.registry.as_str(), reference.repository.as_str()), ("h:5", "a/b"));
        assert_eq!(reference.manifest_name(), format!("sha256:{HEX}"));
    }

    #[test]
    fn what_is_no_reference_is_refused_with_the_reason() {
        for (text, says) in [
            ("ghcr.io/a:b", "does not begin"),
            ("oci://ghcr.io", "names no component"),
            ("oci:///a:b", "registry is a host"),
            ("oci://user:word@ghcr.io/a:b", "registry is a host"),
            ("oci://ghcr.io:port/a:b", "registry is a host"),
            ("oci://ghcr.io/a", "neither a tag nor a digest"),
            ("oci://ghcr.io/A:b", "a name is"),
            ("oci://ghcr.io/../a:b", "a name is"),
            ("oci://ghcr.io/a//b:c", "a name is"),
            ("oci://ghcr.io/a?b:c", "a name is"),
            ("oci://ghcr.io/a:", "a tag is"),
            ("oci://ghcr.io/a:-b", "a tag is"),
            ("oci://ghcr.io/a:b/c", "a tag is"),
            ("oci://ghcr.io/a@sha256:12", "a digest is"),
            ("oci://ghcr.io/a@md5:12", "a digest is"),
        ] {
            let refused = text.parse::<Reference>().unwrap_err().to_string();
            assert!(refused.contains(says), "{refused} does not say {says}");
        }
    }
}
