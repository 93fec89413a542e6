//! Workers as processes: started, watched, stopped, frozen and killed by their id.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// Makes a worker abort at a named point: `before_entry`, or `before_entry#3` for the third time.
const CRASH_AT: &str = "SLUICEBOX_CRASH_AT";

/// How long a worker may take for what a test asked of it.
const PATIENCE: Duration = Duration::from_secs(120);

/// Lines of the log in an error.
const LOG_TAIL: usize = 60;

/// A worker that is about to be started.
#[derive(Debug)]
pub struct Launch {
    name: String,
    command: Command,
    log: PathBuf,
    crash_at: Option<String>,
}

impl Launch {
    /// `log` gets what the worker writes to standard error.
    pub(crate) fn new(name: &str, command: Command, log: PathBuf) -> Self {
        Self { name: name.to_owned(), command, log, crash_at: None }
    }

    /// The worker stops by itself after everything that was in the topic at its start.
    pub fn until_caught_up(mut self) -> Self {
        self.command.arg("--until-caught-up");
        self
    }

    /// The worker aborts at `point` (`SLUICEBOX_CRASH_AT`).
    pub fn crash_at(mut self, point: &str) -> Self {
        self.command.env(CRASH_AT, point);
        self.crash_at = Some(point.to_owned());
        self
    }

    pub fn start(mut self) -> Result<Worker> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let spawned = self.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn();
        let mut child = spawned.with_context(|| format!("worker {}", self.name))?;
        let output = child.stdout.take().context("standard output is piped")?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Worker {
            name: self.name,
            child,
            lines,
            printed: Vec::new(),
            log: self.log,
            crash_at: self.crash_at,
        })
    }
}

/// A running worker. Dropping it kills it.
#[derive(Debug)]
pub struct Worker {
    name: String,
    child: Child,
    /// Its standard output; disconnected when the process has ended.
    lines: Receiver<String>,
    printed: Vec<String>,
    log: PathBuf,
    crash_at: Option<String>,
}

impl Worker {
    /// Waits until the worker ends by itself, without an error. Returns the last line that it printed.
    pub fn expect_success(self) -> Result<String> {
        Ok(self.expect_lines()?.pop().unwrap_or_default())
    }

    /// The same, with all lines that it printed.
    pub fn expect_lines(mut self) -> Result<Vec<String>> {
        let status = self.wait()?;
        ensure!(status.success(), "worker {} failed ({status}):\n{}", self.name, self.log_tail());
        Ok(std::mem::take(&mut self.printed))
    }

    /// Waits until the worker stops with an error. Returns the end of its log.
    pub fn expect_failure(mut self) -> Result<String> {
        let status = self.wait()?;
        ensure!(status.code() == Some(1), "worker {} ended with {status}:\n{}", self.name, self.log_tail());
        Ok(self.log_tail())
    }

    /// Waits for the crash that was ordered. It is an error if the worker ends otherwise, for then
    /// the point was not reached and the test tests nothing.
    pub fn expect_crash(mut self) -> Result<()> {
        let status = self.wait()?;
        let point = self.crash_at.as_deref().unwrap_or("no point");
        let log = self.log_tail();
        ensure!(status.signal() == Some(libc::SIGABRT), "no crash at {point} ({status}):\n{log}");
        Ok(())
    }

    /// SIGTERM: the worker commits its open epoch and leaves. Returns the last line that it printed.
    pub fn stop(self) -> Result<String> {
        self.signal(libc::SIGTERM)?;
        self.expect_success()
    }

    /// The same, with all lines that it printed.
    pub fn stop_with_lines(self) -> Result<Vec<String>> {
        self.signal(libc::SIGTERM)?;
        self.expect_lines()
    }

    /// Waits until the worker has logged `text`.
    pub fn wait_for_log(&self, text: &str) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !fs::read_to_string(&self.log)?.contains(text) {
            ensure!(Instant::now() < deadline, "worker {}: no `{text}`:\n{}", self.name, self.log_tail());
            // Files tell nobody on their own.
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// [`stop`](Self::stop), for a worker that was to catch up and has not yet: its exit code says so.
    pub fn stop_short(mut self) -> Result<String> {
        self.signal(libc::SIGTERM)?;
        let status = self.wait()?;
        ensure!(status.code() == Some(3), "worker {} ended with {status}:\n{}", self.name, self.log_tail());
        Ok(self.printed.pop().unwrap_or_default())
    }

    /// `kill -9`.
    pub fn kill(mut self) -> Result<()> {
        ensure!(self.child.try_wait()?.is_none(), "worker {} had ended:\n{}", self.name, self.log_tail());
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGSTOP: the worker does nothing any more, and does not know it.
    pub fn freeze(&self) -> Result<()> {
        self.signal(libc::SIGSTOP)
    }

    /// SIGCONT.
    pub fn thaw(&self) -> Result<()> {
        self.signal(libc::SIGCONT)
    }

    /// SIGHUP: the worker takes up a changed pipeline file.
    pub fn hang_up(&self) -> Result<()> {
        self.signal(libc::SIGHUP)
    }

    /// Resident memory, in bytes.
    pub fn resident_bytes(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kibibytes << 10)
    }

    fn signal(&self, signal: i32) -> Result<()> {
        // SAFETY: no memory is involved. The child was not waited for, so the id is still its own.
        let outcome = unsafe { libc::kill(self.child.id() as i32, signal) };
        ensure!(outcome == 0, "signal {signal} did not reach worker {}", self.name);
        Ok(())
    }

    fn wait(&mut self) -> Result<ExitStatus> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.printed.push(line),
                Err(RecvTimeoutError::Disconnected) => return Ok(self.child.wait()?),
                Err(RecvTimeoutError::Timeout) => {
                    let log = self.log_tail();
                    bail!("worker {} still runs after {} s:\n{log}", self.name, PATIENCE.as_secs());
                }
            }
        }
    }

    fn log_tail(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL)..].join("\n")
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Result<(Worker, tempfile::TempDir)> {
        let dir = tempfile::tempdir()?;
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let worker = Launch::new("shell", command, dir.path().join("log")).start()?;
        Ok((worker, dir))
    }

    #[test]
    fn the_last_line_is_returned_and_failures_carry_the_log() -> Result<()> {
        let (worker, _dir) = shell("echo first; echo last")?;
        assert_eq!(worker.expect_success()?, "last");
        let (worker, _dir) = shell("echo why it failed >&2; exit 3")?;
        let error = worker.expect_success().expect_err("exit code 3").to_string();
        assert!(error.contains("why it failed"), "{error}");
        Ok(())
    }

    #[test]
    fn only_an_abort_is_the_crash_that_was_ordered() -> Result<()> {
        let (worker, _dir) = shell("kill -ABRT $$")?;
        worker.expect_crash()?;
        let (worker, _dir) = shell("exit 0")?;
        assert!(worker.expect_crash().is_err());
        let (worker, _dir) = shell("exec sleep 60")?;
        worker.kill()
    }

    #[test]
    fn a_thawed_worker_still_stops() -> Result<()> {
        let (worker, _dir) = shell("trap 'echo stopped; exit 0' TERM; while :; do sleep 0.05; done")?;
        worker.freeze()?;
        worker.thaw()?;
        // The trap may not be set yet; either way the signal ends the process.
        let _ = worker.stop();
        Ok(())
    }
}
