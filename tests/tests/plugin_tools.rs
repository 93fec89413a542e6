//! `sluicebox plugin …` as a user calls it, on bundled and hostile components.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use serde_json::Value;
use sluicebox::plugin::CONTRACT_VERSION;
use sluicebox_tests::program::{Said, assert_says, hostile_component, sluicebox};

/// The folder of the cases.
fn cases() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/plugin_cases"))
}

fn call(arguments: &[&str]) -> Result<Said> {
    sluicebox(cases(), arguments)
}

fn call_json(arguments: &[&str]) -> Result<Value> {
    let said = call(arguments)?;
    ensure!(said.code == Some(0), "{said:?}");
    Ok(serde_json::from_str(&said.output)?)
}

/// Runs cases that are written here, against hostile components.
fn test_cases(text: &str) -> Result<Said> {
    let folder = tempfile::tempdir()?;
    let text = text
        .replace("$TRANSFORM", &hostile_component("hostile-transform")?)
        .replace("$AGGREGATE", &hostile_component("hostile-aggregate")?);
    fs::write(folder.path().join("cases.yaml"), text)?;
    sluicebox(folder.path(), &["plugin", "test", "cases.yaml"])
}

#[test]
fn inspect_tells_what_a_plugin_is_and_asks() -> Result<()> {
    let said = call(&["plugin", "inspect", "window"])?;
    assert_eq!(said.code, Some(0), "{said:?}");
    let contract = format!("sluicebox:plugin@{CONTRACT_VERSION}");
    for part in ["window 0.1.0", "aggregate, with state", &contract, "no functions"] {
        said.line_with(part)?;
    }
    let line = said.line_with("  aggregates")?;
    assert!(line.contains("list of mapping") && line.contains("required"), "{line}");

    let all = call_json(&["plugin", "inspect", "--json", &hostile_component("hostile-transform")?])?;
    assert_eq!((&all["name"], &all["kind"]), (&"hostile-transform".into(), &"transform".into()));
    assert_eq!(all["stateful"], false);
    assert_eq!(all["sha256"].as_str().map(str::len), Some(64));
    assert_eq!(all["config_schema"]["required"][0], "behaviour");
    assert_eq!(all["imports"][0]["interface"], format!("sluicebox:plugin/log@{CONTRACT_VERSION}"));
    assert!(all["size"].as_u64() > Some(10_000));
    Ok(())
}

#[test]
fn what_is_no_plugin_of_this_contract_is_told_so() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = |name: &str, bytes: &[u8]| -> Result<String> {
        let path = folder.path().join(name);
        fs::write(&path, bytes)?;
        Ok(path.display().to_string())
    };
    // The same component under another version of the contract.
    let mut other = fs::read(hostile_component("hostile-transform")?)?;
    let version = format!("sluicebox:plugin/describe@{CONTRACT_VERSION}").into_bytes();
    let another = [&version[..version.len() - 1], b"9"].concat();
    let places: Vec<usize> =
        (0..other.len() - version.len()).filter(|at| other[*at..].starts_with(&version)).collect();
    ensure!(!places.is_empty(), "the component does not name the contract");
    for at in places {
        other[at..at + version.len()].copy_from_slice(&another);
    }
    let other_version =
        String::from_utf8_lossy(&another[another.len() - CONTRACT_VERSION.len()..]).into_owned();
    let told = format!(
        "built for sluicebox:plugin@{other_version}, this host runs sluicebox:plugin@{CONTRACT_VERSION}"
    );
    for (path, says) in [
        (file("core.wasm", b"\0asm\x01\0\0\0")?, "it is a core module"),
        (file("script.wasm", b"#!/bin/sh")?, "it does not begin as WebAssembly does"),
        (file("empty.wasm", b"\0asm\x0d\0\x01\0")?, "does not export `sluicebox:plugin/describe`"),
        (file("other.wasm", &other)?, told.as_str()),
        ("absent.wasm".to_owned(), "cannot read the plugin"),
        ("filtre".to_owned(), "no bundled plugin `filtre`"),
    ] {
        let said = call(&["plugin", "inspect", &path])?;
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.errors.contains(says), "{said:?} does not say {says}");
    }
    Ok(())
}

