//! The example plugins in languages other than Rust: their tools, their components, their own tests.
//!
//! Tools come from the public registries into `target/`, at the versions that the examples pin. A component is built
//! only if something that goes into it is newer: the runtimes of Python and JavaScript take a while.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result};

use crate::{Workspace, node, python, tools};

/// An example: its source and the world that it is built for.
type Example = (&'static str, &'static str);

const C: [Example; 3] =
    [("unit_price", "transform-plugin"), ("countries", "records-plugin"), ("age", "transform-plugin")];
const JAVASCRIPT: [Example; 3] =
    [("shipment", "transform-plugin"), ("attributes", "records-plugin"), ("stock", "records-plugin")];
const PYTHON: [Example; 3] =
    [("weekday", "transform-plugin"), ("due_date", "records-plugin"), ("exchange", "records-plugin")];

/// What componentize-js puts into a component beyond the least, for the examples that use it.
const FEATURES: [(&str, &[&str]); 1] = [("stock", &["clocks", "http"])];

/// Builds all components, into [`Workspace::language_plugins`].
pub fn build(workspace: &Workspace) -> Result<()> {
    fs::create_dir_all(workspace.language_plugins())?;
    for (source, world) in C {
        Build { workspace, language: "c", source, world }.run(c_component)?;
    }
    for (source, world) in JAVASCRIPT {
        Build { workspace, language: "javascript", source, world }.run(javascript_component)?;
    }
    for (source, world) in PYTHON {
        Build { workspace, language: "python", source, world }.run(python_component)?;
    }
    Ok(())
}

/// Runs the tests that the examples have in their own languages.
pub fn test(workspace: &Workspace) -> Result<()> {
    let (c, c_work) = (workspace.root.join("examples/plugins/c"), workspace.language("c"));
    fs::create_dir_all(&c_work)?;
    let program = c_work.join("test");
    tools::run(Command::new("cc").args(["-Wall", "-Wextra", "-o"]).arg(&program).arg(c.join("test.c")))?;
    tools::run(&mut Command::new(&program))?;

    tools::run(
        Command::new("node").arg("--test").current_dir(workspace.root.join("examples/plugins/javascript")),
    )?;

    let bindings = python_bindings(workspace)?;
    let mut python = Command::new(python_environment(workspace, "python")?);
    python.args(["-m", "unittest", "-q"]).current_dir(workspace.root.join("examples/plugins/python"));
    tools::run(python.env("PYTHONPATH", bindings).env("PYTHONDONTWRITEBYTECODE", "1"))
}

/// One component.
struct Build<'a> {
    workspace: &'a Workspace,
    language: &'static str,
    source: &'static str,
    world: &'static str,
}

impl Build<'_> {
    /// Makes the component unless it is newer than all that goes into it.
    fn run(&self, make: impl Fn(&Self, &Path) -> Result<()>) -> Result<()> {
        let output =
            self.workspace.language_plugins().join(format!("{}.wasm", self.source.replace('_', "-")));
        let inputs = [self.sources(), self.wit(), self.workspace.root.join("xtask/src/languages.rs")];
        let mut newest = SystemTime::UNIX_EPOCH;
        for input in &inputs {
            newest = newest.max(newest_below(input)?);
        }
        if fs::metadata(&output).and_then(|output| output.modified()).is_ok_and(|built| built > newest) {
            return Ok(());
        }
        println!("building {}", output.display());
        fs::create_dir_all(self.work())?;
        let made = self.work().join("made.wasm");
        make(self, &made).with_context(|| format!("cannot build {}", output.display()))?;
        // Put in place whole, so that its age says that it is complete.
        fs::rename(&made, &output).with_context(|| format!("cannot write {}", output.display()))
    }

    fn sources(&self) -> PathBuf {
        self.workspace.root.join("examples/plugins").join(self.language)
    }

    fn wit(&self) -> PathBuf {
        self.workspace.root.join("wit")
    }

    /// Where the language's tools and what they leave behind are.
    fn work(&self) -> PathBuf {
        self.workspace.language(self.language)
    }
}

