//! The file in which rows are shown that came out otherwise: bounded in size, and with some of each kind. A thread of its own
//! writes it, so that a file system that hangs holds nobody up.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tracing::error;

/// Kinds that are told apart; all others are one kind.
const MAX_KINDS: usize = 256;
/// A line that would be longer leaves the rows out, and so does a row with more bytes.
pub const MAX_LINE: usize = 64 << 10;
/// Batches whose samples wait to be written. Those of more are let go.
const WAITING: usize = 4;
/// How often it is looked whether somebody has taken the file away, for another one to be begun.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How long the end of a worker waits for samples.
const FINISH_WITHIN: Duration = Duration::from_secs(5);
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// One line.
pub struct Sample {
    pub position: Value,
    /// The row on both sides, and as it came in.
    pub rows: Value,
}

/// Whoever has samples never waits for the file.
#[derive(Debug)]
pub struct SampleFile {
    path: PathBuf,
    each: u32,
    bytes: u64,
    room: Arc<Room>,
    /// To the thread that writes, once there is anything to be written.
    jobs: OnceLock<SyncSender<Job>>,
}

/// What the file has room for, as far as is known.
#[derive(Debug, Default)]
struct Room {
    kinds: Mutex<HashMap<String, u32>>,
    is_full: AtomicBool,
}

#[derive(Debug)]
enum Job {
    Write(Vec<String>),
    Finish(SyncSender<()>),
}

impl SampleFile {
    /// At most `each` samples of a kind, and `bytes` altogether, with what the file holds already.
    pub fn new(path: PathBuf, each: u32, bytes: u64) -> Self {
        Self { path, each, bytes, room: Arc::default(), jobs: OnceLock::new() }
    }

    /// Whether there is room for more.
    pub fn wants_more(&self) -> bool {
        !self.room.is_full.load(Ordering::Relaxed)
    }

    /// Whether one more of this kind is to be added: the caller does so.
    pub fn takes(&self, kind: &str) -> bool {
        let mut kinds = self.room.kinds();
        let is_told_apart = kinds.contains_key(kind) || kinds.len() < MAX_KINDS;
        let count = kinds.entry(if is_told_apart { kind } else { "" }.to_owned()).or_default();
        let takes = *count < self.each;
        *count += u32::from(takes);
        takes
    }

    /// Has them written, those that there is room for. Several workers may write to one file.
    pub fn add(&self, samples: impl IntoIterator<Item = Sample>) -> io::Result<()> {
        let mut lines = Vec::new();
        let mut length = 0;
        for sample in samples {
            let line = line(&sample);
            length += line.len() as u64;
            lines.push(line);
            if length > self.bytes {
                break;
            }
        }
        match self.jobs()?.try_send(Job::Write(lines)) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => Err(io::Error::other("the file takes them too slowly")),
            Err(TrySendError::Disconnected(_)) => Err(io::Error::other("nobody writes them any more")),
        }
    }

    /// Waits until those are written that were added before, but not for long.
    pub fn finish(&self) {
        let Some(jobs) = self.jobs.get() else { return };
        let deadline = Instant::now() + FINISH_WITHIN;
        let (done, finished) = sync_channel(1);
        let mut job = Job::Finish(done);
        while let Err(TrySendError::Full(again)) = jobs.try_send(job) {
            if Instant::now() > deadline {
                return;
            }
            job = again;
            std::thread::sleep(Duration::from_millis(10));
        }
        // Samples that take longer are let go.
        let _ = finished.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }

    fn jobs(&self) -> io::Result<&SyncSender<Job>> {
        if let Some(jobs) = self.jobs.get() {
            return Ok(jobs);
        }
        let (jobs, waiting) = sync_channel(WAITING);
        let writer = Writer { path: self.path.clone(), bytes: self.bytes, room: self.room.clone() };
        if self.jobs.set(jobs).is_ok() {
            std::thread::Builder::new()
                .name("shadow-samples".to_owned())
                .spawn(move || writer.run(&waiting))?;
        }
        self.jobs.get().ok_or_else(|| io::Error::other("nobody writes them"))
    }
}