#[test]
fn the_cases_of_the_bundled_plugins_pass() -> Result<()> {
    let files = ["cleanse.yaml", "dedupe.yaml", "filter.yaml", "window.yaml"];
    let said = call(&[&["plugin", "test"][..], &files].concat())?;
    assert_eq!(said.code, Some(0), "{said:?}");
    said.line_with("7 cases: 7 passed, 0 failed")?;
    let said = call(&["plugin", "test", "filter.yaml", "--only", "by a rule"])?;
    said.line_with("1 cases: 1 passed")?;
    Ok(())
}

/// A case that fails says where it stands and what came instead.
#[test]
fn differences_are_told_by_row_and_column() -> Result<()> {
    let said = test_cases(
        "plugin: filter\nconfig: { keep: { column: n, gt: 1 } }\ncases:\n\
         - name: passes\n  input: [{ n: 2 }]\n  expect: { kept: 1 }\n\
         - name: fails\n  input: [{ n: 2, t: a }, { n: 1, t: b }, { n: 3, t: c }]\n  \
         expect: { kept: [{ n: 2, t: A }, { n: 3 }, { n: 4 }] }\n",
    )?;
    assert_eq!(said.code, Some(1), "{said:?}");
    for part in [
        "ok    passes",
        "FAIL  fails (cases.yaml:7)",
        "row 1: `t` is \"a\", expected \"A\"",
        "missing {\"n\":4}",
        "dropped: 1 rows, expected 0",
        "unexpected {\"n\":1,\"t\":\"b\"}",
        "2 cases: 1 passed, 1 failed",
    ] {
        said.line_with(part)?;
    }
    Ok(())
}

#[test]
fn a_malformed_file_of_cases_is_told_by_line_and_column() -> Result<()> {
    for (text, says) in [
        (
            "plugin: filter\ncases:\n- name: a\n  input: []\n  expects: {}\n",
            "cases.yaml:5:3: cases[0].expects: unknown key",
        ),
        ("plugin: filter\ncases: [\n", "cases.yaml:"),
        (
            "plugin: filter\ncases:\n- name: a\n  input: [{_topic: t}]\n  expect: {}\n",
            "cases[0].input[0]._topic",
        ),
    ] {
        let said = test_cases(text)?;
        assert_eq!(said.code, Some(2), "{said:?}");
        assert!(said.errors.contains(says), "{said:?} does not say {says}");
    }
    Ok(())
}

/// A plugin that emits whatever it has after each call depends on how its rows are cut, which is told; unless the file
/// says that it may.
#[test]
fn a_plugin_whose_rows_depend_on_batches_is_caught() -> Result<()> {
    let cases = "plugin: $AGGREGATE\nevent_time: { column: at, delay: 0s }\ncolumns: { at: timestamp }\ncases:\n\
                 - name: counts\n  input:\n  - { id: 1, at: \"2026-01-01T00:00:00Z\" }\n  \
                 - { id: 1, at: \"2026-01-01T00:00:01Z\" }\n  expect: { new: [{ id: 1, count: 2 }] }\n";
    let said = test_cases(cases)?;
    assert_eq!(said.code, Some(1), "{said:?}");
    said.line_with("its rows depend on batches; row by row:")?;
    said.line_with("another new row {\"id\":1,\"count\":1}")?;
    ensure!(!said.output.contains("all rows in one batch"), "the case is one batch: {said:?}");
    let said = test_cases(&format!("cuts: as_written\n{cases}"))?;
    assert_eq!(said.code, Some(0), "{said:?}");
    Ok(())
}

/// State that does not come back as it was is caught by the restores between batches.
#[test]
fn a_plugin_that_cannot_be_restored_is_caught() -> Result<()> {
    let said = test_cases(
        "plugin: $AGGREGATE\nconfig: { behaviour: restore-fails }\ncases:\n\
         - name: counts\n  input: [{ id: 1 }, { id: 2 }]\n  expect: {}\n",
    )?;
    assert_eq!(said.code, Some(1), "{said:?}");
    said.line_with("row by row, its state restored between batches:")?;
    said.line_with("restoring the state: ")?;
    Ok(())
}

