//! What a worker tells of a shadow: counts, log lines, samples. Shared by its tasks.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use super::samples::{Sample, SampleFile};
use super::verdict::Counts;

/// How often differences are logged.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// Messages that are remembered, so as not to be said by each task.
const MAX_REMEMBERED: usize = 64;

#[derive(Debug)]
pub struct Report {
    layer: String,
    step: String,
    samples: Option<SampleFile>,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    counts: Counts,
    differences: Option<Instant>,
    trouble: Option<Instant>,
    once: HashSet<String>,
}

impl Report {
    pub fn new(layer: String, step: String, samples: Option<SampleFile>) -> Self {
        Self { layer, step, samples, told: Mutex::default() }
    }

    /// What came of all rows so far.
    pub fn counts(&self) -> Counts {
        self.told().counts
    }

    /// Whether differences are to be described.
    pub fn wants_samples(&self) -> bool {
        self.samples.as_ref().is_some_and(SampleFile::wants_more)
    }

    /// Whether one more of this kind is to be shown: the caller does so.
    pub fn takes_sample(&self, kind: &str) -> bool {
        self.samples.as_ref().is_some_and(|file| file.takes(kind))
    }

    pub fn add(&self, counts: &Counts) {
        let mut told = self.told();
        for (verdict, rows) in counts.iter() {
            told.counts.add(verdict, rows);
        }
        if counts.differ() && is_due(&mut told.differences) {
            let so_far = told.counts;
            drop(told);
            let samples = if self.samples.is_some() { "" } else { "; `samples` would show some" };
            warn!(layer = self.layer, step = self.step, "the shadow differs: {so_far} so far{samples}");
        }
    }

    pub fn show(&self, samples: impl IntoIterator<Item = Sample>) {
        let added = self.samples.as_ref().map_or(Ok(()), |file| file.add(samples));
        if let Err(error) = added {
            self.complain(&format!("some samples of the shadow's differences are let go: {error}"));
        }
    }

    /// Waits until samples are written, but not for long.
    pub fn finish(&self) {
        self.samples.iter().for_each(SampleFile::finish);
    }

    /// The shadow is in trouble; the step is not.
    pub fn complain(&self, what: &str) {
        if is_due(&mut self.told().trouble) {
            error!(layer = self.layer, step = self.step, "{what}");
        }
    }

    /// Says something that holds for all tasks.
    pub fn say_once(&self, what: &str) {
        let mut told = self.told();
        if told.once.len() < MAX_REMEMBERED && told.once.insert(what.to_owned()) {
            info!(layer = self.layer, step = self.step, "{what}");
        }
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_due(last: &mut Option<Instant>) -> bool {
    let is_due = last.is_none_or(|last| last.elapsed() >= TELL_EVERY);
    if is_due {
        *last = Some(Instant::now());
    }
    is_due
}
