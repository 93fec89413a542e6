//! What stands behind what a plugin imports.

use crate::plugin::Capability;

/// How the host answers calls of an interface, for people.
///
/// `interface` is a name such as `wasi:clocks/monotonic-clock@0.2.6`, of a component that was loaded: it imports
/// nothing that the host does not know.
pub fn answer(interface: &str) -> &'static str {
    let name = interface.split_once('@').map_or(interface, |(name, _)| name);
    match Capability::of_import(interface) {
        Some(Capability::Clock) => return "a stand-in: a clock that stands still",
        Some(Capability::Random) => return "a stand-in: the same numbers in every run",
        Some(Capability::Env) => return "a stand-in: no variables and no arguments",
        Some(Capability::Dir) => return "a stand-in: no files",
        Some(Capability::Http) => return "a stand-in: no requests",
        None => {}
    }
    match name.split_once('/').unwrap_or((name, "")) {
        ("sluicebox:plugin", "types") => "types, no functions",
        ("sluicebox:plugin", "log") => "the worker's log, within limits",
        ("sluicebox:plugin", "metrics") => "the step's metrics, within limits",
        ("wasi:cli", "stdout" | "stderr") => "a stand-in: the plugin's log",
        ("wasi:sockets", _) => "a stand-in: no network",
        _ => "a stand-in with nothing behind it",
    }
}

/// What a step would have to be granted for more than that, for people; empty if there is nothing more.
pub fn grant(interface: &str) -> String {
    Capability::of_import(interface).map_or_else(String::new, |it| format!("more if `{it}` is granted"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_are_told_apart() {
        for (interface, says, grants) in [
            ("sluicebox:plugin/types@0.3.0", "no functions", ""),
            ("sluicebox:plugin/log@0.3.0", "log", ""),
            ("wasi:cli/stderr@0.2.6", "log", ""),
            ("wasi:cli/environment@0.2.6", "no variables", "`env`"),
            ("wasi:clocks/wall-clock@0.2.6", "stands still", "`clock`"),
            ("wasi:random/random@0.2.6", "same numbers", "`random`"),
            ("wasi:filesystem/preopens@0.2.6", "no files", "`dir`"),
            ("wasi:http/outgoing-handler@0.2.6", "no requests", "`http`"),
            ("wasi:sockets/tcp@0.2.6", "no network", ""),
            ("wasi:io/streams@0.2.6", "nothing behind", ""),
        ] {
            assert!(answer(interface).contains(says), "{interface}: {}", answer(interface));
            assert!(grant(interface).contains(grants), "{interface}: {}", grant(interface));
            assert_eq!(grant(interface).is_empty(), grants.is_empty());
        }
    }
}
