//! Environment, exit, terminals, clocks, folders, network: there is nothing, and no time passes.

use wasmtime::bail;
use wasmtime::component::{ComponentType, LinkerInstance, Lower, Resource};

use super::super::guest::Guest;
use super::streams::POLLABLE;

#[derive(Debug, Clone, Copy, ComponentType, Lower)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
}

const NO_TIME: Datetime = Datetime { seconds: 0, nanoseconds: 0 };
const ONE_SECOND: Datetime = Datetime { seconds: 1, nanoseconds: 0 };

pub(super) fn environment(environment: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    environment.func_wrap("get-environment", |_, (): ()| Ok((Vec::<(String, String)>::new(),)))?;
    environment.func_wrap("get-arguments", |_, (): ()| Ok((Vec::<String>::new(),)))?;
    environment.func_wrap("initial-cwd", |_, (): ()| Ok((None::<String>,)))
}

pub(super) fn exit(exit: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    exit.func_wrap("exit", |_, (status,): (Result<(), ()>,)| -> wasmtime::Result<()> {
        bail!("it exits{}", if status.is_err() { " with an error" } else { "" })
    })?;
    exit.func_wrap("exit-with-code", |_, (code,): (u8,)| -> wasmtime::Result<()> {
        bail!("it exits with the code {code}")
    })
}

pub(super) fn no_terminal(terminal: &mut LinkerInstance<'_, Guest>, name: &str) -> wasmtime::Result<()> {
    terminal.func_wrap(name, |_, (): ()| Ok((None::<Resource<()>>,)))
}

pub(super) fn monotonic_clock(clock: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    clock.func_wrap("now", |_, (): ()| Ok((0u64,)))?;
    clock.func_wrap("resolution", |_, (): ()| Ok((1u64,)))?;
    // Whoever waits goes on at once.
    for name in ["subscribe-instant", "subscribe-duration"] {
        clock.func_wrap(name, |_, (_,): (u64,)| Ok((Resource::<()>::new_own(POLLABLE),)))?;
    }
    Ok(())
}

pub(super) fn wall_clock(clock: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    clock.func_wrap("now", |_, (): ()| Ok((NO_TIME,)))?;
    clock.func_wrap("resolution", |_, (): ()| Ok((ONE_SECOND,)))
}

pub(super) fn preopens(preopens: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    preopens.func_wrap("get-directories", |_, (): ()| Ok((Vec::<(Resource<()>, String)>::new(),)))
}

pub(super) fn network(network: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    network.func_wrap("instance-network", |_, (): ()| Ok((Resource::<()>::new_own(0),)))
}
