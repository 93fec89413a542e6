//! Streams. Standard input has ended, standard output is the plugin's log; other streams are files that are read, and
//! bodies of requests and responses.

use wasmtime::component::{ComponentType, LinkerInstance, Lower, Resource, WasmList};
use wasmtime::{Result, StoreContextMut, bail};

use super::super::bindings::log::Level;
use super::super::guest::Guest;
use super::files::FileStream;
use super::http::{BodyReader, BodyWriter};
use super::{Wasi, resources};

type Context<'a> = StoreContextMut<'a, Guest>;
type Stream = Resource<()>;

/// By these numbers the streams are told apart that have no handle.
pub(super) const STDIN: u32 = 0;
pub(super) const STDOUT: u32 = 1;
pub(super) const STDERR: u32 = 2;
/// A pollable that is ready.
pub(super) const POLLABLE: u32 = 3;
const ERROR: u32 = 4;

/// What a plugin may write at once.
const CHUNK: u64 = 4096;
/// What it is given at once, at most.
pub(super) const MOST_READ: u64 = 64 << 10;

#[derive(Debug, ComponentType, Lower)]
#[component(variant)]
pub(super) enum StreamError {
    #[component(name = "last-operation-failed")]
    Failed(Resource<()>),
    #[component(name = "closed")]
    Closed,
}

impl StreamError {
    pub fn failed() -> Self {
        Self::Failed(Resource::new_own(ERROR))
    }
}

type Answer<T> = Result<(Result<T, StreamError>,)>;

/// A function that gives a standard stream.
pub(super) fn get(cli: &mut LinkerInstance<'_, Guest>, name: &str, stream: u32) -> Result<()> {
    cli.func_wrap(name, move |_, (): ()| Ok((Stream::new_own(stream),)))
}

pub(super) fn error(error: &mut LinkerInstance<'_, Guest>) -> Result<()> {
    resources(error, &["error"])?;
    error.func_wrap("[method]error.to-debug-string", |_, (_,): (Resource<()>,)| Ok((String::new(),)))
}

impl Wasi {
    fn read(&mut self, stream: &Stream, length: u64) -> Answer<Vec<u8>> {
        if stream.rep() == STDIN {
            return Ok((Err(StreamError::Closed),));
        }
        let length = length.min(MOST_READ) as usize;
        if let Some(file) = self.handles.find::<FileStream>(stream) {
            return Ok((file.read(length),));
        }
        Ok((self.handles.get::<BodyReader>(stream)?.read(length),))
    }
}

pub(super) fn streams(streams: &mut LinkerInstance<'_, Guest>) -> Result<()> {
    resources(streams, &["input-stream", "output-stream"])?;
    for name in ["read", "blocking-read"] {
        let name = format!("[method]input-stream.{name}");
        streams.func_wrap(&name, |mut context: Context<'_>, (stream, length): (Stream, u64)| {
            context.data_mut().wasi.read(&stream, length)
        })?;
    }
    for name in ["skip", "blocking-skip"] {
        let name = format!("[method]input-stream.{name}");
        streams.func_wrap(
            &name,
            |mut context: Context<'_>, (stream, length): (Stream, u64)| -> Answer<u64> {
                let (read,) = context.data_mut().wasi.read(&stream, length)?;
                Ok((read.map(|bytes| bytes.len() as u64),))
            },
        )?;
    }
    // All that can be read or written can be at once.
    for of in ["input", "output"] {
        let name = format!("[method]{of}-stream.subscribe");
        streams.func_wrap(&name, |_, (_,): (Stream,)| Ok((Resource::<()>::new_own(POLLABLE),)))?;
    }
    output(streams)
}

fn output(streams: &mut LinkerInstance<'_, Guest>) -> Result<()> {
    streams.func_wrap("[method]output-stream.check-write", |_, (_,): (Stream,)| -> Answer<u64> {
        Ok((Ok(CHUNK),))
    })?;
    for name in ["write", "blocking-write-and-flush"] {
        let name = format!("[method]output-stream.{name}");
        streams.func_wrap(
            &name,
            |mut context: Context<'_>, (stream, bytes): (Stream, WasmList<u8>)| -> Answer<()> {
                let bytes = bytes.as_le_slice(&context);
                let length = written_at_once(&stream, bytes.len() as u64)?;
                let bytes = bytes[..length].to_vec();
                context.data_mut().write_to(&stream, &bytes)?;
                Ok((Ok(()),))
            },
        )?;
    }
    for name in ["flush", "blocking-flush"] {
        let name = format!("[method]output-stream.{name}");
        streams.func_wrap(&name, |_, (_,): (Stream,)| -> Answer<()> { Ok((Ok(()),)) })?;
    }
    for name in ["write-zeroes", "blocking-write-zeroes-and-flush"] {
        let name = format!("[method]output-stream.{name}");
        streams.func_wrap(
            &name,
            |mut context: Context<'_>, (stream, length): (Stream, u64)| -> Answer<()> {
                let length = written_at_once(&stream, length)?;
                // Nobody wants zeroes in a log.
                if !is_log(&stream) {
                    context.data_mut().write_to(&stream, &[0; CHUNK as usize][..length])?;
                }
                Ok((Ok(()),))
            },
        )?;
    }
    for name in ["splice", "blocking-splice"] {
        let name = format!("[method]output-stream.{name}");
        streams.func_wrap(&name, |mut context: Context<'_>, (to, from, length): (Stream, Stream, u64)| {
            let guest = context.data_mut();
            let (read,) = guest.wasi.read(&from, length.min(CHUNK))?;
            if let Ok(bytes) = &read {
                guest.write_to(&to, bytes)?;
            }
            Ok((read.map(|bytes| bytes.len() as u64),))
        })?;
    }
    Ok(())
}

fn is_log(stream: &Stream) -> bool {
    matches!(stream.rep(), STDOUT | STDERR)
}

/// A log loses the rest. A body must not: more than may be written at once breaks the plugin, as WASI has it.
fn written_at_once(stream: &Stream, length: u64) -> Result<usize> {
    if length > CHUNK && !is_log(stream) {
        bail!("it writes {length} bytes at once, and {CHUNK} may be");
    }
    Ok(length.min(CHUNK) as usize)
}

impl Guest {
    fn write_to(&mut self, stream: &Stream, bytes: &[u8]) -> Result<()> {
        match stream.rep() {
            STDOUT => self.write(Level::Info, bytes),
            STDERR => self.write(Level::Warn, bytes),
            _ => self.wasi.handles.get::<BodyWriter>(stream)?.write(bytes),
        }
        Ok(())
    }
}
