//! Holds the direction of imports: the modules of the host are layers, and siblings do not know each other.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its sources fails")]

use std::fs;
use std::path::{Path, PathBuf};

/// For each module of the host, the modules that it may name.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("batch", &["progress"]),
    ("capture", &["changes", "plugin", "progress"]),
    ("changes", &[]),
    ("clock", &[]),
    ("generate", &["json"]),
    ("crash", &[]),
    ("json", &[]),
    ("kafka", &[]),
    ("progress", &[]),
    ("registry", &[]),
    ("reference_table", &[]),
    ("schema", &[]),
    ("config", &["registry"]),
    ("decode", &["batch", "json", "progress", "schema"]),
    ("ledger", &["changes", "clock", "progress", "schema"]),
    ("plugin", &["changes", "json", "progress", "reference_table"]),
    ("reference", &["schema", "reference_table", "sink", "storage"]),
    ("sink", &["crash", "json", "kafka", "ledger", "progress", "schema", "storage"]),
    ("source", &["batch", "generate", "kafka", "progress"]),
    ("state", &["changes"]),
    ("storage", &[]),
    ("telemetry", &["progress"]),
    (
        "pipeline",
        &[
            "batch",
            "capture",
            "changes",
            "clock",
            "crash",
            "decode",
            "json",
            "ledger",
            "plugin",
            "progress",
            "reference",
            "reference_table",
            "schema",
            "sink",
            "source",
            "state",
            "telemetry",
        ],
    ),
    (
        "cli",
        &[
            "batch",
            "capture",
            "clock",
            "config",
            "decode",
            "generate",
            "json",
            "kafka",
            "ledger",
            "pipeline",
            "plugin",
            "progress",
            "reference",
            "reference_table",
            "registry",
            "schema",
            "sink",
            "source",
            "state",
            "storage",
            "telemetry",
        ],
    ),
    ("lib", &["cli"]),
    ("main", &["cli"]),
];

/// Crates that few places know.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("rdkafka", &["kafka", "sink/kafka", "source/kafka"]),
    ("wasmtime", &["plugin"]),
    ("deltalake_core", &["sink/delta"]),
    ("delta_kernel", &["sink/delta"]),
    ("axum", &["telemetry"]),
    ("reqwest", &["plugin/wasi/http", "registry"]),
];

fn sources() -> Vec<(PathBuf, String)> {
    fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path.strip_prefix(&root).unwrap().to_owned(), text)
        })
        .collect()
}

/// The names that follow `prefix` in code, comments left out.
fn named<'a>(text: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(move |line| {
        line.match_indices(prefix).map(move |(at, _)| {
            let rest = &line[at + prefix.len()..];
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            &rest[..end]
        })
    })
}

#[test]
fn imports_go_one_way() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let first = path.iter().next().unwrap().to_str().unwrap();
        let module = first.strip_suffix(".rs").unwrap_or(first);
        let Some((_, allowed)) = MAY_NAME.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!("{}: module `{module}` has no place in the layout", path.display()));
            continue;
        };
        for name in named(&text, "crate::") {
            let is_module = MAY_NAME.iter().any(|(module, _)| *module == name);
            if is_module && name != module && !allowed.contains(&name) {
                wrong.push(format!("{}: `{module}` must not name `{name}`", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_heavy_crate_is_known_in_few_places() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        for (name, places) in ONLY_IN {
            let prefix = format!("{name}::");
            let is_known_here = places.iter().any(|place| path.starts_with(place));
            if !is_known_here && text.lines().any(|line| line.trim_start().contains(&prefix)) {
                wrong.push(format!("{}: `{name}` belongs to {}", path.display(), places.join(", ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
