//! Credentials for registries, where `docker login` and its like keep them: Docker's `config.json`.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::error::RegistryError;

/// Docker Hub is known by an old address.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// What a helper gives as the name of somebody who logs in with a token.
const TOKEN_NAME: &str = "<token>";

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
#[derive(Debug, Clone, Default)]
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

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Helped {
    username: String,
    secret: String,
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
    pub fn credentials(&self, registry: &str) -> Result<Option<Credentials>, RegistryError> {
        if let Some(text) = &self.text {
            let name = Path::new("DOCKER_AUTH_CONFIG");
            if let Some(found) = of_document(name, text, registry)? {
                return Ok(Some(found));
            }
        }
        let Some(file) = &self.file else { return Ok(None) };
        match std::fs::read_to_string(file) {
            Ok(text) => of_document(file, &text, registry),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(refused(file, error.to_string())),
        }
    }
}

fn refused(file: &Path, what: impl Into<String>) -> RegistryError {
    RegistryError::Credentials { file: file.to_owned(), what: what.into() }
}

fn of_document(file: &Path, text: &str, registry: &str) -> Result<Option<Credentials>, RegistryError> {
    let document: Document = serde_json::from_str(text).map_err(|error| {
        refused(file, format!("line {}, column {}: not Docker's configuration", error.line(), error.column()))
    })?;
    let keys = keys(registry);
    if let Some(helper) = keys.iter().find_map(|key| document.cred_helpers.get(key)) {
        return ask_helper(file, helper, registry);
    }
    if let Some(login) = keys.iter().find_map(|key| document.auths.get(key)) {
        let found =
            of_login(login).map_err(|what| refused(file, format!("`auths` of {registry}: {what}")))?;
        if found.is_some() {
            return Ok(found);
        }
    }
    match &document.creds_store {
        Some(helper) => ask_helper(file, helper, registry),
        None => Ok(None),
    }
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

/// Asks `docker-credential-NAME`. One that has nothing says so by its exit code.
fn ask_helper(file: &Path, helper: &str, registry: &str) -> Result<Option<Credentials>, RegistryError> {
    let program = format!("docker-credential-{helper}");
    let failed = |what: String| refused(file, format!("`{program}`: {what}"));
    if !helper.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')) {
        return Err(failed("no name of a helper".to_owned()));
    }
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let server = if registry == "docker.io" { DOCKER_HUB } else { registry };
    if let Some(mut input) = child.stdin.take() {
        // One that does not read says with its exit code what it wants.
        let _ = input.write_all(server.as_bytes());
    }
    let output = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Ok(None);
    }
    let helped: Helped = serde_json::from_slice(&output.stdout)
        .map_err(|_| failed("it did not answer with `Username` and `Secret`".to_owned()))?;
    Ok(Some(match helped.username.as_str() {
        TOKEN_NAME => Credentials::Identity(helped.secret),
        _ => Credentials::Password { name: helped.username, password: helped.secret },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, registry: &str) -> Result<Option<Credentials>, RegistryError> {
        DockerConfig { text: Some(text.to_owned()), file: None }.credentials(registry)
    }

    fn password(name: &str, password: &str) -> Option<Credentials> {
        Some(Credentials::Password { name: name.to_owned(), password: password.to_owned() })
    }

    #[test]
    fn logins_are_found_by_registry() {
        // "ann:se:cret" in Base64.
        let text = r#"{"auths": {
            "ghcr.io": {"auth": "YW5uOnNlOmNyZXQ="},
            "https://quay.io": {"username": "bob", "password": "b"},
            "https://index.docker.io/v1/": {"identitytoken": "token"},
            "empty.io": {}
        }, "HttpHeaders": {}}"#;
        assert!(found(text, "ghcr.io").unwrap() == password("ann", "se:cret"));
        assert!(found(text, "quay.io").unwrap() == password("bob", "b"));
        assert!(found(text, "docker.io").unwrap() == Some(Credentials::Identity("token".to_owned())));
        assert!(found(text, "empty.io").unwrap().is_none());
        assert!(found(text, "ghcr.io:443").unwrap().is_none());
    }

    #[test]
    fn what_cannot_be_read_is_told_without_its_content() {
        for (text, says) in [
            (r#"{"auths": {"a": {"auth": "c2VjcmV0"}}}"#, "no `:`"),
            (r#"{"auths": {"a": {"auth": "%secret"}}}"#, "not Base64"),
            (r#"{"auths": {"a": "secret"}}"#, "line 1, column"),
            (r#"{"credHelpers": {"a": "../secret"}}"#, "no name of a helper"),
            (r#"{"credsStore": "not-there-at-all"}"#, "docker-credential-not-there-at-all"),
        ] {
            let Err(refused) = found(text, "a") else { panic!("{text} is read") };
            let refused = refused.to_string();
            assert!(refused.contains(says), "{refused} does not say {says}");
            assert!(!refused.contains("c2VjcmV0") && !refused.contains("%secret"), "{refused}");
        }
    }
}