/// When the newest file in `path` was changed.
fn newest_below(path: &Path) -> Result<SystemTime> {
    let metadata = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut newest = metadata.modified()?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            newest = newest.max(newest_below(&entry?.path())?);
        }
    }
    Ok(newest)
}

/// The interpreter of an environment with the tools that the language's `requirements.txt` pins.
fn python_environment(workspace: &Workspace, language: &str) -> Result<PathBuf> {
    let requirements = workspace.root.join("examples/plugins").join(language).join("requirements.txt");
    python::ensure_environment(&requirements, &workspace.language(language).join("tools"))
}

/// Bindings by wit-bindgen, compiled by Zig's clang against its wasi-libc to a core module, which says its world.
fn c_component(build: &Build<'_>, output: &Path) -> Result<()> {
    let python = python_environment(build.workspace, build.language)?;
    let wit = fs::read_to_string(build.wit().join("plugin.wit"))?;
    let bindings = build.work().join("bindings");
    fs::create_dir_all(&bindings)?;
    for (name, contents) in sluicebox_componentize::c_bindings(&wit, build.world)? {
        fs::write(bindings.join(name), contents)?;
    }
    let name = build.world.replace('-', "_");
    let core = build.work().join("core.wasm");
    let mut zig = Command::new(python);
    zig.args(["-m", "ziglang", "cc", "-target", "wasm32-wasi", "-mexec-model=reactor"]);
    zig.args(["-O2", "-Wall", "-Wextra", "-Wl,--strip-debug", "-Wl,-z,stack-size=1048576"]);
    zig.arg("-I")
        .arg(&bindings)
        .arg("-o")
        .arg(&core)
        .arg(build.sources().join(format!("{}.c", build.source)));
    zig.arg(bindings.join(format!("{name}.c"))).arg(bindings.join(format!("{name}_component_type.o")));
    tools::run(&mut zig)?;
    fs::write(output, sluicebox_componentize::encode(&core)?)?;
    Ok(())
}

/// By componentize-js, beside which the sources must lie for Node to find it.
fn javascript_component(build: &Build<'_>, output: &Path) -> Result<()> {
    let work = build.work();
    for file in fs::read_dir(build.sources())? {
        let file = file?.path();
        fs::copy(&file, work.join(file.file_name().context("a file has a name")?))?;
    }
    node::ensure_packages(&work.join("package.json"), &work)?;
    let mut node = Command::new("node");
    node.current_dir(&work).args(["build.js", &format!("{}.js", build.source), build.world]);
    let features =
        FEATURES.iter().filter(|(source, _)| *source == build.source).flat_map(|(_, features)| *features);
    tools::run(node.arg(build.wit()).arg(output).args(features))
}

fn python_component(build: &Build<'_>, output: &Path) -> Result<()> {
    let mut componentize = componentize_py(build.workspace)?;
    componentize.args(["-w", build.world, "componentize", "-p"]).arg(build.sources());
    tools::run(componentize.arg(build.source).arg("-o").arg(output))
}

/// What the plugins import, for tests without WebAssembly: of both worlds.
fn python_bindings(workspace: &Workspace) -> Result<PathBuf> {
    let bindings = workspace.language("python").join("bindings");
    if bindings.exists() {
        fs::remove_dir_all(&bindings)?;
    }
    let mut componentize = componentize_py(workspace)?;
    for world in BTreeSet::from(PYTHON.map(|(_, world)| world)) {
        componentize.args(["-w", world]);
    }
    tools::run(componentize.arg("bindings").arg(&bindings))?;
    Ok(bindings)
}

fn componentize_py(workspace: &Workspace) -> Result<Command> {
    let python = python_environment(workspace, "python")?;
    let mut componentize = Command::new(python.with_file_name("componentize-py"));
    componentize.arg("-q").arg("-d").arg(workspace.root.join("wit"));
    Ok(componentize)
}
