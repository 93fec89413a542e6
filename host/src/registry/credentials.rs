//! Credentials for registries, where `docker login` and its like keep them: Docker's `config.json`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::error::RegistryError;
use super::helper;

/// Docker Hub is known by an old address.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    Password {
        name: String,
        password: String,
    },
    /// Exchanged for an access token.
    Identity(String),
}

/// What the environment says of Docker's configuration.
#[derive(Clone, Default)]
pub struct DockerConfig {
    /// The document itself: `DOCKER_AUTH_CONFIG`.
    pub text: Option<String>,
    /// `config.json` in the folder that `DOCKER_CONFIG` names, else `~/.docker`.
    pub file: Option<PathBuf>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Document {
    auths: HashMap<String, Login>,
    creds_store: Option<String>,
    cred_helpers: HashMap<String, String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Login {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

impl DockerConfig {
    pub fn of_environment() -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let folder = set("DOCKER_CONFIG")
            .map(PathBuf::from)
            .or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".docker")));
        Self {
            text: set("DOCKER_AUTH_CONFIG").and_then(|text| text.into_string().ok()),
            file: folder.map(|folder| folder.join("config.json")),
        }
    }

    /// What there is for the registry. Helpers of Docker's (`docker-credential-…`) are asked where the file names them.
    pub async fn credentials(&self, registry: &str) -> Result<Option<Credentials>, RegistryError> {
        if let Some(text) = &self.text {
            let name = Path::new("DOCKER_AUTH_CONFIG");
            if let Some(found) = found_in(name, text, registry).await? {
                return Ok(Some(found));
            }
        }
        let Some(file) = &self.file else { return Ok(None) };
        match std::fs::read_to_string(file) {
            Ok(text) => found_in(file, &text, registry).await,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(refused(file, error.to_string())),
        }
    }
}

fn refused(file: &Path, what: impl Into<String>) -> RegistryError {
    RegistryError::Credentials { file: file.to_owned(), what: what.into() }
}

/// What a document has for a registry.
enum Entry {
    Login(Credentials),
    /// `docker-credential-NAME` knows it.
    Helper(String),
}

async fn found_in(file: &Path, text: &str, registry: &str) -> Result<Option<Credentials>, RegistryError> {
    match of_document(file, text, registry)? {
        None => Ok(None),
        Some(Entry::Login(login)) => Ok(Some(login)),
        Some(Entry::Helper(name)) => {
            let server = if registry == "docker.io" { DOCKER_HUB } else { registry };
            let found = helper::ask(&name, server).await;
            found.map_err(|what| refused(file, format!("`docker-credential-{name}`: {what}")))
        }
    }
}

fn of_document(file: &Path, text: &str, registry: &str) -> Result<Option<Entry>, RegistryError> {
    let document: Document = serde_json::from_str(text).map_err(|error| {
        refused(file, format!("line {}, column {}: not Docker's configuration", error.line(), error.column()))
    })?;
    let keys = keys(registry);
    if let Some(helper) = keys.iter().find_map(|key| document.cred_helpers.get(key)) {
        return Ok(Some(Entry::Helper(helper.clone())));
    }
    if let Some(login) = keys.iter().find_map(|key| document.auths.get(key)) {
        let found =
            of_login(login).map_err(|what| refused(file, format!("`auths` of {registry}: {what}")))?;
        if let Some(found) = found {
            return Ok(Some(Entry::Login(found)));
        }
    }
    Ok(document.creds_store.map(Entry::Helper))
}

/// As logins to the registry may be called.
fn keys(registry: &str) -> Vec<String> {
    let mut keys = vec![registry.to_owned(), format!("https://{registry}"), format!("http://{registry}")];
    if registry == "docker.io" {
        keys.extend([DOCKER_HUB.to_owned(), "index.docker.io".to_owned()]);
    }
    keys
}

fn of_login(login: &Login) -> Result<Option<Credentials>, &'static str> {
    if let Some(token) = login.identitytoken.as_ref().filter(|token| !token.is_empty()) {
        return Ok(Some(Credentials::Identity(token.clone())));
    }
    if let Some(auth) = login.auth.as_ref().filter(|auth| !auth.is_empty()) {
        let text = STANDARD.decode(auth.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let text = text.ok_or("`auth` is not Base64 of a text")?;
        let (name, password) = text.split_once(':').ok_or("`auth` has no `:` between name and password")?;
        let password = password.trim_end_matches('\0').to_owned();
        return Ok(Some(Credentials::Password { name: name.to_owned(), password }));
    }
    Ok(match (&login.username, &login.password) {
        (Some(name), Some(password)) => {
            Some(Credentials::Password { name: name.clone(), password: password.clone() })
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn found(text: &str, registry: &str) -> Result<Option<Credentials>, RegistryError> {
        DockerConfig { text: Some(text.to_owned()), file: None }.credentials(registry).await
    }

    fn password(name: &str, password: &str) -> Option<Credentials> {
        Some(Credentials::Password { name: name.to_owned(), password: password.to_owned() })
    }

    #[tokio::test]
    async fn logins_are_found_by_registry() {
        // "ann:se:cret" in Base64.
        let text = r#"{"auths": {
            "ghcr.io": {"auth": "YW5uOnNlOmNyZXQ="},
            "https://quay.io": {"username": "bob", "password": "b"},
            "https://index.docker.io/v1/": {"identitytoken": "token"},
            "empty.io": {}
        }, "HttpHeaders": {}}"#;
        assert!(found(text, "ghcr.io").await.unwrap() == password("ann", "se:cret"));
        assert!(found(text, "quay.io").await.unwrap() == password("bob", "b"));
        assert!(found(text, "docker.io").await.unwrap() == Some(Credentials::Identity("token".to_owned())));
        assert!(found(text, "empty.io").await.unwrap().is_none());
        assert!(found(text, "ghcr.io:443").await.unwrap().is_none());
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_told_without_its_content() {
        for (text, says) in [
            (r#"{"auths": {"a": {"auth": "c2VjcmV0"}}}"#, "no `:`"),
            (r#"{"auths": {"a": {"auth": "%secret"}}}"#, "not Base64"),
            (r#"{"auths": {"a": "secret"}}"#, "line 1, column"),
            (r#"{"credHelpers": {"a": "../secret"}}"#, "no name of a helper"),
            (r#"{"credsStore": "not-there-at-all"}"#, "docker-credential-not-there-at-all"),
        ] {
            let Err(refused) = found(text, "a").await else { panic!("{text} is read") };
            let refused = refused.to_string();
            assert!(refused.contains(says), "{refused} does not say {says}");
            assert!(!refused.contains("c2VjcmV0") && !refused.contains("%secret"), "{refused}");
        }
    }
}
