//! Components that are expensive to compile harm a child process, not the host.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sluicebox::plugin::{CompileLimits, Compiler, Engine, EngineSettings};

use crate::fixture::component;

fn engine(limits: CompileLimits) -> Engine {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_sluicebox"));
    let compiler = Compiler::Child { program, limits };
    Engine::new(&EngineSettings { compiler, ..EngineSettings::default() }).unwrap()
}

/// Small to store, and long to compile.
fn bomb(directory: &Path) -> PathBuf {
    let body = "local.get 0 i32.const 7 i32.mul local.get 0 i32.add local.set 0 ".repeat(400);
    let functions = format!("(func (param i32) (result i32) {body} local.get 0)").repeat(1000);
    let path = directory.join("bomb.wasm");
    std::fs::write(&path, wat::parse_str(format!("(component (core module {functions}))")).unwrap()).unwrap();
    path
}

#[test]
fn code_from_the_child_runs_here() {
    let plugin = engine(CompileLimits::default()).load(&component("hostile-transform"), None).unwrap();
    assert_eq!(&**plugin.name(), "hostile-transform");
}

#[test]
fn the_compiler_is_ended_at_its_limits() {
    let directory = tempfile::tempdir().unwrap();
    let bomb = bomb(directory.path());
    let refusal = |limits| engine(limits).load(&bomb, None).unwrap_err().to_string();
    let limits = CompileLimits::default();
    let error = refusal(CompileLimits { cpu: Duration::from_secs(1), ..limits });
    assert!(error.contains("more than 1 s of CPU time"), "{error}");
    let error = refusal(CompileLimits { wall: Duration::from_millis(200), ..limits });
    assert!(error.contains("took more than"), "{error}");
    let error = refusal(CompileLimits { memory: 100 << 20, ..limits });
    assert!(error.contains("bytes of memory"), "{error}");
}

#[test]
fn what_is_no_component_is_refused_with_the_compilers_reason() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("text.wasm");
    std::fs::write(&path, "not a component").unwrap();
    let error = engine(CompileLimits::default()).load(&path, None).unwrap_err().to_string();
    assert!(error.contains("not a WebAssembly component"), "{error}");
}
