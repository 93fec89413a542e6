//! Compiling components, apart from the process that runs them: the compiler's time and memory grow faster
//! than its input, and the input is not trusted.

use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// Its arguments are seconds of CPU time and bytes of memory.
const CHILD_COMMAND: &str = "compile-plugin";

/// Where components are compiled.
#[derive(Debug, Clone)]
pub enum Compiler {
    InProcess,
    /// By `program compile-plugin`, which calls [`run_child`].
    Child {
        program: PathBuf,
        limits: CompileLimits,
    },
}

/// What compiling one component may take.
#[derive(Debug, Clone, Copy)]
pub struct CompileLimits {
    /// Over all cores; rounded up to seconds.
    pub cpu: Duration,
    /// Bytes of memory, writable and private.
    pub memory: u64,
    pub wall: Duration,
}

impl Default for CompileLimits {
    /// Enough for the runtime of a scripting language, of some 20 MB.
    fn default() -> Self {
        Self { cpu: Duration::from_secs(180), memory: 4 << 30, wall: Duration::from_secs(180) }
    }
}

impl Compiler {
    /// The component's machine code, as `engine` loads it; or why there is none.
    pub(super) fn compile(&self, engine: &wasmtime::Engine, component: &[u8]) -> Result<Vec<u8>, String> {
        match self {
            Self::InProcess => engine.precompile_component(component).map_err(|error| format!("{error:#}")),
            Self::Child { program, limits } => {
                let mut command = Command::new(program);
                command.arg(CHILD_COMMAND);
                command.args([limits.cpu.as_secs_f64().ceil().to_string(), limits.memory.to_string()]);
                // Nothing of the host's secrets goes to where hostile bytes are read.
                command.env_clear().current_dir("/");
                let child =
                    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
                let child = child.map_err(|error| format!("cannot start {}: {error}", program.display()))?;
                supervise(child, component, limits)
            }
        }
    }
}

fn supervise(mut child: Child, component: &[u8], limits: &CompileLimits) -> Result<Vec<u8>, String> {
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(mut input), Some(mut output), Some(errors)) = pipes else {
        return Err("the compiler has no pipes".to_owned());
    };
    thread::scope(|scope| {
        let (done, wait) = channel();
        let code = scope.spawn(move || {
            let mut code = Vec::new();
            let read = output.read_to_end(&mut code).map(|_| code);
            // Nobody waits any more once the child was killed.
            let _ = done.send(());
            read
        });
        let said = scope.spawn(move || {
            let mut said = Vec::new();
            errors.take(4096).read_to_end(&mut said).map(|_| String::from_utf8_lossy(&said).trim().to_owned())
        });
        // A child that ends early does not read it all, and says why.
        scope.spawn(move || input.write_all(component));
        let in_time = wait.recv_timeout(limits.wall).is_ok();
        if !in_time {
            // It may just have ended by itself.
            let _ = child.kill();
        }
        let status = child.wait().map_err(|error| format!("the compiler is lost: {error}"))?;
        let said = said.join().ok().and_then(io::Result::ok).unwrap_or_default();
        match code.join() {
            Ok(Ok(code)) if status.success() => Ok(code),
            _ if !in_time => Err(format!("compiling it took more than {} s", limits.wall.as_secs())),
            _ => Err(cause(status, &said, limits)),
        }
    })
}

fn cause(status: ExitStatus, said: &str, limits: &CompileLimits) -> String {
    let (cpu, memory) = (limits.cpu.as_secs_f64().ceil(), limits.memory);
    match (status.code(), status.signal()) {
        (Some(1), _) => said.to_owned(),
        (_, Some(libc::SIGXCPU | libc::SIGKILL)) => {
            format!("compiling it took more than {cpu} s of CPU time")
        }
        _ => format!("the compiler, which may use {memory} bytes of memory, failed ({status}): {said}"),
    }
}

/// The child: a component from standard input, its code to standard output. The limits hold from here on.
pub fn run_child(cpu_seconds: u64, memory: u64) -> io::Result<()> {
    limit(libc::RLIMIT_CPU, cpu_seconds)?;
    limit(libc::RLIMIT_DATA, memory)?;
    limit(libc::RLIMIT_CORE, 0)?;
    let mut component = Vec::new();
    io::stdin().read_to_end(&mut component)?;
    let engine = super::engine::compiling().map_err(io::Error::other)?;
    let code =
        engine.precompile_component(&component).map_err(|error| io::Error::other(format!("{error:#}")))?;
    io::stdout().write_all(&code)
}

fn limit(resource: libc::__rlimit_resource_t, most: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
    // SAFETY: the call reads the struct, which lives until it returns.
    match unsafe { libc::setrlimit(resource, &limit) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
