//! The commands: from the pipeline file to parts that run, and back to what a person reads.

mod assemble;
mod audit;
mod check;
mod components;
mod generate;
mod grants;
mod ledger;
mod lock_file;
mod plugin;
mod plugins;
mod references;
mod reload;
mod run;
mod settings;
mod sinks;
mod stores;
mod tables;

use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use tokio::runtime::Runtime;

pub use self::references::form as reference_form;
use crate::plugin::compile_as_child;
use crate::telemetry;

/// How long a command that is done waits for threads that are not.
const LAST_TASKS: Duration = Duration::from_secs(2);

/// Kafka to Delta Lake, through WebAssembly components, exactly once.
///
/// Exit codes: 0 all is well; 1 the pipeline stopped on an error, or a check or an audit found a fault; 2 the
/// command line or the pipeline file is malformed; 3 `run --until-caught-up` was stopped before it had caught up.
#[derive(Debug, Parser)]
#[command(name = "sluicebox", version, max_term_width = 100)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a pipeline until it is stopped (SIGTERM or SIGINT enters the open epoch and leaves; SIGHUP takes up a changed
    /// pipeline file).
    Run(RunArguments),
    /// Checks everything without writing: the file, the plugins, the schema of every layer, broker and storage.
    Check(PipelineFile),
    /// Shows or audits the pipeline's ledger.
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Shows the pipeline's tables: rows, version, columns, first rows.
    Tables {
        #[command(flatten)]
        pipeline: PipelineFile,
        /// Rows to show of each table.
        #[arg(long, default_value_t = 5)]
        rows: usize,
        /// Show rows of this table only, named as its sink.
        #[arg(long, value_name = "NAME")]
        rows_of: Option<String>,
    },
    /// Fills a topic with records that a seed decides. It goes on where the topic ends.
    Generate {
        /// What is generated, and where it goes.
        #[arg(short, long = "file", value_name = "GENERATOR.yaml")]
        file: PathBuf,
    },
    /// Prints the JSON Schema of pipeline files, for editors.
    Schema,
    /// Looks at, tests, tries, measures and makes plugins.
    #[command(subcommand)]
    Plugin(Box<plugin::PluginCommand>),
    /// Compiles a component from standard input, within limits, for the process that runs it.
    #[command(hide = true)]
    CompilePlugin { cpu_seconds: u64, memory: u64 },
}

#[derive(Debug, Args)]
struct PipelineFile {
    /// The pipeline file.
    #[arg(short, long = "file", value_name = "PIPELINE.yaml")]
    file: PathBuf,
}

#[derive(Debug, Args)]
struct RunArguments {
    #[command(flatten)]
    pipeline: PipelineFile,
    /// Stop once everything is committed that was in the topics at the start.
    #[arg(long)]
    until_caught_up: bool,
    /// Put the pipeline file's configuration in force even though the ledger shows that another one took its place.
    #[arg(long)]
    replace_configuration: bool,
    /// The form of the logs on standard error.
    #[arg(long, value_enum, default_value = "human")]
    log_format: telemetry::LogFormat,
}

#[derive(Debug, Subcommand)]
enum LedgerCommand {
    /// Shows entries: who, when, ranges, rows, and what each sink has applied.
    Show {
        #[command(flatten)]
        pipeline: PipelineFile,
        /// How many of the last entries.
        #[arg(long, default_value_t = 20)]
        last: u64,
    },
    /// Checks that all sums balance, every listed file exists, and every sink's mark is explained.
    Audit(PipelineFile),
}

/// Runs the command and says how it went. Errors are printed, never with a backtrace.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let logs_json =
        matches!(&arguments.command, Command::Run(run) if run.log_format == telemetry::LogFormat::Json);
    match dispatch(arguments.command) {
        Ok(code) => code,
        Err(error) => {
            let told = in_full(&error);
            // Who reads logs as JSON must not lose the line that says why they end.
            if logs_json && tracing::dispatcher::has_been_set() {
                tracing::error!("{told}");
            } else {
                print_error(&told);
            }
            let is_usage = error.downcast_ref::<crate::config::ConfigError>().is_some();
            ExitCode::from(if is_usage { 2 } else { 1 })
        }
    }
}

fn dispatch(command: Command) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    run_on(runtime, async {
        match command {
            Command::Run(arguments) => run::run(&arguments).await,
            Command::Check(pipeline) => check::check(&pipeline.file).await,
            Command::Ledger(LedgerCommand::Show { pipeline, last }) => {
                ledger::show(&pipeline.file, last).await
            }
            Command::Ledger(LedgerCommand::Audit(pipeline)) => audit::audit(&pipeline.file).await,
            Command::Tables { pipeline, rows, rows_of } => {
                tables::show(&pipeline.file, rows, rows_of.as_deref()).await
            }
            Command::Generate { file } => generate::generate(&file).await,
            Command::Plugin(command) => command.run().await,
            Command::CompilePlugin { cpu_seconds, memory } => {
                compile_as_child(cpu_seconds, memory)?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Schema => {
                print(&serde_json::to_string_pretty(&crate::config::json_schema().to_value())?);
                Ok(ExitCode::SUCCESS)
            }
        }
    })
}

/// Everything that counts is awaited by the command itself. What else still runs on a thread of its own, such as a plugin with
/// a table that is being tried, holds up nobody who leaves.
fn run_on<T>(runtime: Runtime, command: impl Future<Output = T>) -> T {
    let outcome = runtime.block_on(command);
    runtime.shutdown_timeout(LAST_TASKS);
    outcome
}

/// The error with its causes; a cause that the text before already tells is not told again.
fn in_full(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| match told.as_str() {
        "" => cause,
        before if before.contains(&cause) => told,
        before => format!("{before}: {cause}"),
    })
}

/// What a command answers. Where nobody reads it any more, as behind `head`, the command ends.
fn print(line: &str) {
    match writeln!(std::io::stdout(), "{line}") {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => {
            print_error(&format!("cannot write to standard output: {error}"));
            std::process::exit(1);
        }
    }
}

#[expect(clippy::print_stderr, reason = "errors of a command go to standard error")]
fn print_error(line: &str) {
    eprintln!("error: {line}");
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use anyhow::anyhow;

    use super::*;

    #[test]
    fn nobody_waits_for_what_still_runs_on_a_thread_of_its_own() {
        let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
        let started = Instant::now();
        let seven = run_on(runtime, async {
            tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_secs(60)));
            7
        });
        assert!(seven == 7 && started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_cause_is_told_once() {
        let error = anyhow!("no such file").context("cannot read a.yaml: no such file").context("check");
        assert_eq!(in_full(&error), "check: cannot read a.yaml: no such file");
    }
}
