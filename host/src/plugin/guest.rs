//! What a plugin can reach of the host: its log and its metrics, both bounded, and WASI. Nothing of the first two fails: a
//! plugin that logs too much loses messages, not its batch.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, WasmStr};

use super::bindings::log::Level;
use super::grants::Grants;
use super::limits::{Limits, Meter};
use super::text::{is_metric_name, sanitised};
use super::wasi::{Lines, Wasi};

const MAX_METRIC_NAME: usize = 64;
/// Lines of standard error that are remembered: runtimes add some to what the plugin itself has to say.
const LAST_WORDS: usize = 8;
const MAX_LAST_WORDS: usize = 240;

/// A metric that a plugin keeps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Metric {
    Count(u64),
    Gauge(f64),
}

/// Metrics by name.
pub type Metrics = BTreeMap<String, Metric>;

/// The state of the host's side of one instance.
pub(super) struct Guest {
    pub meter: Meter,
    pub metrics: Metrics,
    pub wasi: Wasi,
    lines: Lines,
    /// The last lines that the plugin wrote to its standard error in this call.
    last_words: VecDeque<String>,
    layer: Arc<str>,
    step: Arc<str>,
    limits: Limits,
    log_bytes: usize,
    log_lines: usize,
    /// Messages and metrics that went beyond a limit in this call.
    ignored: u64,
}

impl Guest {
    pub fn new(layer: Arc<str>, step: Arc<str>, limits: Limits, grants: Arc<Grants>) -> Self {
        Self {
            meter: Meter::new(limits.memory),
            metrics: Metrics::new(),
            wasi: Wasi::new(grants, limits.wait),
            lines: Lines::default(),
            last_words: VecDeque::new(),
            layer,
            step,
            log_bytes: 0,
            log_lines: 0,
            ignored: 0,
            limits,
        }
    }

    pub fn start_call(&mut self, cpu: Duration) {
        self.meter.start_call(cpu);
        self.wasi.start_call();
        self.last_words.clear();
        self.log_bytes = self.limits.log_bytes;
        self.log_lines = self.limits.log_lines;
    }

    pub fn end_call(&mut self) {
        let rest = self.lines.end();
        self.say(rest);
        let ignored = std::mem::take(&mut self.ignored);
        if ignored > 0 {
            tracing::warn!(
                layer = &*self.layer,
                step = &*self.step,
                ignored,
                "the plugin's messages or metrics went beyond their limits"
            );
        }
    }

    fn may_log(&mut self) -> bool {
        let may = self.log_bytes > 0 && self.log_lines > 0;
        self.ignored += u64::from(!may);
        may
    }

    /// The message is cut to what may be logged already.
    fn log(&mut self, level: Level, message: &str) {
        self.log_bytes = self.log_bytes.saturating_sub(message.len());
        self.log_lines = self.log_lines.saturating_sub(1);
        let (layer, step) = (&*self.layer, &*self.step);
        match level {
            Level::Error => tracing::error!(layer, step, "{message}"),
            Level::Warn => tracing::warn!(layer, step, "{message}"),
            Level::Info => tracing::info!(layer, step, "{message}"),
            Level::Debug => tracing::debug!(layer, step, "{message}"),
        }
    }

    /// Takes what the plugin writes to a standard stream: each line is a message.
    pub fn write(&mut self, level: Level, bytes: &[u8]) {
        let lines = self.lines.write(level, bytes);
        self.say(lines);
    }

    fn say(&mut self, lines: impl IntoIterator<Item = (Level, String)>) {
        for (level, line) in lines {
            if self.may_log() {
                self.log(level, &sanitised(&line, self.log_bytes));
            }
            if level == Level::Warn {
                if self.last_words.len() == LAST_WORDS {
                    self.last_words.pop_front();
                }
                self.last_words.push_back(sanitised(&line, MAX_LAST_WORDS));
            }
        }
    }

