//! What stands behind what a plugin imports.

/// How the host answers calls of an interface, for people.
///
/// `interface` is a name such as `wasi:clocks/monotonic-clock@0.2.6`, of a component that was loaded: it imports
/// nothing that the host does not know.
pub fn answer(interface: &str) -> &'static str {
    let name = interface.split_once('@').map_or(interface, |(name, _)| name);
    match name.split_once('/').unwrap_or((name, "")) {
        ("sluicebox:plugin", "types") => "types, no functions",
        ("sluicebox:plugin", "log") => "the worker's log, within limits",
        ("sluicebox:plugin", "metrics") => "the step's metrics, within limits",
        ("wasi:cli", "stdout" | "stderr") => "a stand-in: the plugin's log",
        ("wasi:cli", "environment") => "a stand-in: no variables and no arguments",
        ("wasi:clocks", _) => "a stand-in: a clock that stands still",
        ("wasi:random", _) => "a stand-in: the same numbers in every run",
        ("wasi:filesystem", _) => "a stand-in: no files",
        ("wasi:sockets", _) => "a stand-in: no network",
        _ => "a stand-in with nothing behind it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_are_told_apart() {
        for (interface, says) in [
            ("sluicebox:plugin/types@0.3.0", "no functions"),
            ("sluicebox:plugin/log@0.3.0", "log"),
            ("wasi:cli/stderr@0.2.6", "log"),
            ("wasi:cli/environment@0.2.6", "no variables"),
            ("wasi:clocks/wall-clock@0.2.6", "stands still"),
            ("wasi:random/random@0.2.6", "same numbers"),
            ("wasi:filesystem/preopens@0.2.6", "no files"),
            ("wasi:sockets/tcp@0.2.6", "no network"),
            ("wasi:io/streams@0.2.6", "nothing behind"),
        ] {
            assert!(answer(interface).contains(says), "{interface}: {}", answer(interface));
        }
    }
}
