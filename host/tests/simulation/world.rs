//! What exists outside the workers: the state location, the files, the sinks, time; and what is in flight.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;

use bytes::Bytes;
use sluicebox::ledger::LedgerState;
use sluicebox::ledger::entry::{Entry, EntryNumber, Writer};
use sluicebox::ledger::store::Put;
use sluicebox::ledger::sweep::FoundFile;
use uuid::Uuid;

use crate::check;
use crate::random::Random;
use crate::schedule::Tally;
use crate::topic::Topic;

type Deed = Box<dyn FnOnce(&mut World) + Send>;

pub struct World {
    pub random: Random,
    pub now_ms: i64,
    /// Probability that an operation goes wrong in one of its ways.
    pub trouble: f64,
    pub objects: BTreeMap<String, Object>,
    pub files: BTreeMap<String, FoundFile>,
    /// What was written to each data file: partitions and offsets.
    pub rows: BTreeMap<String, Vec<(i32, i64)>>,
    pub tables: BTreeMap<String, Table>,
    /// The objects in the folders of sinks that are no tables.
    pub folders: BTreeMap<String, BTreeMap<String, Bytes>>,
    pub topics: BTreeMap<String, Topic>,
    /// Asked for, reported as failed, and not done yet.
    pub in_flight: Vec<Deed>,
    /// The partitions that each worker believes to own.
    pub assigned: Vec<BTreeSet<i32>>,
    /// Records in each partition.
    pub input: i64,
    /// The true ledger: every entry in the order of its number, whatever was swept since.
    pub history: Vec<Entry>,
    /// The fold after each entry.
    pub states: Vec<LedgerState>,
    /// What workers were told would never be entered.
    pub lost: BTreeSet<Writer>,
    pub is_changed: bool,
    pub broken: Option<String>,
    pub tally: Tally,
}

pub struct Object {
    pub bytes: Bytes,
    pub modified_at_ms: i64,
}

#[derive(Default)]
pub struct Table {
    pub mark: EntryNumber,
    pub version: u64,
    /// Paths, in the order in which they were committed.
    pub files: Vec<String>,
}

/// The world as everybody holds it.
#[derive(Clone)]
pub struct Shared(Arc<Mutex<World>>);

impl Shared {
    pub fn new(seed: u64, workers: usize, input: i64) -> Self {
        Self(Arc::new(Mutex::new(World {
            random: Random::new(seed),
            now_ms: 1_000_000,
            trouble: 0.0,
            objects: BTreeMap::new(),
            files: BTreeMap::new(),
            rows: BTreeMap::new(),
            tables: BTreeMap::new(),
            folders: BTreeMap::new(),
            topics: BTreeMap::new(),
            in_flight: Vec::new(),
            assigned: vec![BTreeSet::new(); workers],
            input,
            history: Vec::new(),
            states: Vec::new(),
            lost: BTreeSet::new(),
            is_changed: false,
            broken: None,
            tally: Tally::default(),
        })))
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().expect("no step panics while it holds the world")
    }

    /// One operation over a network: the deed happens between two moments at which anything else may, and
    /// `None` says that nobody answered. What `lingers` may still happen long afterwards.
    pub async fn remote<T>(
        &self,
        lingers: bool,
        deed: impl FnOnce(&mut World) -> T + Send + 'static,
    ) -> Option<T> {
        step_aside().await;
        let answer = {
            let mut world = self.world();
            let trouble = world.trouble;
            if !world.random.happens(trouble) {
                Some(deed(&mut world))
            } else {
                match world.random.below(4) {
                    0 => {}
                    1 | 2 if lingers => world.in_flight.push(Box::new(|world| drop(deed(world)))),
                    _ => drop(deed(&mut world)),
                }
                None
            }
        };
        step_aside().await;
        answer
    }
}

/// Lets the schedule go on with somebody else.
pub async fn step_aside() {
    let mut is_first = true;
    poll_fn(|context| {
        if !std::mem::take(&mut is_first) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl World {
    pub fn fail(&mut self, broken: impl Into<String>) {
        self.broken.get_or_insert(broken.into());
    }

    pub fn uuid(&mut self) -> Uuid {
        let high = u128::from(self.random.next()) << 64;
        Uuid::from_u128(high | u128::from(self.random.next()))
    }

    pub fn put(&mut self, name: &str, bytes: &Bytes) -> Put {
        if self.objects.contains_key(name) {
            return Put::Taken;
        }
        let object = Object { bytes: bytes.clone(), modified_at_ms: self.now_ms };
        self.objects.insert(name.to_owned(), object);
        self.is_changed = true;
        match name.split_once('/') {
            Some(("entries", _)) => self.enter(serde_json::from_slice(bytes).expect("an entry is JSON")),
            _ => self.tally.snapshots += 1,
        }
        Put::Created
    }

    /// The first entry under a number is the ledger's. A later one was put to a swept number, and is not.
    fn enter(&mut self, entry: Entry) {
        match entry.number.cmp(&(self.history.len() as u64)) {
            std::cmp::Ordering::Less => self.tally.late_puts += 1,
            std::cmp::Ordering::Greater => self.fail(format!("entry {} leaves a gap", entry.number)),
            std::cmp::Ordering::Equal => {
                if let Err(broken) = check::entry(self, &entry) {
                    self.fail(broken);
                    return;
                }
                self.history.push(entry);
            }
        }
    }

    pub fn delete(&mut self, name: &str) {
        if self.objects.remove(name).is_some() {
            self.is_changed = true;
            self.tally.swept_entries += u64::from(name.starts_with("entries/"));
        }
    }
}
