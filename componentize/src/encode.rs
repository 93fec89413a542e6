//! From a core module to a component.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use wit_component::{ComponentEncoder, DecodedWasm};

/// Turns a core module, which carries its world in a custom section, into a component.
pub fn component(core: &Path) -> Result<Vec<u8>> {
    let module = fs::read(core).with_context(|| format!("cannot read {}", core.display()))?;
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true).module(&module)?;
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
