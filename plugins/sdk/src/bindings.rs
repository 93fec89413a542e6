//! What wit-bindgen makes of all interfaces of `wit/`, and the section that names a component's world.

pub use exports::sluicebox::plugin::{aggregate, describe, reference, state, transform};
pub use sluicebox::plugin::{log, metrics, types};

wit_bindgen::generate!({
    inline: "
        package sluicebox:sdk;
        world every-interface {
            include sluicebox:plugin/stateful-transform-plugin@0.3.0;
            export sluicebox:plugin/aggregate@0.3.0;
            export sluicebox:plugin/reference@0.3.0;
        }
    ",
    path: "../../wit",
    generate_all,
    additional_derives: [Clone, PartialEq],
    pub_export_macro: true,
    export_macro_name: "export_every_interface",
});

/// The encoded worlds; see `build.rs`.
pub const TRANSFORM_PLUGIN: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/transform-plugin"));
pub const STATEFUL_TRANSFORM_PLUGIN: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/stateful-transform-plugin"));
pub const REFERENCE_TRANSFORM_PLUGIN: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/reference-transform-plugin"));
pub const AGGREGATE_PLUGIN: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/aggregate-plugin"));

/// The bytes as an array, which a static in a section of its own must be.
pub const fn section<const LENGTH: usize>(bytes: &[u8]) -> [u8; LENGTH] {
    let mut section = [0; LENGTH];
    section.copy_from_slice(bytes);
    section
}
