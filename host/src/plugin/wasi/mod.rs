//! Answers for the WASI interfaces that the runtimes of languages want to be there. Without grants they are stand-ins: empty,
//! and the same in every run. No files, no sockets, no environment, no input; the clocks stand still; random numbers
//! come from a fixed seed; what is written to the standard streams goes to the plugin's log, within its limits. What a
//! step was granted, and nothing else, has something behind it.

mod clocks;
mod file_types;
mod files;
mod folder;
mod handles;
mod held;
mod http;
mod lines;
mod random;
mod standard;
mod streams;
mod waiting;

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::{Component, Linker, LinkerInstance, ResourceType, Val};

use super::grants::Grants;
use super::guest::Guest;
use folder::OpenFiles;
use handles::Handles;
use held::Held;
use random::Random;
use waiting::Patience;

pub(super) use folder::Folder;
pub(super) use http::HttpAccess;
pub(super) use lines::Lines;
pub(super) use waiting::thread_waited;

/// What is behind WASI for one instance.
pub(super) struct Wasi {
    grants: Arc<Grants>,
    random: Random,
    handles: Handles,
    patience: Patience,
    /// The monotonic clock starts here.
    born: Instant,
    held: Held,
    files: OpenFiles,
    under_way: http::UnderWay,
}

impl Wasi {
    /// `wait`: how long one call may wait for what it was granted.
    pub fn new(grants: Arc<Grants>, wait: Duration) -> Self {
        Self {
            grants,
            random: Random::default(),
            handles: Handles::default(),
            patience: Patience::new(wait),
            born: Instant::now(),
            held: Held::default(),
            files: OpenFiles::default(),
            under_way: http::UnderWay::default(),
        }
    }

    pub fn start_call(&mut self) {
        self.patience.start_call();
    }
}

/// What answers for an interface. All resources are of one type: [`Handles`] knows what is behind them, if anything is.
type StandIn = fn(&mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()>;

/// The interfaces of WASI 0.2 that plugins may import. Functions that are left out need something to be called with that
/// nobody has, such as a socket; they trap.
const STAND_INS: [(&str, StandIn); 29] = [
    ("cli/environment", standard::environment),
    ("cli/exit", standard::exit),
    ("cli/stderr", |cli| streams::get(cli, "get-stderr", streams::STDERR)),
    ("cli/stdin", |cli| streams::get(cli, "get-stdin", streams::STDIN)),
    ("cli/stdout", |cli| streams::get(cli, "get-stdout", streams::STDOUT)),
    ("cli/terminal-input", |cli| resources(cli, &["terminal-input"])),
    ("cli/terminal-output", |cli| resources(cli, &["terminal-output"])),
    ("cli/terminal-stderr", |cli| standard::no_terminal(cli, "get-terminal-stderr")),
    ("cli/terminal-stdin", |cli| standard::no_terminal(cli, "get-terminal-stdin")),
    ("cli/terminal-stdout", |cli| standard::no_terminal(cli, "get-terminal-stdout")),
    ("clocks/monotonic-clock", clocks::monotonic_clock),
    ("clocks/wall-clock", clocks::wall_clock),
    ("filesystem/preopens", files::preopens),
    ("filesystem/types", files::types),
    ("http/outgoing-handler", http::outgoing_handler),
    ("http/types", http::types),
    ("io/error", streams::error),
    ("io/poll", waiting::poll),
    ("io/streams", streams::streams),
    ("random/insecure", |random| random::numbers(random, "get-insecure-random")),
    ("random/insecure-seed", random::seed),
    ("random/random", |random| random::numbers(random, "get-random")),
    ("sockets/instance-network", standard::network),
    ("sockets/ip-name-lookup", |lookup| {
        resources(lookup, &["resolve-address-stream"])?;
        denied(lookup, "resolve-addresses")
    }),
    ("sockets/network", |network| resources(network, &["network"])),
    ("sockets/tcp", |tcp| resources(tcp, &["tcp-socket"])),
    ("sockets/tcp-create-socket", |tcp| denied(tcp, "create-tcp-socket")),
    ("sockets/udp", |udp| {
        resources(udp, &["udp-socket", "incoming-datagram-stream", "outgoing-datagram-stream"])
    }),
    ("sockets/udp-create-socket", |udp| denied(udp, "create-udp-socket")),
];

/// Whether an import is an interface that something stands in for, such as `wasi:io/poll@0.2.9`.
pub(super) fn is_known(import: &str) -> bool {
    stand_in(import).is_some()
}

fn stand_in(import: &str) -> Option<StandIn> {
    let (name, version) = import.strip_prefix("wasi:")?.split_once('@')?;
    let (_, stand_in) = STAND_INS.iter().find(|(known, _)| *known == name)?;
    version.starts_with("0.2.").then_some(*stand_in)
}

/// Gives a plugin the stand-ins for what it imports, and nothing else.
pub(super) fn link(linker: &mut Linker<Guest>, component: &Component) -> wasmtime::Result<()> {
    let engine = linker.engine().clone();
    for (name, _) in component.component_type().imports(&engine) {
        if let Some(stand_in) = stand_in(name) {
            stand_in(&mut linker.instance(name)?)?;
        }
    }
    linker.define_unknown_imports_as_traps(component)
}

fn resources(interface: &mut LinkerInstance<'_, Guest>, names: &[&str]) -> wasmtime::Result<()> {
    names.iter().try_for_each(|name| {
        // `()` as for the resources of functions that are left out.
        interface.resource(name, ResourceType::host::<()>(), |mut context, number| {
            context.data_mut().wasi.handles.remove(number);
            Ok(())
        })
    })
}

/// A function whose result is the error code `access-denied`.
fn denied(interface: &mut LinkerInstance<'_, Guest>, name: &str) -> wasmtime::Result<()> {
    refused(interface, name, "access-denied")
}

/// A function, whatever its arguments are, whose result is this error code.
fn refused(
    interface: &mut LinkerInstance<'_, Guest>,
    name: &str,
    code: &'static str,
) -> wasmtime::Result<()> {
    interface.func_new(name, move |mut context, _, arguments, results| {
        for argument in arguments {
            // What is lent is to be given back.
            if let Val::Resource(lent) = argument {
                lent.resource_drop(&mut context)?;
            }
        }
        if let [result] = results {
            *result = Val::Result(Err(Some(Box::new(Val::Enum(code.to_owned())))));
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_stood_in_for_is_known() {
        for known in ["wasi:io/poll@0.2.0", "wasi:sockets/tcp@0.2.9", "wasi:random/insecure@0.2.12"] {
            assert!(is_known(known), "{known}");
        }
        for unknown in [
            "wasi:io/poll",
            "wasi:io/poll@0.3.0",
            "wasi:io/poll@0.20.0",
            "wasi:http/incoming-handler@0.2.9",
            "wasi:keyvalue/store@0.2.0",
            "other:io/poll@0.2.0",
        ] {
            assert!(!is_known(unknown), "{unknown}");
        }
    }
}
