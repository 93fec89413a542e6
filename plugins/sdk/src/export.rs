//! What the export macros expand to. Not for use by hand.

use serde::de::DeserializeOwned;

use crate::bindings::{aggregate, describe, state, transform, types};
use crate::{
    AggregatePlan, Bitmap, Delta, Description, Emission, Error, Fields, Outcome, Output, Rejections, Schema,
    TransformPlan,
};

pub fn config<C: DeserializeOwned>(json: &str) -> Result<C, Error> {
    serde_json::from_str(json).map_err(|error| Error::Config(error.to_string()))
}

pub fn not_open() -> Error {
    Error::Data("the host called the plugin before `open`".into())
}

pub fn description(of: Description, config_schema: &str) -> describe::Description {
    describe::Description {
        name: of.name.into(),
        version: of.version.into(),
        summary: of.summary.into(),
        config_schema: config_schema.into(),
    }
}

pub fn transform_plan(plan: TransformPlan) -> transform::Plan {
    let output = match plan.output {
        Output::Select => types::TransformOutput::Select,
        Output::Columns { set, drop } => types::TransformOutput::Columns(types::ColumnChanges { set, drop }),
        Output::Rows(fields) => types::TransformOutput::Rows(fields),
    };
    transform::Plan { reads: plan.reads, output, rules: plan.rules }
}

pub fn outcome(outcome: Outcome) -> transform::Outcome {
    transform::Outcome {
        keep: outcome.keep.map(Bitmap::into_bytes),
        rejected: rejections(outcome.rejected),
        batch: outcome.batch,
    }
}

pub fn aggregate_plan(plan: AggregatePlan) -> aggregate::Plan {
    aggregate::Plan { reads: plan.reads, output: plan.output, rules: plan.rules }
}

pub fn emission(emission: Emission) -> aggregate::Emission {
    aggregate::Emission { rejected: rejections(emission.rejected), batch: emission.batch }
}

fn rejections(rejections: Rejections) -> Option<types::Rejections> {
    let Rejections { rows, rules, reasons } = rejections;
    (!rows.is_empty()).then_some(types::Rejections { rows, rules, reasons })
}

pub fn fields(fields: Fields) -> state::Fields {
    state::Fields { version: fields.version, key: fields.key, value: fields.value }
}

pub fn stored_fields(stored: state::Fields) -> Fields {
    Fields { version: stored.version, key: stored.key, value: stored.value }
}

pub fn delta(delta: Delta) -> state::Delta {
    state::Delta { upserts: delta.upserts, deletes: delta.deletes }
}

/// The columns of `table` with these names, in this order.
pub fn narrowed(table: &Schema, names: &[String]) -> Result<Schema, Error> {
    let column = |name: &String| {
        table.column(name).ok_or_else(|| Error::Schema(format!("the reference table has no column `{name}`")))
    };
    let columns = names.iter().map(column).collect::<Result<Vec<_>, Error>>()?;
    Ok(Schema::new(columns.concat()))
}

/// The instance behind the exports, the world that they make up, and `describe`.
#[doc(hidden)]
#[macro_export]
macro_rules! __component {
    ($plugin:ty, $trait:ident, $world:ident) => {
        struct Component;

        thread_local! {
            static INSTANCE: ::std::cell::RefCell<Option<$plugin>> = const { ::std::cell::RefCell::new(None) };
        }

        fn with<T>(call: impl FnOnce(&mut $plugin) -> Result<T, $crate::Error>) -> Result<T, $crate::Error> {
            INSTANCE.with_borrow_mut(|instance| call(instance.as_mut().ok_or_else($crate::export::not_open)?))
        }

        #[unsafe(link_section = concat!("component-type:", stringify!($world)))]
        static WORLD: [u8; $crate::bindings::$world.len()] = $crate::bindings::section($crate::bindings::$world);

        impl $crate::bindings::describe::Guest for Component {
            fn describe() -> $crate::bindings::describe::Description {
                $crate::export::description(
                    <$plugin as $crate::$trait>::DESCRIPTION,
                    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/config.schema.json")),
                )
            }
        }

        $crate::__export_sluicebox_plugin_describe_0_3_0_cabi!(
            Component with_types_in $crate::bindings::describe
        );
    };
}

