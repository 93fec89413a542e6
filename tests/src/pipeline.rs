//! A pipeline of one test: a folder with the pipeline file and everything that workers write.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use iot_sensors::events::Stream;
use serde_json::Value;
use tempfile::TempDir;

use crate::broker::Broker;
use crate::oracle::{Oracle, Tally};
use crate::program::Said;
use crate::python;
use crate::tables::{self, Table};
use crate::worker::Launch;

/// The pipeline that most tests run. What differs between them are its `${VARIABLES}`.
pub const SENSORS: &str = include_str!("../pipelines/sensors.yaml");

const COMMIT_TIMEOUT: Duration = Duration::from_secs(60);

/// What a test may choose.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    pub batch_rows: u32,
    pub epoch_ms: u32,
    pub epoch_rows: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { batch_rows: 8192, epoch_ms: 500, epoch_rows: 1_000_000 }
    }
}

/// The folder. It stays, with tables, ledger and logs, unless [`close`](Pipeline::close) is called:
/// what a failed test leaves behind is what one wants to look at.
#[derive(Debug)]
pub struct Pipeline {
    dir: Option<TempDir>,
    file: PathBuf,
    variables: Vec<(String, String)>,
    path: PathBuf,
}

impl Pipeline {
    /// `id` must be unique to the test: the consumer group derives from it.
    pub fn new(id: &str, broker: &Broker, topic: &str, settings: Settings) -> Result<Self> {
        Self::with_file(SENSORS, id, broker, topic, settings)
    }

