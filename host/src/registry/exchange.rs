//! Requests to one repository of one registry: with credentials once they are asked for, tried again after what passes,
//! and their answers read up to a limit.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::{Method, RequestBuilder, Response, StatusCode, redirect};
use tokio::sync::Mutex;
use tokio::time::timeout;
use url::Url;

use super::challenge::{self, Challenge};
use super::credentials::Credentials;
use super::error::RegistryError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Without a byte.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Of one request with its answer, all attempts together.
const TIMEOUT: Duration = Duration::from_secs(600);
const MAX_REDIRECTS: usize = 5;
/// How long to wait before each further attempt.
const WAITS: [Duration; 3] =
    [Duration::from_millis(200), Duration::from_millis(800), Duration::from_millis(3200)];
/// What a registry may ask to wait at most.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Of answers that say what went wrong, and of tokens.
pub(super) const MAX_DOCUMENT: u64 = 1 << 20;
const MAX_TOLD: usize = 300;

/// What is wanted of the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Pull,
    Push,
}

pub(super) struct Repository {
    http: reqwest::Client,
    /// For tokens: what opens them goes nowhere but where it was sent.
    pub(super) tokens: reqwest::Client,
    /// As the reference names it.
    pub(super) registry: String,
    pub(super) name: String,
    pub(super) base: Url,
    pub(super) credentials: Option<Credentials>,
    pub(super) wish: Wish,
    authorization: Mutex<Option<HeaderValue>>,
}

/// One request; the body is sent again with each attempt.
#[derive(Clone)]
pub(super) struct Request {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Bytes that the answer may have.
    pub limit: u64,
}

pub(super) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Where it came from in the end.
    pub url: Url,
}

/// Why one attempt came to nothing.
pub(super) enum Failure {
    /// Another attempt may do better, after the wait that was asked for.
    Passing(RegistryError, Option<Duration>),
    Final(RegistryError),
}

impl Repository {
    pub fn new(
        registry: &str,
        name: &str,
        plain: bool,
        credentials: Option<Credentials>,
        wish: Wish,
    ) -> Result<Self, RegistryError> {
        let unreachable =
            |reason: String| RegistryError::Unreachable { registry: registry.to_owned(), reason };
        let host = if registry == "docker.io" { "registry-1.docker.io" } else { registry };
        let scheme = if plain { "http" } else { "https" };
        let base =
            Url::parse(&format!("{scheme}://{host}/")).map_err(|error| unreachable(error.to_string()))?;
        let client = |redirects: redirect::Policy| {
            let mut http = reqwest::Client::builder()
                .user_agent(concat!("sluicebox/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT_TIMEOUT)
                // It would tell the next place the query, which may hold a signature.
                .referer(false)
                .redirect(redirects);
            if wish == Wish::Pull {
                // It counts while a request is sent, too: an upload takes what it takes.
                http = http.read_timeout(READ_TIMEOUT);
            }
            if plain {
                // A proxy has no business between this machine and itself.
                http = http.no_proxy();
            }
            http.build().map_err(|error| unreachable(error.to_string()))
        };
        Ok(Self {
            http: client(redirects())?,
            tokens: client(redirect::Policy::none())?,
            registry: registry.to_owned(),
            name: name.to_owned(),
            base,
            credentials,
            wish,
            authorization: Mutex::new(None),
        })
    }

    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// `/v2/NAME/<what>` of the registry.
    pub fn url(&self, what: &str) -> Result<Url, RegistryError> {
        self.base
            .join(&format!("v2/{}/{what}", self.name))
            .map_err(|error| self.unreachable(error.to_string()))
    }

    /// What came back, whatever its status, unless that asks for credentials or for patience.
    pub async fn send(&self, request: &Request) -> Result<Answer, RegistryError> {
        let too_long = || self.unreachable(format!("it took more than {} s", TIMEOUT.as_secs()));
        timeout(TIMEOUT, self.send_until_answered(request)).await.unwrap_or_else(|_| Err(too_long()))
    }

    async fn send_until_answered(&self, request: &Request) -> Result<Answer, RegistryError> {
        let mut waits = WAITS.iter();
        loop {
            let (error, asked) = match self.attempt(request).await {
                Ok(answer) => return Ok(answer),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Passing(error, asked)) => (error, asked),
            };
            let Some(wait) = waits.next() else { return Err(error) };
            let wait = asked.unwrap_or(*wait).min(LONGEST_WAIT);
            tracing::debug!(%error, ?wait, "trying again");
            tokio::time::sleep(wait).await;
        }
    }

    async fn attempt(&self, request: &Request) -> Result<Answer, Failure> {
        // Uploads may go elsewhere: what opens this registry is none of that place's business.
        let is_ours = self.is_here(&request.url);
        let known = self.authorization.lock().await.clone().filter(|_| is_ours);
        let was_sent = known.is_some();
        let response = self.ask(self.build(request, known)).await?;
        // Nor does one learn anything of how to open this registry where a redirection ends.
        if response.status() != StatusCode::UNAUTHORIZED || !self.is_here(response.url()) {
            return self.judge(request, response).await;
        }
        let challenge = challenge::read(
            response.headers().get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok()),
        );
        let authorization = match challenge {
            Some(challenge) if !was_sent || matches!(challenge, Challenge::Bearer { .. }) => {
                self.authorize(challenge).await?
            }
            _ => return Err(Failure::Final(self.denied(&self.body(response, MAX_DOCUMENT).await?))),
        };
        *self.authorization.lock().await = Some(authorization.clone());
        let response = self.ask(self.build(request, Some(authorization))).await?;
        self.judge(request, response).await
    }

