//! `cargo xtask demo`, `cargo xtask test` and `cargo xtask bench`: each does all its own set-up first.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this program talks to people")]

mod bench;
mod components;
mod demo;
mod kafka;
mod languages;
mod node;
mod python;
mod registry;
mod test;
mod tools;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

/// Builds, shows and tests Sluicebox. Everything that is missing is fetched or built into `target/`.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    Demo(demo::Options),
    Test(test::Options),
    Bench(bench::Options),
    /// Builds the standard plugins as components into target/debug/plugins, beside the host, and those of
    /// the tests (hostile ones and examples) into target/plugins
    Components,
    /// Builds the example plugins in C, JavaScript and Python into target/languages, and runs their own tests
    Languages,
}

fn main() -> ExitCode {
    match run(Task::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    let workspace = Workspace::find();
    match task {
        Task::Demo(options) => demo::run(&workspace, &options),
        Task::Test(options) => test::run(&workspace, &options),
        Task::Bench(options) => bench::run(&workspace, &options),
        Task::Components => {
            demo::build_plugins(&workspace)?;
            test::build_test_plugins(&workspace)
        }
        Task::Languages => {
            languages::build(&workspace)?;
            languages::test(&workspace)
        }
    }
}

/// Where things are.
pub struct Workspace {
    pub root: PathBuf,
    pub target: PathBuf,
}

impl Workspace {
    fn find() -> Self {
        let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        root.pop();
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(elsewhere) => root.join(elsewhere),
            None => root.join("target"),
        };
        Self { root, target }
    }

    /// The folder of the host's binary and of the demo's.
    pub fn binaries(&self) -> PathBuf {
        self.target.join("debug")
    }

    /// The folder of the bundled plugins, beside the host's binary.
    pub fn plugins(&self) -> PathBuf {
        self.binaries().join("plugins")
    }

    /// The folder of the plugins that only tests use.
    pub fn test_plugins(&self) -> PathBuf {
        self.target.join("plugins")
    }

    /// The folder of the example plugins in languages other than Rust.
    pub fn language_plugins(&self) -> PathBuf {
        self.target.join("languages")
    }

    /// Where a language's tools are, and what they leave behind.
    pub fn language(&self, language: &str) -> PathBuf {
        self.language_plugins().join(language)
    }
}
