//! Streams: input has ended, output is the plugin's log, and whoever waits for either goes on at once.

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, LinkerInstance, Lower, Resource, WasmList};

use super::super::bindings::log::Level;
use super::super::guest::Guest;
use super::resources;

type Context<'a> = StoreContextMut<'a, Guest>;
type Stream = Resource<()>;

/// By these numbers the streams are told apart.
pub(super) const STDIN: u32 = 0;
pub(super) const STDOUT: u32 = 1;
pub(super) const STDERR: u32 = 2;
pub(super) const POLLABLE: u32 = 3;

/// What a plugin may write at once.
const CHUNK: u64 = 4096;

#[derive(Debug, ComponentType, Lower)]
#[component(variant)]
enum StreamError {
    /// Never used: streams do not fail, they end.
    #[component(name = "last-operation-failed")]
    _LastOperationFailed(Resource<()>),
    #[component(name = "closed")]
    Closed,
}

type Written<T> = wasmtime::Result<(Result<T, StreamError>,)>;

/// A function that gives a standard stream.
pub(super) fn get(cli: &mut LinkerInstance<'_, Guest>, name: &str, stream: u32) -> wasmtime::Result<()> {
    cli.func_wrap(name, move |_, (): ()| Ok((Stream::new_own(stream),)))
}

pub(super) fn error(error: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    resources(error, &["error"])?;
    error.func_wrap("[method]error.to-debug-string", |_, (_,): (Resource<()>,)| Ok((String::new(),)))
}

pub(super) fn poll(poll: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    resources(poll, &["pollable"])?;
    poll.func_wrap("[method]pollable.ready", |_, (_,): (Resource<()>,)| Ok((true,)))?;
    poll.func_wrap("[method]pollable.block", |_, (_,): (Resource<()>,)| Ok(()))?;
    poll.func_wrap("poll", |_, (pollables,): (Vec<Resource<()>>,)| {
        let all: Vec<u32> = (0..).take(pollables.len()).collect();
        Ok((all,))
    })
}

pub(super) fn streams(streams: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    resources(streams, &["input-stream", "output-stream"])?;
    for name in ["read", "blocking-read"] {
        let name = format!("[method]input-stream.{name}");
        streams.func_wrap(&name, |_, (_, _): (Stream, u64)| -> Written<Vec<u8>> {
            Ok((Err(StreamError::Closed),))
        })?;
    }
    for name in ["skip", "blocking-skip"] {
        let name = format!("[method]input-stream.{name}");
        streams.func_wrap(&name, |_, (_, _): (Stream, u64)| -> Written<u64> {
            Ok((Err(StreamError::Closed),))
        })?;
    }
    for of in ["input", "output"] {
        let name = format!("[method]{of}-stream.subscribe");
        streams.func_wrap(&name, |_, (_,): (Stream,)| Ok((Resource::<()>::new_own(POLLABLE),)))?;
    }
    output(streams)
}

fn output(streams: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    streams.func_wrap("[method]output-stream.check-write", |_, (_,): (Stream,)| -> Written<u64> {
        Ok((Ok(CHUNK),))
    })?;
    for name in ["write", "blocking-write-and-flush"] {
        let name = format!("[method]output-stream.{name}");
        streams.func_wrap(
            &name,
            |mut context: Context<'_>, (stream, bytes): (Stream, WasmList<u8>)| -> Written<()> {
                let bytes = bytes.as_le_slice(&context);
                let bytes = bytes[..bytes.len().min(CHUNK as usize)].to_vec();
                let level = if stream.rep() == STDERR { Level::Warn } else { Level::Info };
                context.data_mut().write(level, &bytes);
                Ok((Ok(()),))
            },
        )?;
    }
    for name in ["flush", "blocking-flush"] {
        let name = format!("[method]output-stream.{name}");
        streams.func_wrap(&name, |_, (_,): (Stream,)| -> Written<()> { Ok((Ok(()),)) })?;
    }
    for name in ["write-zeroes", "blocking-write-zeroes-and-flush"] {
        let name = format!("[method]output-stream.{name}");
        streams.func_wrap(&name, |_, (_, _): (Stream, u64)| -> Written<()> { Ok((Ok(()),)) })?;
    }
    for name in ["splice", "blocking-splice"] {
        let name = format!("[method]output-stream.{name}");
        streams.func_wrap(&name, |_, (_, _, _): (Stream, Stream, u64)| -> Written<u64> {
            Ok((Err(StreamError::Closed),))
        })?;
    }
    Ok(())
}