/// The test that `config.schema.json` is the configuration's.
#[doc(hidden)]
#[macro_export]
macro_rules! __config_schema {
    ($plugin:ty, $trait:ident) => {
        #[cfg(all(test, not(target_arch = "wasm32")))]
        mod config_schema {
            use super::*;

            #[test]
            fn is_that_of_the_configuration() {
                $crate::config_schema::check::<<$plugin as $crate::$trait>::Config>(env!(
                    "CARGO_MANIFEST_DIR"
                ));
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __transform {
    ($plugin:ty) => {
        impl $crate::bindings::transform::Guest for Component {
            fn open(
                config: String,
                input: Vec<$crate::Field>,
            ) -> Result<$crate::bindings::transform::Plan, $crate::Error> {
                let config = $crate::export::config(&config)?;
                let (plugin, plan) = <$plugin as $crate::Transform>::open(config, &$crate::Schema::new(input))?;
                INSTANCE.set(Some(plugin));
                Ok($crate::export::transform_plan(plan))
            }

            fn apply(batch: $crate::Batch) -> Result<$crate::bindings::transform::Outcome, $crate::Error> {
                with(|plugin| $crate::Transform::apply_owned(plugin, batch)).map($crate::export::outcome)
            }
        }

        $crate::__export_sluicebox_plugin_transform_0_3_0_cabi!(
            Component with_types_in $crate::bindings::transform
        );
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __aggregate {
    ($plugin:ty) => {
        impl $crate::bindings::aggregate::Guest for Component {
            fn open(
                config: String,
                input: Vec<$crate::Field>,
            ) -> Result<$crate::bindings::aggregate::Plan, $crate::Error> {
                let config = $crate::export::config(&config)?;
                let (plugin, plan) = <$plugin as $crate::Aggregate>::open(config, &$crate::Schema::new(input))?;
                INSTANCE.set(Some(plugin));
                Ok($crate::export::aggregate_plan(plan))
            }

            fn update(
                batch: $crate::Batch,
                watermark: Option<i64>,
            ) -> Result<$crate::bindings::aggregate::Emission, $crate::Error> {
                with(|plugin| $crate::Aggregate::update(plugin, &batch, watermark)).map($crate::export::emission)
            }
        }

        $crate::__export_sluicebox_plugin_aggregate_0_3_0_cabi!(
            Component with_types_in $crate::bindings::aggregate
        );
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __state {
    ($plugin:ty) => {
        impl $crate::bindings::state::Guest for Component {
            fn layout() -> Result<$crate::bindings::state::Fields, $crate::Error> {
                with(|plugin| Ok($crate::export::fields($crate::Stateful::state(plugin).layout())))
            }

            fn migrate(stored: $crate::bindings::state::Fields) -> Result<(), $crate::Error> {
                let stored = $crate::export::stored_fields(stored);
                with(|plugin| $crate::Stateful::state(plugin).migrate(&stored))
            }

            fn changes() -> Result<$crate::bindings::state::Delta, $crate::Error> {
                with(|plugin| $crate::Stateful::state(plugin).changes()).map($crate::export::delta)
            }

            fn restore(upserts: $crate::Batch) -> Result<(), $crate::Error> {
                with(|plugin| $crate::Stateful::state(plugin).restore(&upserts))
            }
        }

        $crate::__export_sluicebox_plugin_state_0_3_0_cabi!(Component with_types_in $crate::bindings::state);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __reference {
    ($plugin:ty) => {
        thread_local! {
            /// The columns that `load` gets, from `columns` until `open`.
            static TABLE: ::std::cell::RefCell<Option<$crate::Schema>> = const { ::std::cell::RefCell::new(None) };
        }

        impl $crate::bindings::reference::Guest for Component {
            fn columns(config: String, table: Vec<$crate::Field>) -> Result<Vec<String>, $crate::Error> {
                let (config, table) = ($crate::export::config(&config)?, $crate::Schema::new(table));
                let names = <$plugin as $crate::ReferenceTransform>::columns(&config, &table)?;
                TABLE.set(Some($crate::export::narrowed(&table, &names)?));
                Ok(names)
            }

            fn load(rows: $crate::Batch) -> Result<(), $crate::Error> {
                with(|plugin| $crate::ReferenceTransform::load(plugin, rows))
            }
        }

        impl $crate::bindings::transform::Guest for Component {
            fn open(
                config: String,
                input: Vec<$crate::Field>,
            ) -> Result<$crate::bindings::transform::Plan, $crate::Error> {
                let (config, input) = ($crate::export::config(&config)?, $crate::Schema::new(input));
                let table = TABLE.take().ok_or_else($crate::export::not_open)?;
                let (plugin, plan) = <$plugin as $crate::ReferenceTransform>::open(config, &input, &table)?;
                INSTANCE.set(Some(plugin));
                Ok($crate::export::transform_plan(plan))
            }

            fn apply(batch: $crate::Batch) -> Result<$crate::bindings::transform::Outcome, $crate::Error> {
                with(|plugin| $crate::ReferenceTransform::apply(plugin, &batch)).map($crate::export::outcome)
            }
        }

        $crate::__export_sluicebox_plugin_transform_0_3_0_cabi!(
            Component with_types_in $crate::bindings::transform
        );
        $crate::__export_sluicebox_plugin_reference_0_3_0_cabi!(
            Component with_types_in $crate::bindings::reference
        );
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($plugin:ty, $trait:ident, $world:ident, [$($interface:ident)+]) => {
        $crate::__config_schema!($plugin, $trait);

        #[cfg(target_arch = "wasm32")]
        mod component {
            use super::*;
            $crate::__component!($plugin, $trait, $world);
            $($crate::$interface!($plugin);)+
        }
    };
}

/// Exports a plugin as a component, by the traits that it implements: `Transform`, `Transform + Stateful`, `Aggregate`,
/// `ReferenceTransform`, or in place of `Transform` one of the other styles, [`RowTransform`](crate::rows::RowTransform) and (with the feature
/// `arrow`) `record_batch::BatchTransform`.
///
/// ```ignore
/// sluicebox_plugin::export!(Filter: Transform);
/// sluicebox_plugin::export!(Dedupe: Transform + Stateful);
/// ```
///
/// Natively it exports nothing, so that several plugins can be linked into one program; it adds a test which holds
/// `config.schema.json`, beside the plugin's `Cargo.toml`, to its configuration. `UPDATE_SCHEMA=1 cargo test` writes
/// that file.
#[macro_export]
macro_rules! export {
    ($plugin:ty: Transform) => {
        $crate::__export!($plugin, Transform, TRANSFORM_PLUGIN, [__transform]);
    };
    ($plugin:ty: Transform + Stateful) => {
        $crate::__export!($plugin, Transform, STATEFUL_TRANSFORM_PLUGIN, [__transform __state]);
    };
    ($plugin:ty: Aggregate) => {
        $crate::__export!($plugin, Aggregate, AGGREGATE_PLUGIN, [__aggregate __state]);
    };
    ($plugin:ty: ReferenceTransform) => {
        $crate::__export!($plugin, ReferenceTransform, REFERENCE_TRANSFORM_PLUGIN, [__reference]);
    };
    ($plugin:ty: RowTransform $(+ $stateful:ident)?) => {
        $crate::export!($crate::rows::Rowwise<$plugin>: Transform $(+ $stateful)?);
    };
    ($plugin:ty: BatchTransform $(+ $stateful:ident)?) => {
        $crate::export!($crate::record_batch::Batchwise<$plugin>: Transform $(+ $stateful)?);
    };
}