/// Rows that break a plugin are a fate of their own, and a plugin that refuses to start is an expected error.
#[test]
fn traps_errors_and_refusals_can_be_expected() -> Result<()> {
    let said = test_cases(
        "plugin: $TRANSFORM\nlimits: { time: 300ms, memory: 16MiB }\ncases:\n\
         - name: traps\n  config: { behaviour: traps-on-id, id: 2 }\n  input: [{ id: 1 }, { id: 2 }, { id: 3 }]\n  \
         expect: { kept: 2, failed: [{ reason: trapped, row: { id: 2 } }] }\n\
         - name: spins\n  config: { behaviour: spins-on-id, id: 2 }\n  input: [{ id: 1 }, { id: 2 }]\n  \
         expect: { kept: 1, failed: [{ reason: 300 ms of CPU time }] }\n\
         - name: grows\n  config: { behaviour: grows-on-id, id: 2 }\n  input: [{ id: 1 }, { id: 2 }]\n  \
         expect: { kept: 1, failed: [{ reason: 16777216 bytes of memory }] }\n\
         - name: refuses\n  config: { behaviour: schema-error }\n  input: [{ id: 1 }]\n  \
         expect: { error: no such column }\n\
         - name: lies\n  config: { behaviour: reads-twice }\n  input: [{ id: 1 }]\n  expect: { error: twice }\n",
    )?;
    assert_eq!(said.code, Some(0), "{said:?}");
    let said = test_cases(
        "plugin: $AGGREGATE\nconfig: { behaviour: traps-on-id, id: 2 }\ncases:\n\
         - name: breaks with state\n  input: [{ id: 2 }]\n  expect: { error: trapped }\n\
         - name: is not expected\n  input: [{ id: 2 }]\n  expect: {}\n",
    )?;
    assert_eq!(said.code, Some(1), "{said:?}");
    said.line_with("ok    breaks with state")?;
    said.line_with("at rows 0..1: the plugin trapped")?;
    Ok(())
}

/// Each row has a line with its fate; a changed cell shows both values, and records that are no rows are told.
#[test]
fn run_shows_rows_before_and_after() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let rows = "{\"machine\": \"m-1\", \"status\": \" ok \", \"celsius\": \"20.5\"}\nno json\n\
                {\"machine\": \"m-2\", \"status\": \"warn\", \"celsius\": \"warm\"}\n";
    fs::write(folder.path().join("rows.jsonl"), rows)?;
    let config = "steps: [{trim: [status]}, {cast: {column: celsius, to: float64}}, {rename: {from: machine, to: device}}]";
    fs::write(folder.path().join("config.yaml"), config)?;
    let arguments = ["plugin", "run", "cleanse", "--input", "rows.jsonl", "--config", "config.yaml"];
    let said = sluicebox(folder.path(), &arguments)?;
    assert_eq!(said.code, Some(0), "{said:?}");
    let lines: Vec<&str> = said.output.lines().collect();
    assert_eq!(
        lines[..3],
        [
            "row  fate      -machine  status       celsius        +device",
            "0    kept      m-1       \" ok \" → ok  \"20.5\" → 20.5  m-1",
            "2    rejected  m-2       warn         warm",
        ]
    );
    assert!(lines[3].starts_with("     cast: "), "{said:?}");
    assert!(lines[4].starts_with("record 1 cannot be decoded: "), "{said:?}");
    assert_eq!(lines.last(), Some(&"1 kept, 1 rejected, 1 undecodable"));

    let json = sluicebox(folder.path(), &[&arguments[..], &["--output", "json"]].concat())?;
    let all: Value = serde_json::from_str(&json.output)?;
    assert_eq!(all["rows"][0]["after"]["celsius"], 20.5);
    assert_eq!((&all["rows"][1]["row"], &all["rows"][1]["rule"]), (&2.into(), &"cast".into()));
    assert_eq!(all["undecodable"][0]["row"], 1);
    assert_eq!(all["counts"]["kept"], 1);
    Ok(())
}

#[test]
fn run_takes_settings_event_times_and_limits() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let rows: String =
        (0..90).map(|n| format!("{{\"at\": \"2026-01-01T00:{:02}:{:02}Z\"}}\n", n / 60, n % 60)).collect();
    fs::write(folder.path().join("rows.jsonl"), rows)?;
    let arguments = [
        "plugin",
        "run",
        "window",
        "--input",
        "rows.jsonl",
        "--column",
        "at=timestamp",
        "--event-time",
        "at",
        "--delay",
        "5s",
        "-c",
        "time=at",
        "-c",
        "size=1m",
        "-c",
        "aggregates=[{name: n, function: count}]",
        "--output",
        "json",
    ];
    let run = |more: &[&str]| -> Result<Value> {
        let said = sluicebox(folder.path(), &[&arguments[..], more].concat())?;
        ensure!(said.code == Some(0), "{said:?}");
        Ok(serde_json::from_str(&said.output)?)
    };
    let all = run(&[])?;
    assert_eq!((&all["new"][0]["n"], all["counts"]["used"].as_u64()), (&60.into(), Some(90)));
    assert_eq!(all["new"][1]["n"], 30, "the stream ends after its rows");
    let open_ended = run(&["--open-ended"])?["new"].clone();
    assert_eq!((open_ended.as_array().map(Vec::len), &open_ended[0]["n"]), (Some(1), &60.into()));
    assert_eq!(run(&["--limit", "60", "--open-ended"])?["new"], Value::Array(Vec::new()));
    let said = sluicebox(folder.path(), &[&arguments[..], &["-c", "sise=1m"]].concat())?;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.errors.contains("sise"), "{said:?}");
    Ok(())
}