    /// What the plugin wrote last to its standard error in this call; its lines, with a stroke between them.
    pub fn last_words(&self) -> Option<String> {
        let lines: Vec<&str> = self.last_words.iter().map(String::as_str).collect();
        (!lines.is_empty()).then(|| lines.join(" / "))
    }

    /// `name` is none where it was not fit.
    fn record(&mut self, name: Option<String>, metric: Metric) {
        let may_grow = self.metrics.len() < self.limits.metric_names;
        let recorded = name.is_some_and(|name| match self.metrics.entry(name) {
            Entry::Occupied(mut known) => known.get_mut().record(metric),
            Entry::Vacant(free) if may_grow => {
                free.insert(metric);
                true
            }
            Entry::Vacant(_) => false,
        });
        self.ignored += u64::from(!recorded);
    }
}

impl Metric {
    /// Whether it is a metric of the same sort.
    fn record(&mut self, next: Self) -> bool {
        match (self, next) {
            (Self::Count(total), Self::Count(add)) => *total = total.saturating_add(add),
            (Self::Gauge(value), Self::Gauge(next)) => *value = next,
            _ => return false,
        }
        true
    }
}

/// Gives a plugin its imports.
pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    type Context<'a> = StoreContextMut<'a, Guest>;
    // Strings stay in the plugin's memory until it is clear that they are wanted.
    linker.instance("sluicebox:plugin/log@0.3.0")?.func_wrap(
        "log",
        |mut context: Context<'_>, (level, message): (Level, WasmStr)| {
            if context.data_mut().may_log() {
                let message = sanitised(&message.to_str(&context)?, context.data().log_bytes);
                context.data_mut().log(level, &message);
            }
            Ok(())
        },
    )?;
    let record = |mut context: Context<'_>, name: WasmStr, metric| -> wasmtime::Result<()> {
        let name = name.to_str(&context)?;
        let name = is_metric_name(&name, MAX_METRIC_NAME).then(|| name.into_owned());
        context.data_mut().record(name, metric);
        Ok(())
    };
    let mut metrics = linker.instance("sluicebox:plugin/metrics@0.3.0")?;
    metrics.func_wrap("count", move |context: Context<'_>, (name, add): (WasmStr, u64)| {
        record(context, name, Metric::Count(add))
    })?;
    metrics.func_wrap("gauge", move |context: Context<'_>, (name, value): (WasmStr, f64)| {
        record(context, name, Metric::Gauge(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest() -> Guest {
        let limits = Limits { log_bytes: 10, log_lines: 3, metric_names: 2, ..Limits::default() };
        let mut guest = Guest::new("bronze".into(), "clean".into(), limits, Arc::default());
        guest.start_call(Duration::ZERO);
        guest
    }

    #[test]
    fn a_flood_of_messages_is_counted_and_ends_with_the_call() {
        let mut guest = guest();
        for _ in 0..100 {
            if guest.may_log() {
                guest.log(Level::Debug, "1234");
            }
        }
        assert_eq!(guest.ignored, 97);
        guest.end_call();
        guest.start_call(Duration::ZERO);
        assert!(guest.may_log());
    }

    #[test]
    fn invented_metric_names_are_bounded() {
        let mut guest = guest();
        guest.record(Some("seen".to_owned()), Metric::Count(u64::MAX));
        guest.record(Some("seen".to_owned()), Metric::Count(1));
        guest.record(Some("seen".to_owned()), Metric::Gauge(1.0));
        guest.record(None, Metric::Count(1));
        guest.record(Some("load".to_owned()), Metric::Gauge(0.5));
        guest.record(Some("third".to_owned()), Metric::Count(1));
        assert_eq!(guest.ignored, 3);
        let expected: [(String, Metric); 2] =
            [("load".into(), Metric::Gauge(0.5)), ("seen".into(), Metric::Count(u64::MAX))];
        assert_eq!(guest.metrics, expected.into());
    }
}
