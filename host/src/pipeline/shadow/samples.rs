//! The file in which rows are shown that came out otherwise: bounded in size, and with some of each kind.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Kinds that are told apart; all others are one kind.
const MAX_KINDS: usize = 256;
/// A line that would be longer leaves the rows out.
const MAX_LINE: usize = 64 << 10;
/// How often it is looked whether somebody has taken the file away, for another one to be begun.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// One line.
pub struct Sample {
    pub position: Value,
    /// The row on both sides, and as it came in.
    pub rows: Value,
}

#[derive(Debug)]
pub struct SampleFile {
    path: PathBuf,
    each: u32,
    bytes: u64,
    written: Mutex<Written>,
}

#[derive(Debug, Default)]
struct Written {
    kinds: HashMap<String, u32>,
    is_full: bool,
    looked: Option<Instant>,
}

impl SampleFile {
    /// At most `each` samples of a kind, and `bytes` altogether, with what the file holds already.
    pub fn new(path: PathBuf, each: u32, bytes: u64) -> Self {
        Self { path, each, bytes, written: Mutex::default() }
    }

    /// Whether there is room for more.
    pub fn wants_more(&self) -> bool {
        let mut written = self.written();
        let is_due = written.looked.is_none_or(|looked| looked.elapsed() >= LOOK_EVERY);
        if is_due {
            written.looked = Some(Instant::now());
            if !self.path.exists() {
                *written = Written { looked: written.looked, ..Written::default() };
            }
        }
        !written.is_full
    }

    /// Whether one more of this kind is to be added: the caller does so.
    pub fn takes(&self, kind: &str) -> bool {
        let mut written = self.written();
        let is_told_apart = written.kinds.contains_key(kind) || written.kinds.len() < MAX_KINDS;
        let count = written.kinds.entry(if is_told_apart { kind } else { "" }.to_owned()).or_default();
        let takes = *count < self.each;
        *count += u32::from(takes);
        takes
    }

    /// Several workers may write to one file.
    pub fn add(&self, samples: impl IntoIterator<Item = Sample>) -> io::Result<()> {
        let mut written = self.written();
        if written.is_full {
            return Ok(());
        }
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = File::options().create(true).append(true).open(&self.path)?;
        let mut length = file.metadata()?.len();
        for line in samples.into_iter().map(|sample| line(&sample)) {
            length += line.len() as u64;
            if length > self.bytes {
                written.is_full = true;
                break;
            }
            file.write_all(line.as_bytes())?;
        }
        Ok(())
    }

    fn written(&self) -> std::sync::MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
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
        let line = &lines(&file)[0];
        assert!(line["input"].is_null() && line["too_long"].as_u64() > Some(MAX_LINE as u64), "{line}");
    }
}