/// A file without rows is told as such, and not by a plugin that misses its columns.
#[test]
fn run_refuses_a_file_without_rows() -> Result<()> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("empty.jsonl"), "\n")?;
    fs::write(folder.path().join("nonsense.jsonl"), "one\ntwo\n")?;
    for (file, says) in
        [("empty.jsonl", "there are no rows in it"), ("nonsense.jsonl", "none of its 2 records")]
    {
        let said = sluicebox(folder.path(), &["plugin", "run", "echo", "--input", file])?;
        assert!(said.code == Some(1) && said.errors.contains(says), "{said:?}");
    }
    let said = sluicebox(folder.path(), &["plugin", "run", "echo"])?;
    assert!(said.code == Some(2) && said.errors.contains("--input"), "{said:?}");
    Ok(())
}

/// A plugin that fails its step says why, and a row that breaks a stateless one is a fate.
#[test]
fn run_survives_hostile_plugins() -> Result<()> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("rows.jsonl"), "{\"id\": 1}\n{\"id\": 2}\n")?;
    let (transform, aggregate) =
        (hostile_component("hostile-transform")?, hostile_component("hostile-aggregate")?);
    let run = |plugin: &str, behaviour: &str| {
        let behaviour = format!("behaviour={behaviour}");
        let arguments = ["plugin", "run", plugin, "--input", "rows.jsonl", "-c", &behaviour, "-c", "id=2"];
        sluicebox(folder.path(), &arguments)
    };
    let said = run(&transform, "traps-on-id")?;
    assert_eq!(said.output.lines().last(), Some("1 failed, 1 kept"), "{said:?}");
    for (plugin, behaviour, says) in [
        (&aggregate, "traps-on-id", "the plugin trapped"),
        (&transform, "config-error", "refuses its configuration"),
        (&transform, "many-fields", "the limit is 4096"),
    ] {
        let said = run(plugin, behaviour)?;
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.errors.contains(says), "{said:?} does not say {says}");
    }
    let said = run(&transform, "floods-the-log")?;
    ensure!(said.code == Some(0) && !said.errors.contains("\u{1b}[31m messages"), "{said:?}");
    assert!(said.errors.matches("a flood of").count() <= 64, "{said:?}");
    Ok(())
}

/// The parts add up to the whole, whatever they are on this machine.
#[test]
fn bench_splits_the_time_of_a_row() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let rows: String = (0..2000).map(|n| format!("{{\"n\": {n}.5, \"text\": \"text {n}\"}}\n")).collect();
    fs::write(folder.path().join("rows.jsonl"), rows)?;
    let bench = |plugin: &str, config: &str| -> Result<Value> {
        let arguments = [
            "plugin",
            "bench",
            plugin,
            "--input",
            "rows.jsonl",
            "-c",
            config,
            "--seconds",
            "0.1",
            "--batch-rows",
            "500",
            "--json",
        ];
        let said = sluicebox(folder.path(), &arguments)?;
        ensure!(said.code == Some(0), "{said:?}");
        Ok(serde_json::from_str(&said.output)?)
    };
    for (plugin, config, gives_back) in [
        ("filter", "keep={column: n, gt: 10}", false),
        ("cleanse", "steps=[{upper: [text]}, {add: {column: m, expression: n * 2}}]", true),
    ] {
        let found = bench(plugin, config)?;
        let part = |name: &str| found["ns_per_row"][name].as_f64().unwrap_or(f64::NAN);
        let (inwards, outwards) = (part("boundary_in"), part("boundary_out"));
        assert!(part("total") > 0.0 && inwards > 0.0 && outwards >= 0.0, "{found}");
        let rest = (part("total") - inwards - outwards).max(0.0);
        assert!((part("plugin") - rest).abs() < 1e-6, "{found}");
        assert_eq!(outwards > 0.0, gives_back, "{found}");
        assert!(
            found["memory_bytes"].as_u64() >= Some(1 << 16) && found["turns"].as_u64() >= Some(5),
            "{found}"
        );
        assert_eq!(found["rows"], 2000);
    }
    Ok(())
}

