//! Requests as a plugin makes them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use url::Url;
use wasmtime::Result;
use wasmtime::component::{ComponentType, Lift, LinkerInstance, Lower};

use super::super::super::guest::Guest;
use super::super::held::Reservation;
use super::super::resources;
use super::error_code::ErrorCode;
use super::exchange::Launch;
use super::fields::Fields;
use super::{Answer, Context, Handle, MOST_SENT};

const MOST_URL: usize = 8 << 10;

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
    body: Option<Arc<Mutex<Body>>>,
}

impl OutgoingRequest {
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
            // The length is that of the body, whatever the plugin says.
            if name != CONTENT_LENGTH {
                request.headers_mut().append(name, value);
            }
        }
        Ok(request)
    }

    /// Sends it, or leaves that to the body, which may not be finished.
    pub fn hand_over(self, launch: Launch) -> Answer<()> {
        let Some(body) = self.body else {
            launch.send(Vec::new());
            return Ok(());
        };
        let mut body = locked(&body);
        match body.stage {
            _ if body.overflows => return Err(too_large()),
            Stage::GivenUp => return Err(given_up()),
            Stage::Finished => launch.send(std::mem::take(&mut body.bytes)),
            Stage::Open => body.launch = Some(launch),
        }
        Ok(())
    }
}

fn too_large() -> ErrorCode {
    ErrorCode::HttpRequestBodySize(Some(MOST_SENT as u64))
}

fn given_up() -> ErrorCode {
    ErrorCode::InternalError(Some("the body of the request was not finished".to_owned()))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    Finished,
    GivenUp,
}

/// What is to be sent.
struct Body {
    bytes: Vec<u8>,
    held: Reservation,
    overflows: bool,
    stage: Stage,
    /// Waits for the body to be finished.
    launch: Option<Launch>,
}

fn locked(body: &Mutex<Body>) -> MutexGuard<'_, Body> {
    body.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The end of a body that the plugin holds. Given up before it is finished, the request is not sent.
struct OutgoingBody {
    body: Arc<Mutex<Body>>,
    is_written: bool,
}

impl OutgoingBody {
    fn finish(&self) -> Answer<()> {
        let mut body = locked(&self.body);
        body.stage = Stage::Finished;
        let launch = body.launch.take();
        if body.overflows {
            if let Some(launch) = launch {
                launch.exchange.settle(Err(too_large()));
            }
            return Err(too_large());
        }
        if let Some(launch) = launch {
            launch.send(std::mem::take(&mut body.bytes));
        }
        Ok(())
    }
}

impl Drop for OutgoingBody {
    fn drop(&mut self) {
        let mut body = locked(&self.body);
        if body.stage == Stage::Open {
            body.stage = Stage::GivenUp;
            if let Some(launch) = body.launch.take() {
                launch.exchange.settle(Err(given_up()));
            }
        }
    }
}

/// The stream into a body.
pub struct BodyWriter(Arc<Mutex<Body>>);

impl BodyWriter {
    pub fn write(&mut self, bytes: &[u8]) {
        let mut body = locked(&self.0);
        if body.stage != Stage::Open || body.overflows {
            return;
        }
        if body.bytes.len() + bytes.len() > MOST_SENT || !body.held.grow(bytes.len()) {
            body.overflows = true;
            body.bytes = Vec::new();
            return;
        }
        body.bytes.extend_from_slice(bytes);
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
    resources(types, &["outgoing-request", "outgoing-body", "request-options"])?;
    types.func_wrap("[constructor]outgoing-request", |mut context: Context<'_>, (headers,): (Handle,)| {
        let handles = &mut context.data_mut().wasi.handles;
        let headers = handles.take::<Fields>(&headers)?;
        let (scheme, authority, path, body) = (None, None, None, None);
        let request = OutgoingRequest { method: Method::Get, scheme, authority, path, headers, body };
        Ok((handles.add(request)?,))
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
    bodies(types)?;
    options(types)
}

/// A function that gives a part of a request, and one that sets it.
fn setting<T>(types: &mut LinkerInstance<'_, Guest>, name: &str, part: Setting<T>) -> Result<()>
where
    T: Clone + ComponentType + Lift + Lower + Send + Sync + 'static,
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
            // Whether it makes sense is looked at when the request is sent.
            *part(context.data_mut().wasi.handles.get::<OutgoingRequest>(&it)?) = value;
            Ok((Ok::<(), ()>(()),))
        },
    )
}

fn bodies(types: &mut LinkerInstance<'_, Guest>) -> Result<()> {
    types.func_wrap("[method]outgoing-request.body", |mut context: Context<'_>, (it,): (Handle,)| {
        let wasi = &mut context.data_mut().wasi;
        let held = wasi.held.reserve();
        let request = wasi.handles.get::<OutgoingRequest>(&it)?;
        if request.body.is_some() {
            return Ok((Err(()),));
        }
        let body = Body { bytes: Vec::new(), held, overflows: false, stage: Stage::Open, launch: None };
        let body = Arc::new(Mutex::new(body));
        request.body = Some(body.clone());
        Ok((Ok(wasi.handles.add(OutgoingBody { body, is_written: false })?),))
    })?;
    types.func_wrap("[method]outgoing-body.write", |mut context: Context<'_>, (it,): (Handle,)| {
        let handles = &mut context.data_mut().wasi.handles;
        let body = handles.get::<OutgoingBody>(&it)?;
        if std::mem::replace(&mut body.is_written, true) {
            return Ok((Err(()),));
        }
        let writer = BodyWriter(body.body.clone());
        Ok((Ok(handles.add(writer)?),))
    })?;
    types.func_wrap(
        "[static]outgoing-body.finish",
        |mut context: Context<'_>, (it, trailers): (Handle, Option<Handle>)| {
            let handles = &mut context.data_mut().wasi.handles;
            if let Some(trailers) = trailers {
                // Nobody sends them.
                handles.take::<Fields>(&trailers)?;
            }
            Ok((handles.take::<OutgoingBody>(&it)?.finish(),))
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
