//! Requests as a plugin makes them.

use std::time::Duration;

use reqwest::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use url::Url;
use wasmtime::Result;
use wasmtime::component::{ComponentType, Lift, LinkerInstance, Lower};

use super::super::super::guest::Guest;
use super::super::held::Reservation;
use super::super::resources;
use super::body::{self, OutgoingBody, SharedBody};
use super::error_code::ErrorCode;
use super::exchange::Launch;
use super::fields::{FORBIDDEN, Fields};
use super::{Answer, Context, Handle};

/// Bytes of a path or an authority, and of both together when the request is sent.
const MOST_URL: usize = 8 << 10;
/// Bytes of a method or a scheme that WASI does not know.
const MOST_OTHER: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(variant)]
enum Method {
    #[component(name = "get")]
    Get,
    #[component(name = "head")]
    Head,
    #[component(name = "post")]
    Post,
    #[component(name = "put")]
    Put,
    #[component(name = "delete")]
    Delete,
    #[component(name = "connect")]
    Connect,
    #[component(name = "options")]
    Options,
    #[component(name = "trace")]
    Trace,
    #[component(name = "patch")]
    Patch,
    #[component(name = "other")]
    Other(String),
}

#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(variant)]
enum Scheme {
    #[component(name = "HTTP")]
    Http,
    #[component(name = "HTTPS")]
    Https,
    #[component(name = "other")]
    Other(String),
}

pub(super) struct OutgoingRequest {
    method: Method,
    scheme: Option<Scheme>,
    authority: Option<String>,
    path: Option<String>,
    headers: Fields,
    body: Option<SharedBody>,
    /// For the texts that were set.
    held: Reservation,
}

/// A part of a request that the plugin sets.
trait Part {
    /// Bytes of its text, and how many there may be.
    fn text(&self) -> (usize, usize);
}

impl Part for Method {
    fn text(&self) -> (usize, usize) {
        (if let Self::Other(name) = self { name.len() } else { 0 }, MOST_OTHER)
    }
}

impl Part for Option<Scheme> {
    fn text(&self) -> (usize, usize) {
        (if let Some(Scheme::Other(name)) = self { name.len() } else { 0 }, MOST_OTHER)
    }
}

impl Part for Option<String> {
    fn text(&self) -> (usize, usize) {
        (self.as_ref().map_or(0, String::len), MOST_URL)
    }
}

impl OutgoingRequest {
    /// An error if it is too long, or if the instance has no room for it. Whether it makes sense is looked at when the
    /// request is sent.
    fn set<T: Part>(&mut self, part: Setting<T>, value: T) -> Result<(), ()> {
        let ((before, _), (bytes, most)) = (part(self).text(), value.text());
        let held = self.held.bytes().saturating_sub(before).saturating_add(bytes);
        if bytes > most || !self.held.resize(held) {
            return Err(());
        }
        *part(self) = value;
        Ok(())
    }

    /// Where it goes: the text that the plugin gave, as everybody reads it from here on.
    pub fn url(&self) -> Answer<Url> {
        let scheme = match self.scheme {
            None | Some(Scheme::Https) => "https",
            Some(Scheme::Http) => "http",
            Some(Scheme::Other(_)) => return Err(ErrorCode::HttpRequestUriInvalid),
        };
        let authority = self.authority.as_deref().ok_or(ErrorCode::HttpRequestUriInvalid)?;
        let path = self.path.as_deref().unwrap_or_default();
        if authority.len() + path.len() > MOST_URL {
            return Err(ErrorCode::HttpRequestUriTooLong);
        }
        // No part may reach into the next one.
        let is_apart = !authority.contains(['/', '\\', '?', '#', '@'])
            && (path.is_empty() || path.starts_with(['/', '?']));
        let url = Url::parse(&format!("{scheme}://{authority}{path}"));
        url.ok().filter(|_| is_apart).ok_or(ErrorCode::HttpRequestUriInvalid)
    }

    /// The request without its body.
    pub fn head(&self, url: Url) -> Answer<reqwest::Request> {
        let method = match &self.method {
            Method::Get => reqwest::Method::GET,
            Method::Head => reqwest::Method::HEAD,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Delete => reqwest::Method::DELETE,
            Method::Options => reqwest::Method::OPTIONS,
            Method::Patch => reqwest::Method::PATCH,
            // They ask for connections, not for resources.
            Method::Connect | Method::Trace => return Err(ErrorCode::HttpRequestMethodInvalid),
            Method::Other(name) => match reqwest::Method::from_bytes(name.as_bytes()) {
                Ok(method) if method != reqwest::Method::CONNECT && method != reqwest::Method::TRACE => {
                    method
                }
                _ => return Err(ErrorCode::HttpRequestMethodInvalid),
            },
        };
        let mut request = reqwest::Request::new(method, url);
        for (name, value) in &self.headers.entries {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| ErrorCode::HttpProtocolError)?;
            let value = HeaderValue::from_bytes(value).map_err(|_| ErrorCode::HttpProtocolError)?;
            // Those of responses come here without having been set.
            if FORBIDDEN.contains(&name.as_str()) {
                return Err(ErrorCode::HttpRequestDenied);
            }
            // The length is that of the body, whatever the plugin says.
            if name != CONTENT_LENGTH {
                request.headers_mut().append(name, value);
            }
        }
        Ok(request)
    }

    /// Sends it, or leaves that to the body, which may not be finished.
    pub fn hand_over(self, launch: Launch) -> Answer<()> {
        match self.body {
            Some(body) => body.hand_over(launch),
            None => {
                launch.send(Vec::new());
                Ok(())
            }
        }
    }
}

/// Times in nanoseconds, as the plugin sets them. The connection has no time of its own.
#[derive(Debug, Default)]
pub(super) struct RequestOptions {
    connect: Option<u64>,
    first_byte: Option<u64>,
    between_bytes: Option<u64>,
}

