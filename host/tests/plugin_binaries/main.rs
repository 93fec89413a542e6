//! Damaged components: whatever the file is, loading, opening and running it ends in a plugin that works or in an error, in
//! bounded time.
//!
//! `SLUICEBOX_FUZZ_SECONDS=600 cargo test --workspace --test plugin_binaries -- --nocapture` goes on for ten minutes. The
//! file that is tried lies in `target/fuzz`, and stays there if it breaks the host: `SLUICEBOX_FUZZ_FILE` tries it again.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may, as tests do")]

#[path = "../components/mod.rs"]
mod components;
mod damage;
#[path = "../fuzzing/dice.rs"]
mod dice;
#[path = "../fuzzing/seeds.rs"]
mod seeds;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use serde_json::json;
use sluicebox::plugin::{Engine, EngineSettings, Limits, OnError, Rows, Step, StepSettings, thread_cpu_time};

use self::components::{bundled, component};
use self::damage::damaged;

/// On its thread; compiling takes more, on others.
const MOST_CPU: Duration = Duration::from_secs(30);

fn rows() -> RecordBatch {
    let offsets: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let names: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("c")]));
    RecordBatch::try_from_iter([("_offset", offsets.clone()), ("id", offsets), ("name", names)]).unwrap()
}

/// Whether it is a plugin that can be opened.
fn try_file(engine: &Engine, path: &Path) -> bool {
    let started = thread_cpu_time();
    let limits = Limits { memory: 16 << 20, cpu: Duration::from_millis(300), ..Limits::default() };
    let limits = Limits { search_cpu: Duration::from_secs(1), ..limits };
    let opened = engine.load(path, None).and_then(|plugin| {
        let settings = StepSettings {
            layer: "silver".into(),
            step: "damaged".into(),
            config: json!({ "behaviour": "well", "keep": { "column": "id", "gt": 0 } }),
            limits,
            on_error: OnError::SetAside,
            grants: Arc::default(),
        };
        // The schema of its configuration may want other keys: without any it is opened all the same.
        let schema = rows().schema();
        let bare = StepSettings { config: json!({}), ..settings.clone() };
        Step::open(plugin.clone(), settings, &schema).or_else(|_| Step::open(plugin, bare, &schema))
    });
    let is_open = opened.is_ok();
    match opened {
        Ok(mut step) => match step.run(Rows::new(rows()), None) {
            Ok(outcome) => {
                for column in outcome.rows.into_batch().columns() {
                    column.to_data().validate_full().unwrap();
                }
                // What it says of its state counts too.
                drop(step.changes());
            }
            Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
        },
        Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
    }
    let took = thread_cpu_time().saturating_sub(started);
    assert!(took < MOST_CPU, "it took {took:?} of CPU time");
    is_open
}

#[test]
fn whatever_the_file_is_the_host_lives() {
    let engine = Engine::new(&EngineSettings { max_instances: 20, ..EngineSettings::default() }).unwrap();
    if let Some(file) = std::env::var_os("SLUICEBOX_FUZZ_FILE") {
        try_file(&engine, Path::new(&file));
        return;
    }
    let sound: Vec<Vec<u8>> = ["hostile-transform", "hostile-aggregate", "hostile-records", "hostile-wasi"]
        .map(component)
        .into_iter()
        .chain([bundled("filter")])
        .map(|path| std::fs::read(path).unwrap())
        .collect();
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/fuzz"));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join(format!("plugin-binary-{}.wasm", std::process::id()));
    seeds::fuzz("plugin-binary", |seed| {
        std::fs::write(&file, damaged(seed, &sound)).unwrap();
        try_file(&engine, &file)
    });
    std::fs::remove_file(&file).unwrap();
}
