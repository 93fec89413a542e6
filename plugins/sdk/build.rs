//! Encodes each world of the contract for the custom section by which a core module says what it exports.
//! (wit-bindgen's own section would claim every interface that the SDK has bindings of.)

use std::error::Error;
use std::path::Path;

use wit_component::{StringEncoding, metadata};
use wit_parser::Resolve;

const WORLDS: [&str; 4] =
    ["transform-plugin", "stateful-transform-plugin", "reference-transform-plugin", "aggregate-plugin"];

fn main() -> Result<(), Box<dyn Error>> {
    let contract = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
    println!("cargo::rerun-if-changed={}", contract.display());
    let out = std::env::var("OUT_DIR")?;
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(&contract)?;
    for name in WORLDS {
        let world = resolve.select_world(&[package], Some(name))?;
        let section = metadata::encode(&resolve, world, StringEncoding::UTF8, None)?;
        std::fs::write(Path::new(&out).join(name), section)?;
    }
    Ok(())
}
