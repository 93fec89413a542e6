//! Plugins in Rust from source to components: the WebAssembly target, the core module, the encoding. And for plugins in C:
//! the bindings.
//!
//! The host's `plugin build` and `cargo xtask components` both go this way, and no other does.

mod c_bindings;
mod encode;
mod package;
mod toolchain;

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

pub use c_bindings::c_bindings;
pub use encode::component as encode;
pub use package::Package;
pub use toolchain::Toolchain;

/// The component that a package comes to in a profile.
pub fn component(toolchain: &Toolchain, package: &Package, profile: &str) -> Result<Vec<u8>> {
    let core = toolchain.compile(package, profile)?;
    encode(&core).with_context(|| format!("cannot make a component of {}", package.name))
}

/// Writes a component unless the file holds it already: what depends on the file's time stays as it is.
pub fn write_if_changed(path: &Path, component: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    if std::fs::read(path).ok().as_deref() != Some(component) {
        std::fs::write(path, component).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    let status = command.status().with_context(|| format!("cannot start `{shown}`"))?;
    ensure!(status.success(), "`{shown}` ended with {status}");
    Ok(())
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
