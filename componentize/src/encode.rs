//! From a core module to a component.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER;
use wit_component::{ComponentEncoder, DecodedWasm};

/// What C's standard library imports: it is older than components. The adapter makes WASI 0.2 of it, where it is used.
const PREVIEW1: &str = "wasi_snapshot_preview1";

/// Turns a core module, which carries its world in a custom section, into a component.
pub fn component(core: &Path) -> Result<Vec<u8>> {
    let module = fs::read(core).with_context(|| format!("cannot read {}", core.display()))?;
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true).module(&module)?;
    // One that is not needed would still have its interfaces merged with the module's. A module has names as they are.
    if module.windows(PREVIEW1.len()).any(|bytes| bytes == PREVIEW1.as_bytes()) {
        encoder.adapter(PREVIEW1, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)?;
    }
    let component = encoder.encode()?;
    // A module without the custom section encodes without complaint to a component that exports nothing.
    let DecodedWasm::Component(resolve, world) = wit_component::decode(&component)? else {
        bail!("the encoder gave something other than a component");
    };
    ensure!(
        !resolve.worlds[world].exports.is_empty(),
        "it exports nothing: it carries no world. Does a Rust crate call the SDK's export macro?"
    );
    Ok(component)
}
