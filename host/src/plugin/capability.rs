//! What a step may be granted beyond its configuration, its state and its batches.

use std::fmt;

/// A door to the world outside. A step without grants has none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    /// The time, and waiting.
    Clock,
    /// Random numbers.
    Random,
    /// Variables by name.
    Env,
    /// Folders, to be read.
    Dir,
    /// Requests to hosts by name.
    Http,
}

impl Capability {
    pub const ALL: [Self; 5] = [Self::Clock, Self::Random, Self::Env, Self::Dir, Self::Http];

    /// As in the pipeline file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::Random => "random",
            Self::Env => "env",
            Self::Dir => "dir",
            Self::Http => "http",
        }
    }

    /// What must be granted for an imported interface to be more than a stand-in, such as `clock` for
    /// `wasi:clocks/wall-clock@0.2.6`.
    pub fn of_import(import: &str) -> Option<Self> {
        let name = import.split_once('@').map_or(import, |(name, _)| name);
        match name {
            "wasi:clocks/monotonic-clock" | "wasi:clocks/wall-clock" => Some(Self::Clock),
            "wasi:random/random" | "wasi:random/insecure" | "wasi:random/insecure-seed" => Some(Self::Random),
            "wasi:cli/environment" => Some(Self::Env),
            "wasi:filesystem/preopens" | "wasi:filesystem/types" => Some(Self::Dir),
            "wasi:http/outgoing-handler" | "wasi:http/types" => Some(Self::Http),
            _ => None,
        }
    }

    /// Whether the same input may give other rows the next time. Variables are part of the configuration: as long as
    /// it stays the same, so do they.
    pub fn breaks_determinism(self) -> bool {
        self != Self::Env
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
