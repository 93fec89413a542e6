//! Requests, to hosts that were granted and to others.

use crate::wasi::http::outgoing_handler::handle;
use crate::wasi::http::types::{
    Fields, FutureIncomingResponse, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme,
};

/// `scheme://authority/path`, split without looking at what it means.
fn request(url: &str) -> OutgoingRequest {
    let request = OutgoingRequest::new(Fields::from_list(&[]).unwrap());
    let (scheme, rest) = url.split_once("://").unwrap();
    let (authority, path) = rest.split_once('|').unwrap_or((rest, "/"));
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    };
    request.set_scheme(Some(&scheme)).unwrap();
    request.set_authority(Some(authority)).unwrap();
    request.set_path_with_query(Some(path)).unwrap();
    request
}

/// Status, length and start of what comes back.
fn answer(future: &FutureIncomingResponse) -> String {
    future.subscribe().block();
    let response = match future.get() {
        Some(Ok(Ok(response))) => response,
        Some(Ok(Err(code))) => return format!("{code:?}"),
        other => return format!("{other:?}"),
    };
    assert!(future.get().is_some_and(|again| again.is_err()));
    let stream = response.consume().unwrap().stream().unwrap();
    let mut body = Vec::new();
    while let Ok(more) = stream.blocking_read(1 << 20) {
        body.extend(more);
    }
    let start = String::from_utf8_lossy(&body[..body.len().min(20)]).into_owned();
    let location = response.headers().entries().into_iter().find(|(name, _)| name == "location");
    let location =
        location.map_or_else(String::new, |(_, to)| format!(" -> {}", String::from_utf8_lossy(&to)));
    format!("{} {} {start}{location}", response.status(), body.len())
}

/// `rest`: milliseconds to wait for the first byte.
pub fn get(url: &str, rest: &[&str]) -> String {
    let options = rest.first().map(|milliseconds| {
        let options = RequestOptions::new();
        let nanoseconds = milliseconds.parse::<u64>().unwrap_or_default() * 1_000_000;
        options.set_first_byte_timeout(Some(nanoseconds)).unwrap();
        options
    });
    match handle(request(url), options) {
        Ok(future) => answer(&future),
        Err(code) => format!("{code:?}"),
    }
}

pub fn post(url: &str, length: usize) -> String {
    let request = request(url);
    request.set_method(&Method::Post).unwrap();
    let body = request.body().unwrap();
    let future = match handle(request, None) {
        Ok(future) => future,
        Err(code) => return format!("{code:?}"),
    };
    let stream = body.write().unwrap();
    for chunk in vec![b'x'; length].chunks(4096) {
        drop(stream.blocking_write_and_flush(chunk));
    }
    drop(stream);
    match OutgoingBody::finish(body, None) {
        Ok(()) => answer(&future),
        Err(code) => format!("{code:?}"),
    }
}

/// A body that is given up.
pub fn never_sends(url: &str) -> String {
    let request = request(url);
    let body = request.body().unwrap();
    let future = handle(request, None).unwrap();
    drop(body);
    answer(&future)
}

pub fn header(name: &str) -> String {
    let fields = Fields::from_list(&[]).unwrap();
    format!("{:?}", fields.append(name, b"x").err())
}
