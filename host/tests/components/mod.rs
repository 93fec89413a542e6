//! The components that `cargo xtask components` built.

#![allow(dead_code, reason = "each test needs some of them")]

use std::path::PathBuf;

/// One that only tests use.
pub fn component(name: &str) -> PathBuf {
    built("SLUICEBOX_COMPONENTS", "plugins", name)
}

/// One of the bundled plugins.
pub fn bundled(name: &str) -> PathBuf {
    built("SLUICEBOX_PLUGINS", "debug/plugins", name)
}

fn built(variable: &str, folder: &str, name: &str) -> PathBuf {
    let target = concat!(env!("CARGO_MANIFEST_DIR"), "/../target");
    let folder = std::env::var_os(variable).map_or_else(|| PathBuf::from(target).join(folder), PathBuf::from);
    let path = folder.join(format!("{name}.wasm"));
    assert!(path.is_file(), "{} is missing: build it with `cargo xtask components`", path.display());
    path
}
