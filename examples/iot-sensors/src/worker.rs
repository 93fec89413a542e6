//! The Sluicebox worker that the demo shows: the binary beside this program, as a child process.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use anyhow::{Context, Result, bail, ensure};

const LOG: &str = "worker.log";

/// A running worker. Dropping it kills it.
pub struct Worker {
    child: Child,
    http_address: SocketAddr,
    log: PathBuf,
}

impl Worker {
    /// Starts `sluicebox run` on the pipeline file in `dir`.
    pub fn start(dir: &Path, bootstrap_servers: &str) -> Result<Self> {
        let http_address = free_address()?;
        let log = dir.join(LOG);
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = sluicebox(dir, &["run"])?;
        command.env("BOOTSTRAP_SERVERS", bootstrap_servers).env("SLUICEBOX_HTTP", http_address.to_string());
        let child =
            command.stdout(output.try_clone()?).stderr(output).spawn().context("cannot run sluicebox")?;
        Ok(Self { child, http_address, log })
    }

    pub fn http_address(&self) -> SocketAddr {
        self.http_address
    }

    pub fn log(&self) -> &Path {
        &self.log
    }

    pub fn check_running(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("the worker has ended ({status})"),
        }
    }

    /// Asks the worker to commit what it has and leave.
    pub fn stop(mut self) -> Result<()> {
        self.check_running()?;
        // SAFETY: no memory is involved. The child was not waited for, so the id is still its own.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGTERM) };
        let status = self.child.wait()?;
        ensure!(status.success(), "the worker stopped with an error ({status}): see {}", self.log.display());
        Ok(())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Prints each table's number of rows, version and columns, and some rows of gold.
pub fn show_tables(dir: &Path) -> Result<()> {
    let status = sluicebox(dir, &["tables", "--rows", "5", "--rows-of", "gold"])?
        .status()
        .context("cannot run sluicebox")?;
    ensure!(status.success(), "`sluicebox tables` failed ({status})");
    Ok(())
}

/// `sluicebox <words> -f pipeline.yaml`
fn sluicebox(dir: &Path, words: &[&str]) -> Result<Command> {
    let program = std::env::current_exe()?.with_file_name("sluicebox");
    ensure!(program.is_file(), "{} is not built: run `cargo xtask demo`", program.display());
    let mut command = Command::new(program);
    command.args(words).arg("-f").arg(dir.join("pipeline.yaml"));
    Ok(command)
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