    fn is_here(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    fn build(&self, request: &Request, authorization: Option<HeaderValue>) -> RequestBuilder {
        let mut builder = self.http.request(request.method.clone(), request.url.clone());
        builder = builder.headers(request.headers.clone());
        if matches!(request.method, Method::PUT | Method::POST) {
            builder = builder.body(request.body.clone());
        }
        match authorization {
            Some(authorization) => builder.header(AUTHORIZATION, authorization),
            None => builder,
        }
    }

    pub(super) async fn ask(&self, request: RequestBuilder) -> Result<Response, Failure> {
        request.send().await.map_err(|error| {
            let is_final = error.is_redirect() || error.is_builder();
            let error = self.unreachable(in_full(&error));
            if is_final { Failure::Final(error) } else { Failure::Passing(error, None) }
        })
    }

    async fn judge(&self, request: &Request, response: Response) -> Result<Answer, Failure> {
        let (status, headers, url) = (response.status(), response.headers().clone(), response.url().clone());
        let limit = if status.is_success() { request.limit } else { MAX_DOCUMENT };
        let body = self.body(response, limit).await?;
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            if !self.is_here(&url) {
                let request = format!("{} {url}", request.method);
                return Err(Failure::Final(self.unexpected(&request, status, &body)));
            }
            return Err(Failure::Final(self.denied(&body)));
        }
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            let asked = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            let error = self.unexpected(&format!("{} {url}", request.method), status, &body);
            return Err(Failure::Passing(error, asked.map(Duration::from_secs)));
        }
        Ok(Answer { status, headers, body, url })
    }

    pub(super) async fn body(&self, mut response: Response, limit: u64) -> Result<Bytes, Failure> {
        let too_large = |url: &Url| {
            let what = format!("an answer for {}", without_query(url));
            Failure::Final(RegistryError::TooLarge { registry: self.registry.clone(), what, limit })
        };
        let url = response.url().clone();
        if response.content_length().is_some_and(|length| length > limit) {
            return Err(too_large(&url));
        }
        let mut body = BytesMut::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if (body.len() + chunk.len()) as u64 > limit => return Err(too_large(&url)),
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => return Ok(body.freeze()),
                Err(error) => {
                    let what = format!("{} broke off: {}", without_query(&url), in_full(&error));
                    return Err(Failure::Passing(self.unreachable(what), None));
                }
            }
        }
    }

    pub(super) fn unreachable(&self, reason: String) -> RegistryError {
        RegistryError::Unreachable { registry: self.registry.clone(), reason }
    }

    /// An answer that does not fit the request.
    pub fn unexpected(&self, request: &str, status: StatusCode, body: &[u8]) -> RegistryError {
        let request = request.split('?').next().unwrap_or_default().to_owned();
        let registry = self.registry.clone();
        RegistryError::Answer { registry, request, status: status.as_u16(), told: told(body) }
    }
}

/// Blobs often lie elsewhere; nothing that came over TLS goes on without it.
fn redirects() -> redirect::Policy {
    redirect::Policy::custom(|attempt| {
        let was_secure = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
        if was_secure && attempt.url().scheme() != "https" {
            attempt.error("a redirection to a place without TLS")
        } else if attempt.previous().len() > MAX_REDIRECTS {
            attempt.error("too many redirections")
        } else {
            attempt.follow()
        }
    })
}

/// Signed addresses have their signature in the query.
fn without_query(url: &Url) -> String {
    url.as_str().split('?').next().unwrap_or_default().to_owned()
}

/// What the registry says went wrong: the messages of its `errors`, or its text.
pub(super) fn told(body: &[u8]) -> String {
    let document: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let messages: Vec<&str> = document["errors"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|error| {
            let text = |key: &str| error[key].as_str().filter(|text| !text.is_empty());
            text("message").or_else(|| text("code"))
        })
        .collect();
    let text = match messages.is_empty() {
        true => String::from_utf8_lossy(body).into_owned(),
        false => messages.join("; "),
    };
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_TOLD).collect();
    if text.trim().is_empty() { "it says nothing more".to_owned() } else { text.trim().to_owned() }
}

/// The error with its causes, but without the address, whose query may hold a signature.
fn in_full(error: &reqwest::Error) -> String {
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(error);
    let mut deepest = None;
    while let Some(next) = cause {
        deepest = Some(next.to_string());
        cause = next.source();
    }
    deepest.unwrap_or_else(|| {
        if error.is_timeout() { "it took too long".to_owned() } else { "the request failed".to_owned() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_registry_says_is_told_in_one_short_line() {
        let body = br#"{"errors": [{"code": "DENIED", "message": "no\nway"}, {"code": "MORE"}, 7]}"#;
        assert_eq!(told(body), "no way; MORE");
        assert_eq!(told(b"<html>\nsorry"), "<html> sorry");
        assert_eq!(told(b""), "it says nothing more");
        assert_eq!(told(&[b'x'; 5000]).len(), MAX_TOLD);
    }
}
