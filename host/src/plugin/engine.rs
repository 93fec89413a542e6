//! The one WebAssembly engine of a process.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::cache::CodeCache;
use super::compiler::Compiler;
use super::error::PluginError;
use super::limits::{MAX_INSTANCES, MAX_MEMORIES, MAX_TABLES};

/// How often running plugins are looked at. A call may overrun its CPU time by this much.
const TICK: Duration = Duration::from_millis(10);

/// Instances of shadows that may exist at once, beside [`EngineSettings::max_instances`].
pub const MAX_SHADOWS: u32 = 250;

/// Settings of an [`Engine`].
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// Where compiled plugins are kept between starts; only this user may write there. `None` compiles anew.
    pub cache: Option<PathBuf>,
    /// How many instances may exist at once, over all tasks and steps, those of shadows not counted. Address space is
    /// reserved for them, not memory. Default: 1,000.
    pub max_instances: u32,
    pub compiler: Compiler,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self { cache: None, max_instances: 1000, compiler: Compiler::InProcess }
    }
}

/// Compiles and runs plugins. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(super) wasm: wasmtime::Engine,
    pub(super) cache: Option<Arc<CodeCache>>,
    pub(super) compiler: Compiler,
    /// Held by plugins too: a plugin without ticks could not be interrupted.
    pub(super) ticker: Arc<Ticker>,
}

impl Engine {
    /// Starts the engine and its ticker thread.
    pub fn new(settings: &EngineSettings) -> Result<Self, PluginError> {
        let wasm = pooling(settings).or_else(|reason| {
            // Where address space is limited (`ulimit -v`), instances are allocated one by one.
            tracing::warn!(%reason, "no pool of plugin instances: each is allocated by itself");
            compiling()
        });
        let wasm = wasm.map_err(|error| PluginError::Engine(format!("{error:#}")))?;
        let cache = settings
            .cache
            .clone()
            .map(|directory| CodeCache::open(directory, &wasm))
            .transpose()?
            .map(Arc::new);
        let ticker = Arc::new(Ticker::start(wasm.clone())?);
        Ok(Self { wasm, cache, compiler: settings.compiler.clone(), ticker })
    }
}

/// An engine that only compiles, for those above: it reserves no address space.
pub(super) fn compiling() -> wasmtime::Result<wasmtime::Engine> {
    wasmtime::Engine::new(&config())
}

fn config() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        // The same in gives the same out, on every processor.
        .wasm_relaxed_simd(false)
        .cranelift_nan_canonicalization(true)
        .epoch_interruption(true)
        .parallel_compilation(true);
    config
}

fn pooling(settings: &EngineSettings) -> wasmtime::Result<wasmtime::Engine> {
    let instances = settings.max_instances;
    // Runtimes of scripting languages are components of several modules, memories and tables.
    let modules = instances.saturating_mul(4);
    // Shadows must not take anything away from the steps: for them there is the most that an instance may have, which is
    // 16,000 core instances and tables, and 2,000 memories. With 4 GiB for each of these and of the steps' 1,250 that is
    // 13 of the 128 TiB of address space.
    let for_shadows = |most: usize| MAX_SHADOWS.saturating_mul(u32::try_from(most).unwrap_or(u32::MAX));
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances.saturating_add(MAX_SHADOWS))
        .total_core_instances(modules.saturating_add(for_shadows(MAX_INSTANCES)))
        .total_memories(instances.saturating_add(instances / 4).saturating_add(for_shadows(MAX_MEMORIES)))
        .total_tables(modules.saturating_add(for_shadows(MAX_TABLES)))
        .max_tables_per_module(4)
        .table_elements(100_000)
        .linear_memory_keep_resident(1 << 20)
        .table_keep_resident(1 << 16);
    let mut config = config();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    wasmtime::Engine::new(&config)
}

/// Advances the engine's epoch until it is dropped.
pub(super) struct Ticker {
    stop: Option<Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Ticker {
    fn start(engine: wasmtime::Engine) -> Result<Self, PluginError> {
        let (stop, stopped) = channel();
        let thread = thread::Builder::new()
            .name("plugin-ticker".to_owned())
            .spawn(move || {
                while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(TICK) {
                    engine.increment_epoch();
                }
            })
            .map_err(|error| PluginError::Engine(format!("cannot start a thread: {error}")))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // The thread only waits and counts: there is nothing to learn from its result.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use wasmtime::Store;
    use wasmtime::component::{Component, Linker};

    use super::*;

    /// Of as many core instances as it may have, each with a table, and of as many memories.
    fn greediest() -> String {
        let mut text = "(component
            (core module $one (memory 1) (table 1 funcref))
            (core module $other (table 1 funcref))"
            .to_owned();
        for instance in 0..MAX_INSTANCES {
            let module = if instance < MAX_MEMORIES { "one" } else { "other" };
            write!(text, "(core instance (instantiate ${module}))").unwrap();
        }
        text + ")"
    }

    #[test]
    fn as_many_shadows_as_there_may_be_leave_the_steps_their_instances() {
        let engine = Engine::new(&EngineSettings { max_instances: 4, ..EngineSettings::default() }).unwrap();
        let instantiate = |component: &Component| {
            let mut store = Store::new(&engine.wasm, ());
            store.set_epoch_deadline(u64::MAX / 2);
            Linker::new(&engine.wasm).instantiate(&mut store, component).map(|_| store)
        };
        let greedy = Component::new(&engine.wasm, wat::parse_str(greediest()).unwrap()).unwrap();
        let shadows: Vec<_> = (0..MAX_SHADOWS).map(|_| instantiate(&greedy).unwrap()).collect();
        let ordinary = "(component (core module $m (memory 1)) (core instance (instantiate $m)))";
        let ordinary = Component::new(&engine.wasm, wat::parse_str(ordinary).unwrap()).unwrap();
        let steps: Vec<_> = (0..4).map(|_| instantiate(&ordinary).unwrap()).collect();
        assert_eq!(steps.len() + shadows.len(), 4 + MAX_SHADOWS as usize);
        assert!(instantiate(&ordinary).is_err(), "the pool is not what this test takes it for");
    }
}