impl Room {
    fn kinds(&self) -> std::sync::MutexGuard<'_, HashMap<String, u32>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends with the [`SampleFile`] whose samples it writes.
struct Writer {
    path: PathBuf,
    bytes: u64,
    room: Arc<Room>,
}

impl Writer {
    fn run(&self, jobs: &Receiver<Job>) {
        let mut looked = Instant::now();
        let mut complained: Option<Instant> = None;
        loop {
            match jobs.recv_timeout(LOOK_EVERY) {
                Ok(Job::Write(lines)) => {
                    if let Err(error) = self.write(&lines)
                        && complained.is_none_or(|complained| complained.elapsed() > COMPLAIN_EVERY)
                    {
                        complained = Some(Instant::now());
                        let file = self.path.display();
                        error!(%file, "the samples of a shadow's differences cannot be written: {error}");
                    }
                }
                // Nobody may be waiting any more.
                Ok(Job::Finish(done)) => drop(done.try_send(())),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if looked.elapsed() >= LOOK_EVERY {
                looked = Instant::now();
                self.look();
            }
        }
    }

    /// Begins anew if somebody has taken the file away.
    fn look(&self) {
        if !self.path.exists() {
            self.room.kinds().clear();
            self.room.is_full.store(false, Ordering::Relaxed);
        }
    }

    fn write(&self, lines: &[String]) -> io::Result<()> {
        if let Some(folder) = self.path.parent().filter(|folder| *folder != Path::new("")) {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = File::options().create(true).append(true).open(&self.path)?;
        let mut length = file.metadata()?.len();
        for line in lines {
            length += line.len() as u64;
            if length > self.bytes {
                self.room.is_full.store(true, Ordering::Relaxed);
                break;
            }
            file.write_all(line.as_bytes())?;
        }
        Ok(())
    }
}

fn line(sample: &Sample) -> String {
    let of = |rows: &Value| {
        let members = [&sample.position, rows].into_iter().filter_map(Value::as_object).flatten();
        let members = members.map(|(name, value)| (name.clone(), value.clone()));
        format!("{}\n", Value::Object(members.collect()))
    };
    let whole = of(&sample.rows);
    if whole.len() <= MAX_LINE {
        return whole;
    }
    of(&json!({ "too_long": whole.len() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(row: usize) -> Sample {
        Sample { position: json!({"offset": row}), rows: json!({"input": {"n": row}}) }
    }

    fn lines(file: &SampleFile) -> Vec<Value> {
        let text = std::fs::read_to_string(&file.path).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_frequent_kind_leaves_room_for_rare_ones_and_kinds_are_bounded() {
        let file = SampleFile::new(PathBuf::from("/nowhere"), 3, 1 << 20);
        assert_eq!((0..1000).filter(|_| file.takes("frequent")).count(), 3);
        assert!(file.takes("rare"));
        let invented = (0..2 * MAX_KINDS).filter(|kind| file.takes(&format!("kind {kind}")));
        assert_eq!(invented.count(), MAX_KINDS - 2 + 3);
    }

    #[test]
    fn the_file_does_not_grow_beyond_its_bytes_whoever_writes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/samples.jsonl");
        for _ in 0..3 {
            let file = SampleFile::new(path.clone(), u32::MAX, 500);
            assert!(file.wants_more());
            file.add((0..100).map(sample)).unwrap();
            file.finish();
            assert!(!file.wants_more());
            assert!((400..=500).contains(&std::fs::metadata(&path).unwrap().len()));
            assert_eq!(lines(&file)[3], json!({"offset": 3, "input": {"n": 3}}));
        }
    }

    #[test]
    fn a_long_line_leaves_the_rows_out() {
        let folder = tempfile::tempdir().unwrap();
        let file = SampleFile::new(folder.path().join("samples.jsonl"), 1, 1 << 30);
        file.add([Sample { rows: json!({"input": "x".repeat(2 * MAX_LINE)}), ..sample(7) }]).unwrap();
        file.finish();
        let line = &lines(&file)[0];
        assert!(line["input"].is_null() && line["too_long"].as_u64() > Some(MAX_LINE as u64), "{line}");
    }

    /// A pipe that nobody reads hangs whoever opens it.
    #[test]
    fn a_file_that_hangs_holds_nobody_up_and_samples_are_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("samples.jsonl");
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        let file = SampleFile::new(path, u32::MAX, 1 << 20);
        let started = Instant::now();
        let added = (0..100).filter(|row| file.add([sample(*row)]).is_ok()).count();
        assert!((WAITING..=WAITING + 1).contains(&added), "{added}");
        file.finish();
        assert!(started.elapsed() < 2 * FINISH_WITHIN);
    }
}
