//! Bodies of requests: written piece by piece, and sent when they are finished.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wasmtime::Result;
use wasmtime::component::LinkerInstance;

use super::super::super::guest::Guest;
use super::super::held::Reservation;
use super::super::resources;
use super::error_code::ErrorCode;
use super::exchange::Launch;
use super::fields::Fields;
use super::{Answer, Context, Handle, MOST_SENT};

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

/// A body as the request, its end and its stream know it.
#[derive(Clone)]
pub(super) struct SharedBody(Arc<Mutex<Body>>);

impl SharedBody {
    /// Without a byte.
    pub fn new(held: Reservation) -> Self {
        let body = Body { bytes: Vec::new(), held, overflows: false, stage: Stage::Open, launch: None };
        Self(Arc::new(Mutex::new(body)))
    }

    /// Sends the request with it, at once or when it is finished.
    pub fn hand_over(&self, launch: Launch) -> Answer<()> {
        let mut body = self.locked();
        match body.stage {
            _ if body.overflows => return Err(too_large()),
            Stage::GivenUp => return Err(given_up()),
            Stage::Finished => launch.send(std::mem::take(&mut body.bytes)),
            Stage::Open => body.launch = Some(launch),
        }
        Ok(())
    }

    fn locked(&self) -> MutexGuard<'_, Body> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn too_large() -> ErrorCode {
    ErrorCode::HttpRequestBodySize(Some(MOST_SENT as u64))
}

fn given_up() -> ErrorCode {
    ErrorCode::InternalError(Some("the body of the request was not finished".to_owned()))
}

/// The end of a body that the plugin holds. Given up before it is finished, the request is not sent.
pub(super) struct OutgoingBody {
    body: SharedBody,
    is_written: bool,
}

impl From<SharedBody> for OutgoingBody {
    fn from(body: SharedBody) -> Self {
        Self { body, is_written: false }
    }
}

impl OutgoingBody {
    fn finish(&self) -> Answer<()> {
        let mut body = self.body.locked();
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
        let mut body = self.body.locked();
        if body.stage == Stage::Open {
            body.stage = Stage::GivenUp;
            if let Some(launch) = body.launch.take() {
                launch.exchange.settle(Err(given_up()));
            }
        }
    }
}

/// The stream into a body.
pub struct BodyWriter(SharedBody);

impl BodyWriter {
    pub fn write(&mut self, bytes: &[u8]) {
        let mut body = self.0.locked();
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

pub(super) fn link(types: &mut LinkerInstance<'_, Guest>) -> Result<()> {
    resources(types, &["outgoing-body"])?;
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
