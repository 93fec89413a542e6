//! The components that `cargo xtask components` built for the tests.

use std::path::PathBuf;

pub fn component(name: &str) -> PathBuf {
    let directory = std::env::var_os("SLUICEBOX_COMPONENTS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/plugins")),
        PathBuf::from,
    );
    let path = directory.join(format!("{name}.wasm"));
    assert!(path.is_file(), "{} is missing: build it with `cargo xtask components`", path.display());
    path
}
