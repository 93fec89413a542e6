//! Projects that `sluicebox plugin new` writes, from nothing to a component that passes its cases. They are compiled:
//! dependencies as well, the first time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sluicebox_tests::program::{Said, binaries, languages, sluicebox};

const WALK_THROUGH: &str = include_str!("../../docs/plugin-tools.md");

/// Where all projects are compiled, so that their dependencies are compiled once.
fn shared_target() -> Result<PathBuf> {
    Ok(binaries()?.join("plugin-projects"))
}

/// The workspace's versions of all dependencies: what these tests show must not hang on what was published today.
fn lock(project: &Path) -> Result<()> {
    let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock");
    fs::copy(lock, project.join("Cargo.lock"))?;
    Ok(())
}

fn shell(within: &Path, script: &str) -> Result<Said> {
    let path = std::env::var("PATH").context("PATH")?;
    let mut command = Command::new("sh");
    command.args(["-euc", script]).current_dir(within);
    command.env("PATH", format!("{}:{path}", binaries()?.display()));
    command.env("CARGO_TARGET_DIR", shared_target()?);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO_PKG_")) {
        command.env_remove(name);
    }
    let output = command.env_remove("CARGO_MANIFEST_DIR").output()?;
    Ok(Said::of(&output))
}

/// Each kind of project in Rust: its native tests pass, it becomes a component, and that passes its cases.
#[test]
fn new_projects_in_rust_pass_their_own_tests() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for kind in ["filter", "transform", "aggregate"] {
        let name = format!("my-{kind}");
        let sdk = concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins/sdk");
        let arguments = ["plugin", "new", &name, "--language", "rust", "--kind", kind, "--sdk", sdk];
        let said = sluicebox(folder.path(), &arguments)?;
        ensure!(said.code == Some(0), "{said:?}");
        let project = folder.path().join(&name);
        lock(&project)?;
        let script = "cargo test --quiet\nsluicebox plugin build\nsluicebox plugin test cases.yaml";
        let said = shell(&project, script)?;
        ensure!(said.code == Some(0), "{kind}: {}\n{}", said.output, said.errors);
        said.line_with("0 failed; 0 ignored")?;
        said.line_with(&format!("target/{name}.wasm: {name} 0.1.0, "))?;
        said.line_with("no functions")?;
        let size = fs::metadata(project.join("target").join(format!("{name}.wasm")))?.len();
        assert!((10_000..400_000).contains(&size), "{name}.wasm has {size} bytes");
        said.line_with(" 0 failed")?;

        // A plugin that does otherwise does not pass.
        let source = project.join("src/lib.rs");
        let code = fs::read_to_string(&source)?;
        let broken = match kind {
            "filter" => code.replace("value >= self.at_least", "value < self.at_least"),
            "transform" => code.replace("value * self.factor", "value + self.factor"),
            _ => code.replace("*count += 1", "*count += 2"),
        };
        ensure!(broken != code, "{kind} has nothing to break");
        fs::write(&source, broken)?;
        let said = shell(&project, "sluicebox plugin build\nsluicebox plugin test cases.yaml")?;
        assert_eq!(said.code, Some(1), "{said:?}");
        said.line_with("FAIL  ")?;
    }
    Ok(())
}

/// A language whose projects are built as their README says, with the tools that `cargo xtask languages` has fetched.
struct Language {
    name: &'static str,
    /// The folder of the tools: in a project, and below those of the languages.
    tools: (&'static str, &'static str),
    /// What the native tests print when all is well.
    passed: &'static str,
    logic: &'static str,
    /// The commands of the README that need the logic only.
    native: &'static str,
    /// For each kind, what to replace in the logic so that the tests fail.
    broken: [(&'static str, &'static str); 3],
}

const LANGUAGES: [Language; 3] = [
    Language {
        name: "python",
        tools: (".venv", "python/tools"),
        passed: "OK",
        logic: "src/logic.py",
        native: "PYTHONPATH=src:bindings .venv/bin/python -m unittest",
        broken: [(">= at_least", "> at_least"), ("value * factor", "value + factor"), ("0) + 1", "0) + 2")],
    },
    Language {
        name: "javascript",
        tools: ("node_modules", "javascript/node_modules"),
        passed: "# fail 0",
        logic: "src/logic.js",
        native: "npm test",
        broken: [(">= atLeast", "> atLeast"), ("value * factor", "value + factor"), ("0n) + 1n", "0n) + 2n")],
    },
    Language {
        name: "c",
        tools: (".venv", "c/tools"),
        passed: "passed",
        logic: "logic.h",
        native: "cc -Wall -Wextra -o test test.c && ./test",
        broken: [(">= at_least", "> at_least"), ("* factor", "+ factor"), ("count + 1", "count + 2")],
    },
];