impl RequestOptions {
    pub fn first_byte(&self) -> Option<Duration> {
        self.first_byte.map(Duration::from_nanos)
    }
}

type Setting<T> = fn(&mut OutgoingRequest) -> &mut T;

pub(super) fn link(types: &mut LinkerInstance<'_, Guest>) -> Result<()> {
    resources(types, &["outgoing-request", "request-options"])?;
    types.func_wrap("[constructor]outgoing-request", |mut context: Context<'_>, (headers,): (Handle,)| {
        let wasi = &mut context.data_mut().wasi;
        let headers = wasi.handles.take::<Fields>(&headers)?;
        let (method, held) = (Method::Get, wasi.held.reserve());
        let (scheme, authority, path, body) = (None, None, None, None);
        let request = OutgoingRequest { method, scheme, authority, path, headers, body, held };
        Ok((wasi.handles.add(request)?,))
    })?;
    setting::<Method>(types, "method", |request| &mut request.method)?;
    setting::<Option<Scheme>>(types, "scheme", |request| &mut request.scheme)?;
    setting::<Option<String>>(types, "authority", |request| &mut request.authority)?;
    setting::<Option<String>>(types, "path-with-query", |request| &mut request.path)?;
    types.func_wrap("[method]outgoing-request.headers", |mut context: Context<'_>, (it,): (Handle,)| {
        let wasi = &mut context.data_mut().wasi;
        let entries = wasi.handles.get::<OutgoingRequest>(&it)?.headers.entries.clone();
        Ok((wasi.add_fields(entries, true)?,))
    })?;
    types.func_wrap("[method]outgoing-request.body", |mut context: Context<'_>, (it,): (Handle,)| {
        let wasi = &mut context.data_mut().wasi;
        let held = wasi.held.reserve();
        let request = wasi.handles.get::<OutgoingRequest>(&it)?;
        if request.body.is_some() {
            return Ok((Err(()),));
        }
        let body = request.body.insert(SharedBody::new(held)).clone();
        Ok((Ok(wasi.handles.add(OutgoingBody::from(body))?),))
    })?;
    body::link(types)?;
    options(types)
}

/// A function that gives a part of a request, and one that sets it.
fn setting<T>(types: &mut LinkerInstance<'_, Guest>, name: &str, part: Setting<T>) -> Result<()>
where
    T: Part + Clone + ComponentType + Lift + Lower + Send + Sync + 'static,
{
    types.func_wrap(
        &format!("[method]outgoing-request.{name}"),
        move |mut context: Context<'_>, (it,): (Handle,)| {
            Ok((part(context.data_mut().wasi.handles.get::<OutgoingRequest>(&it)?).clone(),))
        },
    )?;
    types.func_wrap(
        &format!("[method]outgoing-request.set-{name}"),
        move |mut context: Context<'_>, (it, value): (Handle, T)| {
            Ok((context.data_mut().wasi.handles.get::<OutgoingRequest>(&it)?.set(part, value),))
        },
    )
}

type Time = fn(&mut RequestOptions) -> &mut Option<u64>;

fn options(types: &mut LinkerInstance<'_, Guest>) -> Result<()> {
    types.func_wrap("[constructor]request-options", |mut context: Context<'_>, (): ()| {
        Ok((context.data_mut().wasi.handles.add(RequestOptions::default())?,))
    })?;
    let times: [(&str, Time); 3] = [
        ("connect-timeout", |options| &mut options.connect),
        ("first-byte-timeout", |options| &mut options.first_byte),
        ("between-bytes-timeout", |options| &mut options.between_bytes),
    ];
    for (name, time) in times {
        types.func_wrap(
            &format!("[method]request-options.{name}"),
            move |mut context: Context<'_>, (it,): (Handle,)| {
                Ok((*time(context.data_mut().wasi.handles.get::<RequestOptions>(&it)?),))
            },
        )?;
        types.func_wrap(
            &format!("[method]request-options.set-{name}"),
            move |mut context: Context<'_>, (it, value): (Handle, Option<u64>)| {
                *time(context.data_mut().wasi.handles.get::<RequestOptions>(&it)?) = value;
                Ok((Ok::<(), ()>(()),))
            },
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::super::held::{Held, MOST_HELD};
    use super::*;

    #[test]
    fn texts_are_bounded_and_held() {
        let held = Held::default();
        let mut rest = held.reserve();
        let mut request = OutgoingRequest {
            method: Method::Get,
            scheme: None,
            authority: None,
            path: None,
            headers: Fields::empty(false, held.reserve()),
            body: None,
            held: held.reserve(),
        };
        let text = |length: usize| "x".repeat(length);
        assert!(request.set(|request| &mut request.path, Some(text(MOST_URL + 1))).is_err());
        assert!(request.set(|request| &mut request.authority, Some(text(MOST_URL + 1))).is_err());
        assert!(request.set(|request| &mut request.method, Method::Other(text(MOST_OTHER + 1))).is_err());
        let scheme = Some(Scheme::Other(text(MOST_OTHER + 1)));
        assert!(request.set(|request| &mut request.scheme, scheme).is_err());
        for length in [MOST_URL, 10] {
            request.set(|request| &mut request.path, Some(text(length))).unwrap();
            request.set(|request| &mut request.method, Method::Other(text(5))).unwrap();
        }
        assert!(rest.resize(MOST_HELD - 15) && !rest.grow(1));
        assert!(request.set(|request| &mut request.path, Some(text(11))).is_err());
        assert_eq!(request.path, Some(text(10)), "what does not fit changes nothing");
        request.set(|request| &mut request.path, None).unwrap();
        assert!(rest.grow(10));
    }
}
