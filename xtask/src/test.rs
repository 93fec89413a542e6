//! `cargo xtask test`: everything that must hold before a change is merged.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;

use crate::{Workspace, components, demo, kafka, languages, node, python, registry, tools};

/// Checks everything: formatting, lints, unit tests, and the end-to-end tests against a real Kafka.
///
/// Fetches what it needs into `target/`: Apache Kafka from Maven Central (or it uses the broker that
/// SLUICEBOX_TEST_KAFKA names), Python packages, a registry, plugins. Nothing is skipped because something is
/// missing: it is installed, or the run fails and says what to install. Stops at the first failure.
#[derive(Args)]
pub struct Options {
    /// Handed to `cargo test`, for instance `-- --test crashes`
    #[arg(last = true)]
    cargo_test: Vec<String>,
}

pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let mut steps = Steps::default();
    let outcome = run_steps(workspace, options, &mut steps);
    steps.print_table();
    outcome
}

fn run_steps(workspace: &Workspace, options: &Options, steps: &mut Steps) -> Result<()> {
    let external_kafka = std::env::var_os("SLUICEBOX_TEST_KAFKA");
    let libs = match external_kafka {
        Some(_) => None,
        None => Some(steps.run("set-up: Apache Kafka", || kafka::ensure_jars(workspace))?),
    };
    let python = steps.run("set-up: Python", || {
        let requirements = workspace.root.join("tests/python/requirements.txt");
        python::ensure_environment(&requirements, &workspace.target.join("python"))
    })?;

    let azurite = steps.run("set-up: Azurite", || {
        let folder = workspace.target.join("azurite");
        node::ensure_packages(&workspace.root.join("tests/azurite/package.json"), &folder)?;
        Ok(folder.join("node_modules/.bin/azurite-blob"))
    })?;

    let registry = steps.run("set-up: registry", || match std::env::var_os("SLUICEBOX_REGISTRY") {
        Some(program) => Ok(program.into()),
        None => registry::ensure_program(workspace),
    })?;

    steps.run("formatting", || tools::run(tools::cargo(workspace).args(["fmt", "--all", "--check"])))?;
    let all = ["build", "--workspace", "--all-targets"];
    steps.run("build, with lints", || {
        demo::ensure_build_tools()?;
        tools::run(tools::linting_cargo(workspace).args(all))
    })?;
    steps.run("build: standard plugins", || demo::build_plugins(workspace))?;
    steps.run("build: plugins of the tests", || build_test_plugins(workspace))?;
    steps.run("build: other languages", || languages::build(workspace))?;
    steps.run("tests of other languages", || languages::test(workspace))?;

    let mut tests = tools::linting_cargo(workspace);
    tests.args(["test", "--workspace"]).args(&options.cargo_test);
    tests.env("SLUICEBOX_PLUGINS", workspace.plugins()).env("SLUICEBOX_PYTHON", python);
    tests.env("SLUICEBOX_REGISTRY", registry).env("SLUICEBOX_AZURITE", azurite);
    tests.env("SLUICEBOX_COMPONENTS", workspace.test_plugins());
    tests.env("SLUICEBOX_LANGUAGES", workspace.language_plugins());
    if let Some(libs) = libs {
        tests.env("SLUICEBOX_KAFKA_LIBS", libs);
    }
    steps.run("tests", || tools::run(&mut tests))
}

/// Builds what only tests run as components: the hostile plugins and those of the examples.
pub fn build_test_plugins(workspace: &Workspace) -> Result<()> {
    let mut folders = Vec::new();
    for group in ["tests/hostile", "examples/plugins/rust"].map(|group| workspace.root.join(group)) {
        folders.extend(components::packages_in(&group)?.iter().map(|name| group.join(name)));
    }
    components::build(&folders, &workspace.test_plugins())
}

/// The steps so far, with what each took.
#[derive(Default)]
struct Steps {
    done: Vec<(&'static str, Duration, bool)>,
}

impl Steps {
    fn run<T>(&mut self, name: &'static str, step: impl FnOnce() -> Result<T>) -> Result<T> {
        println!("\n=== {name} {}", "=".repeat(70_usize.saturating_sub(name.len())));
        let started = Instant::now();
        let outcome = step();
        self.done.push((name, started.elapsed(), outcome.is_ok()));
        outcome.with_context(|| format!("step `{name}` failed"))
    }

    fn print_table(&self) {
        println!("\n{:<30} {:>9}", "step", "seconds");
        for (name, took, passed) in &self.done {
            let verdict = if *passed { "" } else { "  FAILED" };
            println!("{name:<30} {:>9.1}{verdict}", took.as_secs_f64());
        }
        let total: Duration = self.done.iter().map(|(_, took, _)| *took).sum();
        println!("{:<30} {:>9.1}", "total", total.as_secs_f64());
    }
}
