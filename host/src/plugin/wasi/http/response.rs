//! Responses as a plugin gets them.

use std::sync::Arc;

use wasmtime::Result;
use wasmtime::component::LinkerInstance;

use super::super::super::guest::Guest;
use super::super::held::Reservation;
use super::super::resources;
use super::super::streams::{POLLABLE, StreamError};
use super::super::waiting::Pollable;
use super::exchange::{Exchange, Response, Taken};
use super::{Answer, Context, Handle};

struct IncomingResponse {
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
    /// Whatever becomes of the body.
    _headers_held: Reservation,
    body: Option<IncomingBody>,
}

impl From<Response> for IncomingResponse {
    fn from(response: Response) -> Self {
        let Response { status, headers, headers_held, body, body_held } = response;
        let reader = BodyReader { bytes: body, at: 0, held: Some(body_held) };
        Self { status, headers, _headers_held: headers_held, body: Some(IncomingBody(Some(reader))) }
    }
}

/// A body, until its stream is taken.
struct IncomingBody(Option<BodyReader>);

/// The stream out of a body.
pub struct BodyReader {
    bytes: Vec<u8>,
    at: usize,
    held: Option<Reservation>,
}

impl BodyReader {
    pub fn read(&mut self, length: usize) -> Result<Vec<u8>, StreamError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if rest.is_empty() {
            // Whatever the plugin does with the handle, what was read is not held any more.
            (self.bytes, self.at, self.held) = (Vec::new(), 0, None);
            return Err(StreamError::Closed);
        }
        let read = rest[..rest.len().min(length)].to_vec();
        self.at += read.len();
        Ok(read)
    }
}

/// There are none: a body is whole when it is handed over.
struct FutureTrailers;

type Trailers = Option<Result<Answer<Option<Handle>>, ()>>;

pub(super) fn link(types: &mut LinkerInstance<'_, Guest>) -> Result<()> {
    resources(types, &["future-incoming-response", "incoming-response", "incoming-body", "future-trailers"])?;
    future(types)?;
    types.func_wrap("[method]incoming-response.status", |mut context: Context<'_>, (it,): (Handle,)| {
        Ok((context.data_mut().wasi.handles.get::<IncomingResponse>(&it)?.status,))
    })?;
    types.func_wrap("[method]incoming-response.headers", |mut context: Context<'_>, (it,): (Handle,)| {
        let wasi = &mut context.data_mut().wasi;
        let entries = wasi.handles.get::<IncomingResponse>(&it)?.headers.clone();
        Ok((wasi.add_fields(entries, true)?,))
    })?;
    types.func_wrap("[method]incoming-response.consume", |mut context: Context<'_>, (it,): (Handle,)| {
        let handles = &mut context.data_mut().wasi.handles;
        Ok((match handles.get::<IncomingResponse>(&it)?.body.take() {
            Some(body) => Ok(handles.add(body)?),
            None => Err(()),
        },))
    })?;
    types.func_wrap("[method]incoming-body.stream", |mut context: Context<'_>, (it,): (Handle,)| {
        let handles = &mut context.data_mut().wasi.handles;
        Ok((match handles.get::<IncomingBody>(&it)?.0.take() {
            Some(reader) => Ok(handles.add(reader)?),
            None => Err(()),
        },))
    })?;
    types.func_wrap("[static]incoming-body.finish", |mut context: Context<'_>, (it,): (Handle,)| {
        let handles = &mut context.data_mut().wasi.handles;
        handles.take::<IncomingBody>(&it)?;
        Ok((handles.add(FutureTrailers)?,))
    })?;
    types.func_wrap("[method]future-trailers.subscribe", |_, (_,): (Handle,)| {
        Ok((Handle::new_own(POLLABLE),))
    })?;
    types.func_wrap("[method]future-trailers.get", |_, (_,): (Handle,)| -> Result<(Trailers,)> {
        Ok((Some(Ok(Ok(None))),))
    })
}

/// What came of a request: nothing yet, its answer, or an error because it was taken before.
type Got = Option<Result<Answer<Handle>, ()>>;

fn future(types: &mut LinkerInstance<'_, Guest>) -> Result<()> {
    types.func_wrap(
        "[method]future-incoming-response.subscribe",
        |mut context: Context<'_>, (it,): (Handle,)| {
            let handles = &mut context.data_mut().wasi.handles;
            let exchange = handles.get::<Arc<Exchange>>(&it)?.clone();
            Ok((handles.add(Pollable::Response(exchange))?,))
        },
    )?;
    types.func_wrap(
        "[method]future-incoming-response.get",
        |mut context: Context<'_>, (it,): (Handle,)| -> Result<(Got,)> {
            let handles = &mut context.data_mut().wasi.handles;
            Ok((match handles.get::<Arc<Exchange>>(&it)?.take() {
                Taken::NotYet => None,
                Taken::Now(Ok(response)) => Some(Ok(Ok(handles.add(IncomingResponse::from(response))?))),
                Taken::Now(Err(code)) => Some(Ok(Err(code))),
                Taken::Before => Some(Err(())),
            },))
        },
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::held::{Held, MOST_HELD};
    use super::*;

    #[test]
    fn headers_are_held_as_long_as_the_response_is_and_a_body_until_it_is_read() {
        let held = Held::default();
        let (mut headers_held, mut body_held) = (held.reserve(), held.reserve());
        assert!(headers_held.grow(100) && body_held.grow(10));
        let (headers, body) = (Vec::new(), vec![0; 10]);
        let response = Response { status: 200, headers, headers_held, body, body_held };
        let mut response = IncomingResponse::from(response);
        let mut reader = response.body.take().and_then(|body| body.0).unwrap();
        assert_eq!(reader.read(100).unwrap().len(), 10);
        assert!(reader.read(100).is_err());
        let mut rest = held.reserve();
        assert!(!rest.resize(MOST_HELD - 99) && rest.resize(MOST_HELD - 100));
        drop(response);
        assert!(rest.resize(MOST_HELD));
    }
}
