//! A registry as a process on loopback: the CNCF's `distribution`, as Debian has it.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

/// Where `cargo xtask test` puts the program.
const PROGRAM: &str = "SLUICEBOX_REGISTRY";
const START_TIMEOUT: Duration = Duration::from_secs(30);

pub const USER: &str = "ann";
pub const PASSWORD: &str = "word";
/// The password as bcrypt has it.
const PASSWORD_FILE: &str = "ann:$2y$05$abcdefghijklmnopqrstuuQDoL5Sa/TtfS/XN4AY/jgq.HBbO1BTu\n";

/// The registry. Its process ends when this is dropped, and what it holds goes with it.
#[derive(Debug)]
pub struct Registry {
    folder: TempDir,
    port: u16,
    process: Child,
}

impl Registry {
    /// One that lets everybody in.
    pub fn start() -> Result<Self> {
        Self::with_access("")
    }

    /// One that wants to see [`USER`] and [`PASSWORD`].
    pub fn with_password() -> Result<Self> {
        Self::with_access("auth: { htpasswd: { realm: tests, path: FOLDER/passwords } }\n")
    }

    fn with_access(access: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let settings = format!(
            "version: 0.1\nlog: {{ accesslog: {{ disabled: true }}, level: error }}\n\
             storage: {{ filesystem: {{ rootdirectory: FOLDER/data }} }}\nhttp: {{ addr: 127.0.0.1:{port} }}\n{access}"
        );
        let settings = settings.replace("FOLDER", &folder.path().display().to_string());
        fs::write(folder.path().join("registry.yaml"), settings)?;
        fs::write(folder.path().join("passwords"), PASSWORD_FILE)?;
        let process = serve(&folder)?;
        let mut registry = Self { folder, port, process };
        registry.wait()?;
        Ok(registry)
    }

    /// Its address, as references have it.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Nobody answers any more.
    pub fn stop(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Goes on at the same address, with what it held.
    pub fn restart(&mut self) -> Result<()> {
        self.process = serve(&self.folder)?;
        self.wait()
    }

    fn wait(&mut self) -> Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            ensure!(self.process.try_wait()?.is_none(), "the registry ended");
            ensure!(Instant::now() < deadline, "the registry does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

fn serve(folder: &TempDir) -> Result<Child> {
    let default =
        || concat!(env!("CARGO_MANIFEST_DIR"), "/../target/registry/usr/bin/docker-registry").into();
    let program: PathBuf = std::env::var_os(PROGRAM).map_or_else(default, PathBuf::from);
    let mut command = Command::new(&program);
    command.arg("serve").arg(folder.path().join("registry.yaml"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().with_context(|| format!("{}: run `cargo xtask test`", program.display()))
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
