//! Requests, to hosts that were granted and to others.

use crate::wasi::http::outgoing_handler::handle;
use crate::wasi::http::types::{
    Fields, FutureIncomingResponse, IncomingResponse, Method, OutgoingBody, OutgoingRequest, RequestOptions,
    Scheme,
};

/// `scheme://authority/path`, split without looking at what it means.
fn request(url: &str) -> OutgoingRequest {
    request_with(Fields::from_list(&[]).unwrap(), url)
}

fn request_with(headers: Fields, url: &str) -> OutgoingRequest {
    let request = OutgoingRequest::new(headers);
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

fn response(future: &FutureIncomingResponse) -> Result<IncomingResponse, String> {
    future.subscribe().block();
    match future.get() {
        Some(Ok(Ok(response))) => Ok(response),
        Some(Ok(Err(code))) => Err(format!("{code:?}")),
        other => Err(format!("{other:?}")),
    }
}

/// Status, length and start of what comes back.
fn answer(future: &FutureIncomingResponse) -> String {
    let response = match response(future) {
        Ok(response) => response,
        Err(error) => return error,
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

/// Sends the headers of a response on as they came, and a copy of them.
pub fn echo(from: &str, to: &str) -> String {
    let response = match handle(request(from), None).map(|future| response(&future)) {
        Ok(Ok(response)) => response,
        other => return format!("{:?}", other.map(|response| response.err())),
    };
    let sent = [response.headers(), response.headers().clone()].map(|headers| {
        match handle(request_with(headers, to), None) {
            Ok(future) => answer(&future),
            Err(code) => format!("{code:?}"),
        }
    });
    sent.join(", ")
}

/// Makes requests with a path, or with a method and a scheme, of that length until it may not. How many, and whether there is
/// room again once they are gone.
pub fn hoard(what: &str, length: usize) -> String {
    let text = "x".repeat(length);
    let make = || {
        let request = OutgoingRequest::new(Fields::from_list(&[]).unwrap());
        let is_set = match what {
            "path" => request.set_path_with_query(Some(text.as_str())).is_ok(),
            "authority" => request.set_authority(Some(text.as_str())).is_ok(),
            "method" => request.set_method(&Method::Other(text.clone())).is_ok(),
            _ => request.set_scheme(Some(&Scheme::Other(text.clone()))).is_ok(),
        };
        is_set.then_some(request)
    };
    let mut held = Vec::new();
    while let Some(request) = make() {
        held.push(request);
    }
    let count = held.len();
    drop(held);
    format!("{count} {}", make().is_some())
}

/// In chunks of so many bytes.
pub fn post(url: &str, length: usize, chunk: usize) -> String {
    let request = request(url);
    request.set_method(&Method::Post).unwrap();
    let body = request.body().unwrap();
    let future = match handle(request, None) {
        Ok(future) => future,
        Err(code) => return format!("{code:?}"),
    };
    let stream = body.write().unwrap();
    for chunk in vec![b'x'; length].chunks(chunk) {
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
