//! What runtimes of other languages import is there, and there is nothing behind it.

use std::sync::{Arc, OnceLock};

use arrow::array::{Array, AsArray};
use serde_json::json;
use sluicebox::plugin::{Plugin, Step, StepOutcome};

use super::fixture::*;

fn probe() -> Arc<Plugin> {
    static LOADED: OnceLock<Arc<Plugin>> = OnceLock::new();
    LOADED.get_or_init(|| engine().load(&component("hostile-wasi"), None).unwrap()).clone()
}

fn run(behaviour: &str) -> StepOutcome {
    Step::open(probe(), settings(json!({"behaviour": behaviour})), &schema())
        .unwrap()
        .run(rows(1), None)
        .unwrap()
}

fn seen(mut outcome: StepOutcome) -> Vec<String> {
    assert!(outcome.failed.is_none(), "{:?}", outcome.failed);
    let seen = outcome.rows.column("seen").unwrap();
    let seen = seen.as_string::<i32>();
    (0..seen.len()).map(|row| seen.value(row).to_owned()).collect()
}

/// The same in every instance, so that the same in gives the same out.
#[test]
fn a_plugin_that_looks_around_finds_nothing() {
    let found = seen(run("looks"));
    assert_eq!(
        found,
        [
            "environment []",
            "arguments []",
            "folder None",
            "folders 0",
            "time Datetime { seconds: 0, nanoseconds: 0 }",
            "ticks 0",
            "random 336293b338b04461 [9d, fc, b7]",
            "seed (0, 0)",
            "input true",
            "polled [0] true",
            "output true",
            r#"socket Some(ErrorCode { code: 1, name: "access-denied", message: "" })"#,
            r#"lookup Some(ErrorCode { code: 1, name: "access-denied", message: "" })"#,
        ]
    );
    assert_eq!(seen(run("looks")), found);
}

#[test]
fn a_plugin_that_tries_more_breaks_itself_only() {
    for (behaviour, says) in [
        ("exits", "the plugin trapped: "),
        ("exits", "it exits with an error"),
        ("wants-much-randomness", "asks for 18446744073709551615 random bytes"),
        ("waits", "more than 300 ms of CPU time"),
        // What it wrote last to its standard error says why; control characters are gone.
        ("panics-aloud", "it said: Traceback: /   somewhere / ValueError:  [31mno such thing"),
    ] {
        let outcome = run(behaviour);
        let reason = outcome.failed.unwrap().reasons.value(0).to_owned();
        assert!(reason.contains(says), "{behaviour}: {reason} does not say {says}");
    }
}

#[test]
fn output_beyond_the_limit_is_left_out() {
    assert_eq!(seen(run("floods-its-output")), ["done"]);
}
