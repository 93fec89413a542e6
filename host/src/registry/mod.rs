//! Components in registries, by the OCI distribution specification 1.1. The only place that speaks HTTP to them.
//!
//! What a registry gives is hostile until shown otherwise: a component counts by its digest, manifests and answers have
//! limits, and credentials go only where the registry itself is, or sends for tokens.

mod authorization;
mod cache;
mod challenge;
mod credentials;
mod error;
mod exchange;
mod helper;
mod manifest;
mod reference;

use std::path::PathBuf;

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Method, StatusCode};
use url::{Host, Url};

pub use self::credentials::{Credentials, DockerConfig};
pub use self::error::RegistryError;
pub use self::manifest::Artifact;
pub use self::reference::{Digest, Reference, ReferenceError, SCHEME};

use self::cache::Cache;
use self::exchange::{Answer, Repository, Request, Wish};
use self::manifest::MANIFEST_TYPE;

/// Registries need not take larger manifests, nor need we.
const MAX_MANIFEST: u64 = 4 << 20;

#[derive(Clone)]
pub struct RegistrySettings {
    /// Where what was pulled is kept; `None` keeps nothing.
    pub cache: Option<PathBuf>,
    /// Registries are not asked.
    pub offline: bool,
    /// Registries that are spoken to without TLS, besides those on this machine.
    pub plain: Vec<String>,
    pub docker: DockerConfig,
    /// Bytes of a component.
    pub largest: u64,
}

/// All registries: who they are is in the references.
pub struct Registries {
    settings: RegistrySettings,
    cache: Option<Cache>,
}

/// What a reference comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Of the manifest.
    pub manifest: Digest,
    /// Of the component's bytes.
    pub component: Digest,
}

impl Registries {
    pub fn new(settings: RegistrySettings) -> Self {
        Self { cache: settings.cache.clone().map(Cache::new), settings }
    }

    /// What the reference names. A tag is looked up in the registry, whatever the cache has.
    pub async fn resolve(&self, reference: &Reference) -> Result<Resolved, RegistryError> {
        let cached = reference.digest.as_ref().and_then(|digest| self.cached(digest, MAX_MANIFEST));
        let manifest = match cached {
            Some(manifest) => manifest,
            None => self.pull_manifest(reference).await?,
        };
        let component = manifest::read(&manifest, self.settings.largest)
            .map_err(|what| RegistryError::Manifest { reference: reference.to_string(), what })?;
        Ok(Resolved { manifest: Digest::of(&manifest), component })
    }

    /// What a reference by digest names, as far as the cache knows.
    pub fn known(&self, reference: &Reference) -> Option<Digest> {
        let manifest = self.cached(reference.digest.as_ref()?, MAX_MANIFEST)?;
        manifest::read(&manifest, self.settings.largest).ok()
    }

    /// The component with this digest, from the cache or from the reference's repository.
    pub async fn component(&self, reference: &Reference, component: &Digest) -> Result<Bytes, RegistryError> {
        if let Some(bytes) = self.cached(component, self.settings.largest) {
            return Ok(bytes);
        }
        self.refuse_offline(&format!("the component {component} of {reference}"))?;
        let repository = self.repository(reference, Wish::Pull).await?;
        tracing::info!(%reference, sha256 = component.hex(), "pulling");
        let request = get(repository.url(&format!("blobs/{component}"))?, None, self.settings.largest);
        let answer = repository.send(&request).await?;
        let bytes =
            expect_ok(&repository, answer, || format!("the component {component} of {reference}"))?.body;
        self.keep(&format!("the component of {reference}"), component, bytes)
    }

