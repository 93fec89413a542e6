//! Types and calls generated from the contract in `wit/`. One world holds everything that any plugin
//! may export; what a component offers is found out by its exports.

wasmtime::component::bindgen!({
    path: "../wit",
    inline: "
        package sluicebox:host;
        world everything {
            import sluicebox:plugin/log@0.3.0;
            import sluicebox:plugin/metrics@0.3.0;
            export sluicebox:plugin/describe@0.3.0;
            export sluicebox:plugin/transform@0.3.0;
            export sluicebox:plugin/records@0.3.0;
            export sluicebox:plugin/aggregate@0.3.0;
            export sluicebox:plugin/reference@0.3.0;
            export sluicebox:plugin/state@0.3.0;
        }
    ",
    world: "sluicebox:host/everything",
    ownership: Borrowing { duplicate_if_necessary: true },
});

pub use self::exports::sluicebox::plugin::{aggregate, describe, records, reference, state, transform};
pub use self::sluicebox::plugin::{log, types};

/// The version of the contract that this host runs.
pub const CONTRACT_VERSION: &str = "0.3.0";