    /// With a pipeline file of the test's own, in which `${VARIABLES}` mean the same.
    pub fn with_file(file: &str, id: &str, broker: &Broker, topic: &str, settings: Settings) -> Result<Self> {
        let dir = TempDir::with_prefix(format!("sluicebox-{id}-"))?;
        let path = dir.path().canonicalize()?;
        let file_path = path.join("pipeline.yaml");
        fs::write(&file_path, file)?;
        let variables = [
            // Topics are unique, so that an external broker never knows the group from an earlier run.
            ("PIPELINE", format!("{id}-{topic}")),
            ("BOOTSTRAP_SERVERS", broker.bootstrap_servers().to_owned()),
            ("TOPIC", topic.to_owned()),
            ("SESSION_TIMEOUT_MS", broker.min_session_timeout_ms().to_string()),
            ("BATCH_ROWS", settings.batch_rows.to_string()),
            ("EPOCH", format!("{}ms", settings.epoch_ms)),
            ("EPOCH_ROWS", settings.epoch_rows.to_string()),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value)).into();
        Ok(Self { dir: Some(dir), file: file_path, variables, path })
    }

    /// Sets one more variable of the pipeline file.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Changes the pipeline file.
    pub fn rewrite(&self, change: impl FnOnce(String) -> String) -> Result<()> {
        Ok(fs::write(&self.file, change(fs::read_to_string(&self.file)?))?)
    }

    /// Gives the pipeline file another name.
    pub fn rename_file(&mut self, name: &str) -> Result<()> {
        let renamed = self.file.with_file_name(name);
        fs::rename(&self.file, &renamed)?;
        self.file = renamed;
        Ok(())
    }

    pub fn lake(&self) -> PathBuf {
        self.path.join("lake")
    }

    /// Rows of a table.
    pub fn rows(&self, name: &str) -> Result<u64> {
        self.table(name)?.rows()
    }

    pub fn table(&self, name: &str) -> Result<Table> {
        let path = self.lake().join(name);
        Table::open(&path)?.with_context(|| format!("no table in {}", path.display()))
    }

    /// The table's newest version; `None` before it exists.
    pub fn version(&self, table: &str) -> Result<Option<u64>> {
        tables::newest_version(&self.lake().join(table))
    }

    /// Waits until `table` has a newer version than `version`, and returns it.
    pub fn wait_for_commit_after(&self, table: &str, version: Option<u64>) -> Result<u64> {
        let deadline = Instant::now() + COMMIT_TIMEOUT;
        loop {
            match self.version(table)? {
                Some(newest) if Some(newest) > version => return Ok(newest),
                _ if Instant::now() > deadline => bail!("{table}: no commit after version {version:?}"),
                // Whoever commits is another process, on a file system without reliable notification.
                _ => thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// A worker that is about to be started. A worker with the name of one that was killed takes its
    /// place in the consumer group at once (static membership).
    pub fn worker(&self, name: &str) -> Result<Launch> {
        let mut command = self.command(["run"])?;
        command.env("WORKER", name);
        Ok(Launch::new(name, command, self.path.join(format!("{name}.log"))))
    }

    /// Runs a worker until it has caught up, and returns the last line that it printed.
    pub fn catch_up(&self, name: &str) -> Result<String> {
        self.worker(name)?.until_caught_up().start()?.expect_success()
    }

    /// Runs a worker that must stop with an error, and returns the end of its log.
    pub fn fail(&self, name: &str) -> Result<String> {
        self.worker(name)?.until_caught_up().start()?.expect_failure()
    }

    /// The positions of all rows of a table, in order.
    pub fn positions(&self, table: &str) -> Result<Vec<(i32, i64)>> {
        let mut found = Vec::new();
        if let Some(table) = Table::open(&self.lake().join(table))? {
            table.scan(|batch| {
                found.extend(tables::positions(batch)?);
                Ok(())
            })?;
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Waits until the ledger has its first epoch: from then on it says where each partition starts.
    pub fn wait_for_first_positions(&self) -> Result<()> {
        let deadline = Instant::now() + COMMIT_TIMEOUT;
        loop {
            let show = self.command(["ledger", "show"])?.output()?;
            if text(&show).contains(" records") {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "the ledger has no epoch:\n{}", text(&show));
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Everything that must hold of the finished tables: each position in its one place, the ledger's
    /// sums, and gold as another engine computes it.
    pub fn verify(&self, stream: &Stream, ends: &[i64]) -> Result<Tally> {
        let tally = Oracle { stream, ends }.check(&self.lake())?;
        self.audit()?;
        python::check_gold(&self.lake())?;
        Ok(tally)
    }

    /// `sluicebox <words> -f pipeline.yaml`, whatever comes of it.
    pub fn sluicebox(&self, words: &[&str]) -> Result<Said> {
        Ok(Said::of(&self.command(words.iter().copied())?.output()?))
    }

    /// Where the pipeline file lies.
    pub fn folder(&self) -> &Path {
        &self.path
    }

    /// What `sluicebox check` prints, if it passes.
    pub fn check(&self) -> Result<String> {
        let checked = self.command(["check"])?.output()?;
        ensure!(checked.status.success(), "the check failed:\n{}", text(&checked));
        Ok(text(&checked))
    }

    /// The ledger's entries in their order, as its files have them; none before it is begun.
    pub fn entries(&self) -> Result<Vec<Value>> {
        let Ok(folder) = fs::read_dir(self.lake().join("_sluicebox/ledger/entries")) else {
            return Ok(Vec::new());
        };
        let mut files: Vec<_> = folder.map(|file| Ok(file?.path())).collect::<Result<_>>()?;
        files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
        files.sort();
        files.iter().map(|file| Ok(serde_json::from_slice(&fs::read(file)?)?)).collect()
    }

    /// Whether every range, count, file and mark of the ledger is as it must be. Returns what the audit prints.
    pub fn audit(&self) -> Result<String> {
        let audit = self.command(["ledger", "audit"])?.output()?;
        ensure!(audit.status.success(), "the audit failed:\n{}", text(&audit));
        Ok(text(&audit))
    }

    /// Removes the folder.
    pub fn close(mut self) -> Result<()> {
        Ok(self.dir.take().map_or(Ok(()), TempDir::close)?)
    }

    /// `sluicebox <words> -f pipeline.yaml`.
    fn command<'word>(&self, words: impl IntoIterator<Item = &'word str>) -> Result<Command> {
        self.program(words, &self.file)
    }

    /// `sluicebox <words> -f <file>`, where the pipeline is.
    pub fn program<'word>(
        &self,
        words: impl IntoIterator<Item = &'word str>,
        file: &Path,
    ) -> Result<Command> {
        let mut command = Command::new(binary()?);
        command.args(words).arg("-f").arg(file).current_dir(&self.path);
        command.envs(self.variables.iter().cloned()).env("WORKER", "none");
        Ok(command)
    }
}

impl Drop for Pipeline {
    #[expect(clippy::print_stderr, reason = "it belongs to the output of the failed test")]
    fn drop(&mut self) {
        if let Some(dir) = self.dir.take() {
            eprintln!("tables, ledger and logs are kept in {}", dir.keep().display());
        }
    }
}

/// Both streams of a finished command.
fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The worker's binary, beside the folder of the test executables.
fn binary() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let binary = test.parent().and_then(Path::parent).context("no target folder")?.join("sluicebox");
    ensure!(binary.is_file(), "{} is not built: run `cargo xtask test`", binary.display());
    Ok(binary)
}