impl Language {
    /// Each kind of project: what its README says to type works, natively and as a component, and its tests can fail.
    fn check(&self) -> Result<()> {
        let folder = tempfile::tempdir()?;
        for (kind, broken) in ["filter", "transform", "aggregate"].into_iter().zip(self.broken) {
            let name = format!("my-{kind}");
            let arguments = ["plugin", "new", &name, "--language", self.name, "--kind", kind];
            let said = sluicebox(folder.path(), &arguments)?;
            ensure!(said.code == Some(0), "{said:?}");
            let project = folder.path().join(&name);
            let (here, there) = self.tools;
            std::os::unix::fs::symlink(languages()?.join(there), project.join(here))?;
            let readme = fs::read_to_string(project.join("README.md"))?;
            let script = readme.split("```sh\n").nth(1).and_then(|rest| rest.split_once("```"));
            // What fetches tools was done before, into the folder that the project's link names.
            let fetches = |line: &&str| {
                ["-m venv", "pip install", "npm install"].iter().any(|what| line.contains(what))
            };
            let script = script.context("the README has no commands")?.0.lines();
            let script = script.filter(|line| !fetches(line)).collect::<Vec<_>>().join("\n");
            ensure!(script.contains(self.native), "{script}");
            let said = shell(&project, &script)?;
            ensure!(said.code == Some(0), "{} {kind}: {}\n{}", self.name, said.output, said.errors);
            ensure!(format!("{}{}", said.output, said.errors).contains(self.passed), "{said:?}");
            said.line_with(" 0 failed")?;

            let logic = project.join(self.logic);
            let code = fs::read_to_string(&logic)?;
            ensure!(code.contains(broken.0), "{} {kind} has nothing to break", self.name);
            fs::write(&logic, code.replacen(broken.0, broken.1, 1))?;
            let said = shell(&project, self.native)?;
            ensure!(said.code != Some(0), "{} {kind}: broken code passes its tests: {said:?}", self.name);
        }
        Ok(())
    }
}

#[test]
fn new_projects_in_python_are_built_as_they_say() -> Result<()> {
    LANGUAGES[0].check()
}

#[test]
fn new_projects_in_javascript_are_built_as_they_say() -> Result<()> {
    LANGUAGES[1].check()
}

#[test]
fn new_projects_in_c_are_built_as_they_say() -> Result<()> {
    LANGUAGES[2].check()
}

/// What the walk-through tells to type works as it says, and shows what it says.
#[test]
fn the_walk_through_can_be_walked() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let blocks: Vec<&str> =
        WALK_THROUGH.split("```sh\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0)).collect();
    assert_eq!(blocks.len(), 3);
    let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock");
    let sdk = concat!("--kind filter --sdk ", env!("CARGO_MANIFEST_DIR"), "/../plugins/sdk");
    let script = blocks
        .concat()
        .replace("--kind filter", sdk)
        .replace("cd too-cold\n", &format!("cd too-cold\ncp '{lock}' Cargo.lock\n"));
    let said = shell(folder.path(), &script)?;
    ensure!(said.code == Some(0), "{}\n{}", said.output, said.errors);
    let shown = WALK_THROUGH
        .split("```\n")
        .find(|block| block.starts_with("row  fate"))
        .context("what `run` shows")?;
    assert!(said.output.contains(shown), "{}", said.output);
    said.line_with("rows per second")?;

    let cases = WALK_THROUGH.split("```yaml\n").nth(1).and_then(|rest| rest.split_once("```"));
    fs::write(folder.path().join("cases.yaml"), cases.context("the file of cases")?.0)?;
    let said = sluicebox(folder.path(), &["plugin", "test", "cases.yaml"])?;
    ensure!(said.code == Some(0), "{said:?}");
    Ok(())
}