#[test]
fn new_refuses_what_it_does_not_know() -> Result<()> {
    let folder = tempfile::tempdir()?;
    fs::create_dir(folder.path().join("taken"))?;
    for (name, language, kind, code, says) in [
        ("mine", "cobol", "filter", 2, "possible values: rust, python, javascript, c"),
        ("mine", "rust", "sink", 2, "possible values: filter, transform, aggregate"),
        ("Mine", "rust", "filter", 2, "lower-case letters"),
        ("../mine", "rust", "filter", 2, "lower-case letters"),
        ("sluicebox-plugin", "rust", "filter", 2, "choose another name"),
        ("taken", "rust", "filter", 1, "is there already"),
    ] {
        let said =
            sluicebox(folder.path(), &["plugin", "new", name, "--language", language, "--kind", kind])?;
        assert_eq!(said.code, Some(code), "{said:?}");
        assert!(said.errors.contains(says), "{said:?} does not say {says}");
    }
    assert_eq!(fs::read_dir(folder.path())?.count(), 1, "nothing was written");
    let said = sluicebox(folder.path(), &["plugin", "build", "taken"])?;
    assert!(said.code == Some(1) && said.errors.contains("there is no taken/Cargo.toml"), "{said:?}");
    Ok(())
}

/// What no calendar and no number of JSON tells is told all the same, and is not taken for null.
#[test]
fn run_and_test_tell_every_value() -> Result<()> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("rows.jsonl"), "{\"f\": 1.5}\n{\"f\": 0.5}\n")?;
    let columns = "columns=[{name: inf, expression: f * 1e308 * 10}, \
                   {name: at, expression: 'if(f > 1.0, cast(9223372036854775807 as timestamp), null)'}]";
    let run = ["plugin", "run", "derive", "--input", "rows.jsonl", "-c", columns, "--output", "json"];
    let shown = sluicebox(folder.path(), &run)?.success()?;
    assert_says(&shown, "\"inf\":\"Infinity\",\"at\":9223372036854775807");

    let cases = |expected: &str| {
        format!(
            "plugin: derive\nconfig: {{ columns: [{{ name: x, expression: f * 1e308 * 10 }}] }}\n\
             columns: {{ f: float64 }}\ncases:\n  - {{ name: one, input: [{{ f: 1.5 }}], \
             expect: {{ kept: [{{ x: {expected} }}] }} }}\n"
        )
    };
    for (expected, code) in [("Infinity", 0), ("null", 1), ("NaN", 1)] {
        fs::write(folder.path().join("cases.yaml"), cases(expected))?;
        let said = sluicebox(folder.path(), &["plugin", "test", "cases.yaml"])?;
        assert_eq!(said.code, Some(code), "{expected}: {said:?}");
    }
    Ok(())
}

/// The command line is refused before anything is read, and a pipe before anybody waits for it.
#[test]
fn arguments_that_cannot_be_are_refused() -> Result<()> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("rows.jsonl"), "{\"a\": 1}\n")?;
    for (arguments, says) in [
        (&["--column", "a"][..], "no `=`"),
        (&["--column", "a=integer"], "a=integer"),
        (&["--limit", "0"], "at least one row"),
        (&["-c", "keep"], "no `=`"),
    ] {
        let run = [&["plugin", "run", "echo", "--input", "rows.jsonl"], arguments].concat();
        let said = sluicebox(folder.path(), &run)?;
        assert_eq!(said.code, Some(2), "{said:?}");
        assert_says(&said.errors, says);
    }
    let bench = ["plugin", "bench", "echo", "--input", "rows.jsonl", "--seconds", "nan"];
    assert_says(&sluicebox(folder.path(), &bench)?.errors, "a number of seconds");

    for pipe in ["pipe.wasm", "pipe.jsonl"] {
        assert!(Command::new("mkfifo").arg(folder.path().join(pipe)).status()?.success());
    }
    for arguments in [&["inspect", "./pipe.wasm"][..], &["run", "echo", "--input", "pipe.jsonl"]] {
        let said = sluicebox(folder.path(), &[&["plugin"], arguments].concat())?;
        assert_says(&said.errors, "it is a pipe");
    }
    Ok(())
}
