//! Environment, exit, terminals, network: there is nothing, but for variables that the step was granted.

use wasmtime::component::{LinkerInstance, Resource};
use wasmtime::{Result, StoreContextMut, bail};

use super::super::guest::Guest;

pub(super) fn environment(environment: &mut LinkerInstance<'_, Guest>) -> Result<()> {
    environment.func_wrap("get-environment", |context: StoreContextMut<'_, Guest>, (): ()| {
        Ok((context.data().wasi.grants.variables.clone(),))
    })?;
    environment.func_wrap("get-arguments", |_, (): ()| Ok((Vec::<String>::new(),)))?;
    environment.func_wrap("initial-cwd", |_, (): ()| Ok((None::<String>,)))
}

pub(super) fn exit(exit: &mut LinkerInstance<'_, Guest>) -> Result<()> {
    exit.func_wrap("exit", |_, (status,): (Result<(), ()>,)| -> Result<()> {
        bail!("it exits{}", if status.is_err() { " with an error" } else { "" })
    })?;
    exit.func_wrap("exit-with-code", |_, (code,): (u8,)| -> Result<()> {
        bail!("it exits with the code {code}")
    })
}

pub(super) fn no_terminal(terminal: &mut LinkerInstance<'_, Guest>, name: &str) -> Result<()> {
    terminal.func_wrap(name, |_, (): ()| Ok((None::<Resource<()>>,)))
}

pub(super) fn network(network: &mut LinkerInstance<'_, Guest>) -> Result<()> {
    network.func_wrap("instance-network", |_, (): ()| Ok((Resource::<()>::new_own(0),)))
}
