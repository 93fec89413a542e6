//! Sends requests, on a thread of its own beside those that run plugins.

use std::error::Error;
use std::io;
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use tokio::runtime;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::timeout_at;

use super::super::held::Reservation;
use super::access::may_stand_for;
use super::error_code::ErrorCode;
use super::exchange::{Launch, Response};
use super::fields;
use super::{Answer, MOST_FIELDS, MOST_RECEIVED};

/// Connections are used again for so long.
const IDLE: Duration = Duration::from_secs(30);

/// Names that are looked up at once.
const MOST_LOOK_UPS: usize = 4;

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
            .dns_resolver(Arc::new(Judged::default()))
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
    let size = fields::size(&headers);
    let mut headers_held = held.another();
    if size > MOST_FIELDS || !headers_held.grow(size) {
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
    let status = response.status().as_u16();
    Ok(Response { status, headers, headers_held, body, body_held: held })
}

/// Names are looked up here, so that connections go to the very addresses that were judged.
struct Judged {
    turns: Arc<Semaphore>,
}

impl Default for Judged {
    fn default() -> Self {
        Self { turns: Arc::new(Semaphore::new(MOST_LOOK_UPS)) }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("`{0}` stands for addresses that no name may stand for")]
struct Prohibited(String);

#[derive(Debug, thiserror::Error)]
#[error("`{0}` cannot be looked up: {1}")]
struct Unresolved(String, io::Error);

impl Resolve for Judged {
    fn resolve(&self, name: Name) -> Resolving {
        let turns = self.turns.clone();
        Box::pin(async move {
            let name = name.as_str().to_owned();
            let asked = name.clone();
            let found =
                in_turn(turns, move || Ok((asked.as_str(), 0).to_socket_addrs()?.collect::<Vec<_>>()));
            let mut addresses = match found.await {
                Ok(addresses) => addresses,
                Err(error) => return Err(Unresolved(name, error).into()),
            };
            addresses.retain(|address| may_stand_for(&name, address.ip()));
            if addresses.is_empty() {
                return Err(Prohibited(name).into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// Runs it on a thread of its own. It cannot be broken off, and keeps its turn until it is done, whoever still waits for it.
async fn in_turn<T: Send + 'static>(
    turns: Arc<Semaphore>,
    look_up: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let turn = turns.acquire_owned().await.map_err(io::Error::other)?;
    let found = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        look_up()
    });
    found.await.map_err(io::Error::other)?
}

fn cause(error: &reqwest::Error) -> ErrorCode {
    let mut innermost: &(dyn Error + 'static) = error;
    while let Some(source) = innermost.source() {
        if source.is::<Prohibited>() {
            return ErrorCode::DestinationIpProhibited;
        }
        if source.is::<Unresolved>() {
            return ErrorCode::unresolved();
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_look_up_that_nobody_waits_for_keeps_its_turn() {
        let turns = Arc::new(Semaphore::new(1));
        let (done, answer) = mpsc::channel::<()>();
        let hanging = in_turn(turns.clone(), move || answer.recv().map_err(io::Error::other));
        assert!(tokio::time::timeout(Duration::from_millis(50), hanging).await.is_err());
        assert_eq!(turns.available_permits(), 0);
        done.send(()).unwrap();
        assert_eq!(in_turn(turns, || Ok(7)).await.unwrap(), 7);
    }
}
