//! Bindings in C for a world: a header, a source, and an object file that says the world.

use anyhow::Result;
use wit_bindgen_core::Files;
use wit_parser::Resolve;

/// The bindings for `world` of the package `wit`: names of files with their contents.
pub fn c_bindings(wit: &str, world: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("plugin.wit", wit)?;
    let world = resolve.select_world(&[package], Some(world))?;
    let mut files = Files::default();
    wit_bindgen_c::Opts::default().build().generate(&mut resolve, world, &mut files)?;
    Ok(files.iter().map(|(name, contents)| (name.to_owned(), contents.to_vec())).collect())
}