    /// Pushes a component under the reference's tag, and returns the digest of its manifest. What the registry has is
    /// not sent again.
    pub async fn push(
        &self,
        reference: &Reference,
        artifact: &Artifact,
        component: Bytes,
    ) -> Result<Digest, RegistryError> {
        self.refuse_offline(&format!("{reference}"))?;
        let repository = self.repository(reference, Wish::Push).await?;
        let (config, manifest) = manifest::write(artifact, &component);
        push_blob(&repository, component).await?;
        push_blob(&repository, config.into()).await?;
        let digest = Digest::of(&manifest);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MANIFEST_TYPE));
        let url = repository.url(&format!("manifests/{}", reference.manifest_name()))?;
        let request =
            Request { method: Method::PUT, url, headers, body: manifest.into(), limit: MAX_MANIFEST };
        let answer = repository.send(&request).await?;
        if answer.status != StatusCode::CREATED {
            return Err(repository.unexpected("the manifest", answer.status, &answer.body));
        }
        Ok(digest)
    }

    async fn pull_manifest(&self, reference: &Reference) -> Result<Bytes, RegistryError> {
        self.refuse_offline(&format!("the manifest of {reference}"))?;
        let repository = self.repository(reference, Wish::Pull).await?;
        let url = repository.url(&format!("manifests/{}", reference.manifest_name()))?;
        let answer = repository.send(&get(url, Some(MANIFEST_TYPE), MAX_MANIFEST)).await?;
        let manifest = expect_ok(&repository, answer, || reference.to_string())?.body;
        let expected = reference.digest.clone().unwrap_or_else(|| Digest::of(&manifest));
        self.keep(&format!("the manifest of {reference}"), &expected, manifest)
    }

    /// What was pulled, held against its digest, and kept.
    fn keep(&self, what: &str, expected: &Digest, bytes: Bytes) -> Result<Bytes, RegistryError> {
        let found = Digest::of(&bytes);
        if found != *expected {
            let (what, expected) = (what.to_owned(), expected.clone());
            return Err(RegistryError::Digest { what, expected, found });
        }
        if let Some(cache) = &self.cache {
            cache.put(expected, &bytes);
        }
        Ok(bytes)
    }

    fn cached(&self, digest: &Digest, limit: u64) -> Option<Bytes> {
        self.cache.as_ref()?.get(digest, limit)
    }

    fn refuse_offline(&self, what: &str) -> Result<(), RegistryError> {
        if !self.settings.offline {
            return Ok(());
        }
        let cache = match &self.cache {
            Some(cache) => cache.folder().display().to_string(),
            None => "there is none: neither XDG_CACHE_HOME nor HOME is set".to_owned(),
        };
        Err(RegistryError::Offline { what: what.to_owned(), cache })
    }

    async fn repository(&self, reference: &Reference, wish: Wish) -> Result<Repository, RegistryError> {
        let registry = &reference.registry;
        let credentials = self.settings.docker.credentials(registry).await?;
        let plain = is_on_this_machine(registry) || self.settings.plain.contains(registry);
        Repository::new(registry, &reference.repository, plain, credentials, wish)
    }
}

/// Nobody listens in between.
fn is_on_this_machine(registry: &str) -> bool {
    let url = Url::parse(&format!("http://{registry}/")).ok();
    url.as_ref().and_then(Url::host).is_some_and(|host| is_loopback(&host))
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

fn get(url: Url, accept: Option<&'static str>, limit: u64) -> Request {
    let mut headers = HeaderMap::new();
    if let Some(accept) = accept {
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
    }
    Request { method: Method::GET, url, headers, body: Bytes::new(), limit }
}

fn expect_ok(
    repository: &Repository,
    answer: Answer,
    what: impl Fn() -> String,
) -> Result<Answer, RegistryError> {
    match answer.status {
        StatusCode::OK => Ok(answer),
        StatusCode::NOT_FOUND => {
            Err(RegistryError::NotFound { registry: repository.registry().to_owned(), what: what() })
        }
        status => Err(repository.unexpected(&what(), status, &answer.body)),
    }
}

/// Sends a blob whole, unless the registry has it.
async fn push_blob(repository: &Repository, blob: Bytes) -> Result<(), RegistryError> {
    let digest = Digest::of(&blob);
    let url = repository.url(&format!("blobs/{digest}"))?;
    let head = Request { method: Method::HEAD, ..get(url, None, u64::MAX) };
    if repository.send(&head).await?.status == StatusCode::OK {
        return Ok(());
    }
    let start =
        Request { method: Method::POST, ..get(repository.url("blobs/uploads/")?, None, MAX_MANIFEST) };
    let started = repository.send(&start).await?;
    let place = started.headers.get(LOCATION).and_then(|place| started.url.join(place.to_str().ok()?).ok());
    let (StatusCode::ACCEPTED, Some(mut place)) = (started.status, place) else {
        return Err(repository.unexpected("the start of an upload", started.status, &started.body));
    };
    place.query_pairs_mut().append_pair("digest", &digest.to_string());
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    let upload = Request { method: Method::PUT, url: place, headers, body: blob, limit: MAX_MANIFEST };
    let answer = repository.send(&upload).await?;
    match answer.status {
        StatusCode::CREATED => Ok(()),
        status => Err(repository.unexpected("an upload", status, &answer.body)),
    }
}
