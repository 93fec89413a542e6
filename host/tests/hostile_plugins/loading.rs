//! What is no plugin, and plans that are not sound.

use std::time::Instant;

use serde_json::json;
use sluicebox::plugin::{Engine, EngineSettings, PluginError, PluginKind, Step};

use super::fixture::*;

#[test]
fn a_plugin_says_what_it_is() {
    let plugin = transform();
    assert_eq!((&**plugin.name(), plugin.version()), ("hostile-transform", "0.1.0"));
    assert_eq!((plugin.kind(), plugin.is_stateful()), (PluginKind::Transform, false));
    assert_eq!(plugin.digest().len(), 64);
    let plugin = aggregate();
    assert_eq!((plugin.kind(), plugin.is_stateful()), (PluginKind::Aggregate, true));
}

#[test]
fn another_digest_is_refused() {
    let path = component("hostile-transform");
    let digest = transform().digest().to_owned();
    assert!(engine().load(&path, Some(&digest.to_uppercase())).is_ok());
    let refused = engine().load(&path, Some(&"0".repeat(64))).unwrap_err();
    assert!(matches!(&refused, PluginError::Digest { found, .. } if *found == digest), "{refused}");
}

#[test]
fn compiled_code_is_kept_and_used_again() {
    let directory = tempfile::tempdir().unwrap();
    let settings =
        EngineSettings { cache: Some(directory.path().join("compiled")), ..EngineSettings::default() };
    let path = component("hostile-transform");
    for _ in 0..2 {
        let plugin = Engine::new(&settings).unwrap().load(&path, None).unwrap();
        let mut step = open(plugin, "well").unwrap();
        assert_eq!(step.run(rows(3), None).unwrap().rows.num_rows(), 3);
        assert_eq!(std::fs::read_dir(directory.path().join("compiled")).unwrap().count(), 1);
    }
}

fn load_text(text: &str) -> PluginError {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("plugin.wasm");
    std::fs::write(&path, wat::parse_str(text).unwrap()).unwrap();
    engine().load(&path, None).unwrap_err()
}

#[test]
fn what_is_no_plugin_is_told_so() {
    for (text, says) in [
        ("(module)", "not a WebAssembly component"),
        ("(component)", "does not export `sluicebox:plugin/describe`"),
        ("(component (import \"evil:host/files\" (instance)))", "imports `evil:host/files`"),
        (
            "(component (instance $i) (export \"sluicebox:plugin/describe@0.1.0\" (instance $i)))",
            "built for sluicebox:plugin@0.1.0, this host runs sluicebox:plugin@0.3.0",
        ),
        (
            "(component (import \"sluicebox:plugin/log@0.9.0\" (instance)))",
            "built for sluicebox:plugin@0.9.0",
        ),
        (
            "(component (instance $i)
                (export \"sluicebox:plugin/describe@0.3.0\" (instance $i))
                (export \"sluicebox:plugin/transform@0.3.0\" (instance $i)))",
            "not those of the contract",
        ),
    ] {
        let refused = load_text(text).to_string();
        assert!(refused.contains(says), "{refused} does not say {says}");
    }
}

/// Each interface by its name and version: what nothing stands in for would fail late and obscurely.
#[test]
fn wasi_that_nothing_stands_in_for_is_refused() {
    for import in ["wasi:http/incoming-handler@0.2.3", "wasi:io/poll@0.3.0", "wasi:nn/graph@0.2.0"] {
        let refused = load_text(&format!("(component (import \"{import}\" (instance)))")).to_string();
        assert!(refused.contains(&format!("imports `{import}`")), "{refused}");
    }
}

/// A function that needs a file to be called with is there to be imported, and one of another type than WASI's is not.
#[test]
fn wasi_functions_are_checked_by_type() {
    let importing = |function: &str| {
        format!(
            r#"(component
                (import "wasi:clocks/monotonic-clock@0.2.3" (instance (export "now" (func {function}))))
                (instance $none)
                (export "sluicebox:plugin/describe@0.3.0" (instance $none))
                (export "sluicebox:plugin/transform@0.3.0" (instance $none)))"#
        )
    };
    let refused = load_text(&importing("(result u64)")).to_string();
    assert!(refused.contains("its interfaces are not those of the contract"), "importing is fine: {refused}");
    let refused = load_text(&importing("(result string)")).to_string();
    assert!(refused.contains("its imports are not those of the contract"), "{refused}");
}

#[test]
fn a_wrong_configuration_is_told_by_path() {
    let wrong = Step::open(transform(), settings(json!({"behaviour": 7, "idd": 1})), &schema()).unwrap_err();
    let told = wrong.to_string();
    for part in ["layer `silver`", "step `cleanse`", "hostile-transform", "`/behaviour`", "idd"] {
        assert!(told.contains(part), "{told} does not say {part}");
    }
}

#[test]
fn unsound_plans_are_refused() {
    for (behaviour, says) in [
        ("config-error", "refuses its configuration: no such setting as this"),
        ("schema-error", "refuses its input: no such column"),
        ("data-error-in-open", "cannot be instantiated"),
        ("open-traps", "trapped"),
        ("open-spins", "more than 300 ms of CPU time"),
        ("reads-unknown", "reads the column `no_such_column`"),
        ("reads-twice", "twice"),
        ("sets-twice", "the field `text` twice"),
        ("replaces-offset", "`_offset`, which only the host makes"),
        ("rows-with-offset", "`_offset`, which only the host makes"),
        ("drops-offset", "`_offset`, which the host needs"),
        ("nests-deep", "nested deeper than 16 levels"),
        ("claims-children", "says it has 4294967295 children"),
        ("many-fields", "the limit is 4096"),
        ("empty-struct", "a struct without fields"),
        ("unnamed-field", "name is empty"),
        ("rule-names", "not fit for a metric"),
        ("many-rules", "the limit is 256"),
    ] {
        let started = Instant::now();
        let refused = open(transform(), behaviour).unwrap_err().to_string();
        assert!(refused.contains(says), "{behaviour}: {refused} does not say {says}");
        assert!(refused.starts_with("layer `silver`, step `cleanse`"), "{refused}");
        assert!(!refused.contains('\n'), "{refused:?}");
        assert!(started.elapsed().as_secs() < 30, "{behaviour} stalled the host");
    }
}
