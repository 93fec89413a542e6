//! From a challenge to what opens the registry: a password, or a token that is fetched with one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{RequestBuilder, StatusCode};
use url::Url;

use super::challenge::Challenge;
use super::credentials::Credentials;
use super::error::RegistryError;
use super::exchange::{Failure, MAX_DOCUMENT, Repository, Wish, told};
use super::is_loopback;

impl Repository {
    /// What the registry wants to see, by its challenge.
    pub(super) async fn authorize(&self, challenge: Challenge) -> Result<HeaderValue, Failure> {
        let (realm, service, scope) = match challenge {
            Challenge::Bearer { realm, service, scope } => (realm, service, scope),
            Challenge::Basic => {
                let Some(Credentials::Password { name, password }) = &self.credentials else {
                    return Err(Failure::Final(self.no_credentials()));
                };
                let login = STANDARD.encode(format!("{name}:{password}"));
                return self.header(&format!("Basic {login}")).map_err(Failure::Final);
            }
        };
        let actions = if self.wish == Wish::Push { "pull,push" } else { "pull" };
        let scope = scope.unwrap_or_else(|| format!("repository:{}:{actions}", self.name));
        let no_realm = |what: &str| {
            Failure::Final(self.unreachable(format!("it sends for tokens to `{realm}`, {what}")))
        };
        let url = Url::parse(&realm).map_err(|error| no_realm(&error.to_string()))?;
        if url.scheme() != "https" && !self.is_spoken_to_in_the_clear(&url) {
            return Err(no_realm("where credentials would go in the clear"));
        }
        let response = self.ask(self.token_request(url, service.as_deref(), &scope)).await?;
        let status = response.status();
        let body = self.body(response, MAX_DOCUMENT).await?;
        match status {
            status if status.is_success() => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Err(Failure::Final(self.denied(&body)));
            }
            status => {
                let error = self.unexpected(&format!("a request for a token at {realm}"), status, &body);
                return Err(match status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
                    true => Failure::Passing(error, None),
                    false => Failure::Final(error),
                });
            }
        }
        let document: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let token = ["token", "access_token"].iter().find_map(|key| document.get(key)?.as_str());
        let token = token.ok_or_else(|| no_realm("which gives none"))?;
        self.header(&format!("Bearer {token}")).map_err(Failure::Final)
    }

    /// A registry without TLS may send for tokens to itself, and no further than this machine.
    fn is_spoken_to_in_the_clear(&self, url: &Url) -> bool {
        let is_near = url.host() == self.base.host() || url.host().is_some_and(|host| is_loopback(&host));
        url.scheme() == "http" && self.base.scheme() == "http" && is_near
    }

    fn token_request(&self, mut url: Url, service: Option<&str>, scope: &str) -> RequestBuilder {
        let service = service.map(|service| ("service", service));
        if let Some(Credentials::Identity(token)) = &self.credentials {
            let form = url::form_urlencoded::Serializer::new(String::new())
                .extend_pairs([("grant_type", "refresh_token"), ("client_id", "sluicebox"), ("scope", scope)])
                .append_pair("refresh_token", token)
                .extend_pairs(service)
                .finish();
            let form_type = "application/x-www-form-urlencoded";
            return self.tokens.post(url).header(CONTENT_TYPE, form_type).body(form);
        }
        url.query_pairs_mut().append_pair("scope", scope).extend_pairs(service);
        let request = self.tokens.get(url);
        match &self.credentials {
            Some(Credentials::Password { name, password }) => request.basic_auth(name, Some(password)),
            _ => request,
        }
    }

    fn no_credentials(&self) -> RegistryError {
        RegistryError::NoCredentials { registry: self.registry.clone(), repository: self.name.clone() }
    }

    pub(super) fn denied(&self, body: &[u8]) -> RegistryError {
        let who = match &self.credentials {
            None => return self.no_credentials(),
            Some(Credentials::Password { name, .. }) => format!("`{name}`"),
            Some(Credentials::Identity(_)) => "the bearer of the token".to_owned(),
        };
        let wish = if self.wish == Wish::Push { "push to" } else { "pull from" };
        let (registry, repository) = (self.registry.clone(), self.name.clone());
        RegistryError::Denied { registry, repository, who, wish, told: told(body) }
    }

    /// Is never shown.
    fn header(&self, text: &str) -> Result<HeaderValue, RegistryError> {
        let unfit = |_| self.unreachable("what it wants to see cannot be sent in a header".to_owned());
        let mut header = HeaderValue::from_str(text).map_err(unfit)?;
        header.set_sensitive(true);
        Ok(header)
    }
}
