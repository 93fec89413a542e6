//! What an import of a plugin would need granted.

/// How the host answers an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Every plugin gets it.
    Nothing,
    /// It only works with this capability.
    Capability(&'static str),
    /// It never works.
    Refused,
}

impl Need {
    /// By the name of the interface, such as `wasi:clocks/monotonic-clock@0.2.6`.
    pub fn of(interface: &str) -> Self {
        let name = interface.split_once('@').map_or(interface, |(name, _)| name);
        match name.split_once('/').unwrap_or((name, "")) {
            ("sluicebox:plugin", _) => Self::Nothing,
            // Behind them is nothing that a grant would change; the seed is the same in every run.
            ("wasi:random", "insecure-seed") | ("wasi:io", _) => Self::Nothing,
            ("wasi:cli", "environment") => Self::Capability("env"),
            ("wasi:cli", _) => Self::Nothing,
            ("wasi:clocks", _) => Self::Capability("clock"),
            ("wasi:random", _) => Self::Capability("random"),
            ("wasi:filesystem", _) => Self::Capability("dir"),
            ("wasi:http", _) => Self::Capability("http"),
            _ => Self::Refused,
        }
    }
}

impl std::fmt::Display for Need {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing to grant"),
            Self::Capability(name) => write!(f, "would need `{name}`; without it a call traps"),
            Self::Refused => f.write_str("never granted; a call traps"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_are_told_apart() {
        for (interface, need) in [
            ("sluicebox:plugin/log@0.1.0", Need::Nothing),
            ("wasi:random/insecure-seed@0.2.3", Need::Nothing),
            ("wasi:io/streams@0.2.6", Need::Nothing),
            ("wasi:cli/stdout@0.2.6", Need::Nothing),
            ("wasi:cli/environment@0.2.6", Need::Capability("env")),
            ("wasi:clocks/wall-clock@0.2.6", Need::Capability("clock")),
            ("wasi:random/random@0.2.6", Need::Capability("random")),
            ("wasi:filesystem/preopens", Need::Capability("dir")),
            ("wasi:http/outgoing-handler@0.2.6", Need::Capability("http")),
            ("wasi:sockets/tcp@0.2.6", Need::Refused),
            ("wasi", Need::Refused),
        ] {
            assert_eq!(Need::of(interface), need, "{interface}");
        }
    }
}
