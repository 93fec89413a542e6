//! Sends requests, on a thread of its own beside those that run plugins.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use tokio::runtime;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::timeout_at;

use super::super::held::Reservation;
use super::access::may_stand_for;
use super::error_code::ErrorCode;
use super::exchange::{Launch, Response};
use super::{Answer, MOST_FIELDS, MOST_RECEIVED};

/// Connections are used again for so long.
const IDLE: Duration = Duration::from_secs(30);

/// Cheap to clone. The thread ends when the last clone is gone.
#[derive(Clone)]
pub(super) struct Client {
    launches: UnboundedSender<Launch>,
}

impl Client {
    pub fn start() -> io::Result<Self> {
        // Proxies of the environment are not asked: they would reach where no address can be judged.
        let http = reqwest::Client::builder()
            .redirect(Policy::none())
            .referer(false)
            .no_proxy()
            .pool_idle_timeout(IDLE)
            .dns_resolver(Arc::new(Judged))
            .build()
            .map_err(io::Error::other)?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (launches, mut next) = unbounded_channel::<Launch>();
        thread::Builder::new().name("plugin-http".to_owned()).spawn(move || {
            runtime.block_on(async {
                while let Some(launch) = next.recv().await {
                    tokio::spawn(exchange(http.clone(), launch));
                }
            });
            // Nobody waits for a name that is still being looked up.
            runtime.shutdown_background();
        })?;
        Ok(Self { launches })
    }

    pub fn send(&self, launch: Launch) {
        if let Err(lost) = self.launches.send(launch) {
            lost.0.exchange.settle(Err(ErrorCode::InternalError(Some("the client is gone".to_owned()))));
        }
    }
}

async fn exchange(http: reqwest::Client, launch: Launch) {
    let Launch { request, exchange, held, token, .. } = launch;
    let deadline = exchange.deadline().into();
    let response = timeout_at(deadline, transfer(http, request, held)).await;
    drop(token);
    exchange.settle(response.unwrap_or(Err(ErrorCode::HttpResponseTimeout)));
}

async fn transfer(
    http: reqwest::Client,
    request: reqwest::Request,
    mut held: Reservation,
) -> Answer<Response> {
    let mut response = http.execute(request).await.map_err(|error| cause(&error))?;
    let headers: Vec<(String, Vec<u8>)> = response
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
        .collect();
    let size = headers.iter().map(|(name, value)| name.len() + value.len() + 64).sum::<usize>();
    if size > MOST_FIELDS || !held.grow(size) {
        return Err(ErrorCode::HttpResponseHeaderSectionSize(u32::try_from(MOST_FIELDS).ok()));
    }
    let too_large = || ErrorCode::HttpResponseBodySize(Some(MOST_RECEIVED as u64));
    if response.content_length().is_some_and(|length| length > MOST_RECEIVED as u64) {
        return Err(too_large());
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| cause(&error))? {
        if body.len() + chunk.len() > MOST_RECEIVED || !held.grow(chunk.len()) {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Response { status: response.status().as_u16(), headers, body, held })
}

/// Names are looked up here, so that connections go to the very addresses that were judged.
struct Judged;

#[derive(Debug, thiserror::Error)]
#[error("`{0}` stands for addresses that no name may stand for")]
struct Prohibited(String);

impl Resolve for Judged {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let name = name.as_str();
            let mut addresses: Vec<_> = tokio::net::lookup_host((name, 0)).await?.collect();
            addresses.retain(|address| may_stand_for(name, address.ip()));
            if addresses.is_empty() {
                return Err(Prohibited(name.to_owned()).into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

fn cause(error: &reqwest::Error) -> ErrorCode {
    let mut innermost: &(dyn Error + 'static) = error;
    while let Some(source) = innermost.source() {
        if source.is::<Prohibited>() {
            return ErrorCode::DestinationIpProhibited;
        }
        innermost = source;
    }
    match innermost.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => ErrorCode::ConnectionRefused,
        Some(io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof) => {
            ErrorCode::ConnectionTerminated
        }
        Some(io::ErrorKind::TimedOut) => ErrorCode::ConnectionTimeout,
        _ => ErrorCode::InternalError(Some(innermost.to_string())),
    }
}
