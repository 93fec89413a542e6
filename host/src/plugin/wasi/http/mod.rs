//! Requests to other hosts (`wasi:http/outgoing-handler`). A step without the grant is denied every one of them; with it,
//! they go to the hosts that were named, and to no other.
//!
//! A request is sent once its body is finished, and a response is handed over once it is there altogether: so sizes and
//! times have one place each, [`client`].

mod access;
mod body;
mod client;
mod error_code;
mod exchange;
mod fields;
mod request;
mod response;

use std::sync::Arc;
use std::time::Instant;

use wasmtime::component::{LinkerInstance, Resource};
use wasmtime::{Result, StoreContextMut};

use self::error_code::ErrorCode;
use self::exchange::Launch;
use self::request::{OutgoingRequest, RequestOptions};
use super::super::guest::Guest;
use super::Wasi;

pub use access::HttpAccess;
pub(super) use body::BodyWriter;
pub(super) use exchange::{Exchange, UnderWay};
pub(super) use response::BodyReader;

type Context<'a> = StoreContextMut<'a, Guest>;
type Handle = Resource<()>;
type Answer<T> = Result<T, ErrorCode>;

/// Requests of one instance that are under way.
const MOST_AT_ONCE: usize = 16;
/// Bytes of the body of a request.
const MOST_SENT: usize = 1 << 20;
/// Bytes of the body of a response.
const MOST_RECEIVED: usize = 4 << 20;
/// Bytes of headers.
const MOST_FIELDS: usize = 16 << 10;

pub(super) fn types(types: &mut LinkerInstance<'_, Guest>) -> Result<()> {
    fields::link(types)?;
    request::link(types)?;
    response::link(types)?;
    types.func_wrap("http-error-code", |_, (_,): (Handle,)| Ok((None::<ErrorCode>,)))
}

pub(super) fn outgoing_handler(handler: &mut LinkerInstance<'_, Guest>) -> Result<()> {
    handler.func_wrap(
        "handle",
        |mut context: Context<'_>,
         (request, options): (Handle, Option<Handle>)|
         -> Result<(Answer<Handle>,)> {
            let wasi = &mut context.data_mut().wasi;
            let request = wasi.handles.take::<OutgoingRequest>(&request)?;
            let options = match options {
                Some(options) => wasi.handles.take::<RequestOptions>(&options)?,
                None => RequestOptions::default(),
            };
            match wasi.launch(request, &options) {
                Ok(exchange) => Ok((Ok(wasi.handles.add(exchange)?),)),
                Err(code) => Ok((Err(code),)),
            }
        },
    )
}

impl Wasi {
    fn launch(&mut self, request: OutgoingRequest, options: &RequestOptions) -> Answer<Arc<Exchange>> {
        let access = self.grants.http.as_ref().ok_or(ErrorCode::HttpRequestDenied)?;
        let url = request.url()?;
        if !access.allows(&url) {
            return Err(ErrorCode::HttpRequestDenied);
        }
        let token = self.under_way.admit().ok_or(ErrorCode::ConnectionLimitReached)?;
        let most = self.patience.left();
        let deadline = Instant::now() + options.first_byte().map_or(most, |first_byte| first_byte.min(most));
        let exchange = Exchange::new(deadline, self.patience.bell.clone());
        let launch = Launch {
            client: access.client().clone(),
            request: request.head(url)?,
            exchange: exchange.clone(),
            held: self.held.reserve(),
            token,
        };
        request.hand_over(launch)?;
        Ok(exchange)
    }
}
