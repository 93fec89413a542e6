//! What a plugin may use, and the meter that holds it to that.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use wasmtime::ResourceLimiter;

/// Limits of one step. All of them hold for each task by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Bytes of linear memory, all memories of the plugin together. Default: 64 MiB.
    pub memory: usize,
    /// Bytes of linear memory from which on an instance is replaced between two epochs. Default: 48 MiB.
    pub recycle_memory: usize,
    /// CPU time of one call. Default: 2 s.
    pub cpu: Duration,
    /// Time that one call may wait for what the step was granted, all in all: for hosts, and for the clock. Waiting takes
    /// no CPU time. Default: 10 s.
    pub wait: Duration,
    /// CPU time and waiting together that the search for the rows which break the plugin may take in one batch; after
    /// that the step counts as broken altogether. Default: 60 s.
    pub search_cpu: Duration,
    /// Bytes that may be given back for a batch, or in another call. Default: 64 MiB.
    pub output_bytes: usize,
    /// New rows that may be given back for a batch. Default: 1,048,576.
    pub output_rows: usize,
    /// Bytes of the reason of one rejection; what is beyond is cut off. Default: 4 KiB.
    pub reason_bytes: usize,
    /// Bytes that one call may log; what is beyond is counted and left out. Default: 16 KiB.
    pub log_bytes: usize,
    /// Messages that one call may log. Default: 64.
    pub log_lines: usize,
    /// Names of metrics that the plugin may use. Default: 64.
    pub metric_names: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 64 << 20,
            recycle_memory: 48 << 20,
            cpu: Duration::from_secs(2),
            wait: Duration::from_secs(10),
            search_cpu: Duration::from_secs(60),
            output_bytes: 64 << 20,
            output_rows: 1 << 20,
            reason_bytes: 4 << 10,
            log_bytes: 16 << 10,
            log_lines: 64,
            metric_names: 64,
        }
    }
}

const MAX_TABLE_ELEMENTS: usize = 100_000;
/// Of one component instance: core instances, tables and memories.
pub(super) const MAX_INSTANCES: usize = 64;
pub(super) const MAX_TABLES: usize = 64;
pub(super) const MAX_MEMORIES: usize = 8;

/// Counts what one instance uses. CPU time is the calling thread's own: a paused or crowded machine
/// condemns no row, and a thread that waits pays nothing.
#[derive(Debug)]
pub(super) struct Meter {
    cpu_limit: Duration,
    started: Duration,
    out_of_time: bool,
    memory_limit: usize,
    memory_used: usize,
    out_of_memory: bool,
}

impl Meter {
    pub fn new(memory_limit: usize) -> Self {
        Self {
            cpu_limit: Duration::ZERO,
            started: Duration::ZERO,
            out_of_time: false,
            memory_limit,
            memory_used: 0,
            out_of_memory: false,
        }
    }

    /// To be called on the thread that makes the call.
    pub fn start_call(&mut self, cpu_limit: Duration) {
        self.cpu_limit = cpu_limit;
        self.started = thread_cpu_time();
        self.out_of_time = false;
        self.out_of_memory = false;
    }

    /// Whether the call has used up its time; asked at each tick of the engine's epoch.
    pub fn check_time(&mut self) -> bool {
        self.out_of_time = thread_cpu_time().saturating_sub(self.started) >= self.cpu_limit;
        self.out_of_time
    }

    pub fn out_of_time(&self) -> bool {
        self.out_of_time
    }

    pub fn out_of_memory(&self) -> bool {
        self.out_of_memory
    }

    pub fn cpu_limit(&self) -> Duration {
        self.cpu_limit
    }

    pub fn memory_limit(&self) -> usize {
        self.memory_limit
    }

    pub fn memory_used(&self) -> usize {
        self.memory_used
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let used = self.memory_used.saturating_sub(current).saturating_add(desired);
        let allowed = used <= self.memory_limit;
        if allowed {
            self.memory_used = used;
        } else {
            self.out_of_memory = true;
        }
        Ok(allowed)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= MAX_TABLE_ELEMENTS)
    }

    fn instances(&self) -> usize {
        MAX_INSTANCES
    }

    fn tables(&self) -> usize {
        MAX_TABLES
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES
    }
}

/// CPU time that this thread has used.
pub fn thread_cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writing, and the clock is that of the calling thread.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_counted_over_all_memories() {
        let mut meter = Meter::new(100);
        assert!(meter.memory_growing(0, 40, None).unwrap());
        assert!(meter.memory_growing(0, 50, None).unwrap());
        assert!(!meter.memory_growing(40, 60, None).unwrap());
        assert!(meter.out_of_memory());
        assert!(meter.memory_growing(40, 50, None).unwrap());
        assert_eq!(meter.memory_used, 100);
    }

    #[test]
    fn time_is_the_threads_own() {
        let mut meter = Meter::new(0);
        meter.start_call(Duration::from_millis(5));
        std::thread::sleep(Duration::from_millis(10));
        assert!(!meter.check_time(), "waiting must cost nothing");
        while !meter.check_time() {}
    }
}
