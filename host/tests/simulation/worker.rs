//! A worker: what is under test, driven as the host drives it, but in any order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sluicebox::changes::StateKind;
use sluicebox::clock::{Clock, Pauses};
use sluicebox::ledger::entry::{
    Body, Configuration, Configure, DataFile, Entry, EntryNumber, Epoch, PluginReference, SinkEntry,
    SinkRecord, StateSegment, TaskEntry, Writer,
};
use sluicebox::ledger::state::SinkState;
use sluicebox::ledger::sweep::{FoundFile, Holds, PipelineFiles, plan_sweep};
use sluicebox::ledger::{Appended, Ledger, LedgerError, LedgerSettings, Opening, Proposal, Verdict};
use sluicebox::pipeline::applier::{ApplyBounds, ApplyError, apply_sink};
use sluicebox::progress::{Accounting, OffsetRange, TopicPartition};
use sluicebox::schema::RecordSchema;
use sluicebox::sink::files::{FilesApplier, FilesSettings};
use sluicebox::sink::kafka::{KafkaApplier, KafkaSinkSettings};
use sluicebox::sink::{SinkApplier, SinkError};
use uuid::Uuid;

use crate::fake::{FakeClock, FakeFiles, FakeSink, FakeStore};
use crate::folder::{FakeFolder, is_folder};
use crate::planted::{Planted, RememberingSink, append_without_fence};
use crate::topic::{FakeCluster, is_topic, staged_path};
use crate::world::{Shared, step_aside};

/// What ends one life of a worker: it starts anew, with another incarnation.
struct Restart;

struct Worker {
    shared: Shared,
    slot: usize,
    planted: Planted,
    incarnation: Uuid,
    epoch: u64,
    ledger: Ledger,
    clock: Arc<FakeClock>,
    configuration: Configuration,
    /// Where this worker believes its tasks to be: the last entry and the position.
    tasks: BTreeMap<i32, (Option<EntryNumber>, i64)>,
    sinks: BTreeMap<String, Box<dyn SinkApplier>>,
    seen: BTreeMap<String, SinkRecord>,
}

/// Lives for ever; the schedule crashes it by dropping it.
pub async fn live(shared: Shared, slot: usize, skew_ms: i64, settings: LedgerSettings, planted: Planted) {
    loop {
        if let Ok(mut worker) = Worker::start(&shared, slot, skew_ms, settings.clone(), planted).await {
            while worker.act().await.is_ok() {}
        }
        step_aside().await;
    }
}

impl Worker {
    async fn start(
        shared: &Shared,
        slot: usize,
        skew_ms: i64,
        settings: LedgerSettings,
        planted: Planted,
    ) -> Result<Self, Restart> {
        let clock = Arc::new(FakeClock { shared: shared.clone(), skew_ms });
        let incarnation = shared.world().uuid();
        let new_id = shared.world().uuid();
        let opening = Opening {
            pipeline: "simulated".to_owned(),
            configuration: configuration(0),
            incarnation,
            new_id,
            known: None,
        };
        let store = Arc::new(FakeStore(shared.clone()));
        let ledger = match Ledger::open(store, clock.clone(), settings, opening).await {
            Ok(ledger) => ledger,
            Err(error) => return Err(stopped(shared, &error)),
        };
        let configuration = ledger.state().configuration.clone();
        let shared = shared.clone();
        let (tasks, sinks, seen) = Default::default();
        Ok(Self {
            shared,
            slot,
            planted,
            incarnation,
            epoch: 0,
            ledger,
            clock,
            configuration,
            tasks,
            sinks,
            seen,
        })
    }

    async fn act(&mut self) -> Result<(), Restart> {
        let choice = self.shared.world().random.below(100);
        match choice {
            0..60 => self.run_epoch().await?,
            60..80 => self.apply().await?,
            80..86 => check(&self.shared, self.ledger.snapshot_if_due().await.map(drop))?,
            86..90 => self.sweep_files().await?,
            90..94 => self.sweep_entries().await?,
            94..96 => self.reconfigure().await?,
            _ => check(&self.shared, self.ledger.refresh().await.map(drop))?,
        }
        self.compare();
        step_aside().await;
        Ok(())
    }

    /// What any worker knows of the ledger is what the ledger was at that number.
    fn compare(&self) {
        let state = self.ledger.state();
        let mut world = self.shared.world();
        if world.states.get(state.number as usize) != Some(&*state) {
            world.fail(format!("worker {} believes in another ledger at entry {}", self.slot, state.number));
        }
    }

    fn next_writer(&mut self) -> Writer {
        self.epoch += 1;
        Writer { incarnation: self.incarnation, epoch: self.epoch }
    }

    async fn run_epoch(&mut self) -> Result<(), Restart> {
        let writer = self.next_writer();
        let opened_at_ms = self.clock.now_ms();
        let state = self.ledger.state();
        let Self { tasks, .. } = self;
        let assigned = self.shared.world().assigned[self.slot].clone();
        tasks.retain(|partition, _| assigned.contains(partition));
        for partition in assigned {
            let at = state.tasks.get(&topic(partition)).map(|task| (Some(task.entry), task.position));
            tasks.entry(partition).or_insert(at.unwrap_or((None, 0)));
        }
        let (entries, rows) = self.read_records(writer);
        let proposes_schema = self.propose_schema(state.schema_version);
        if entries.is_empty() && proposes_schema.is_none() {
            return self.apply().await;
        }
        let Some(sinks) = self.upload(writer, &entries, &rows).await else { return Ok(()) };
        let body = Body::Epoch(Epoch {
            configuration: self.configuration.digest.clone(),
            schema_version: state.schema_version,
            proposes_schema,
            tasks: entries,
            sinks,
            seen: std::mem::take(&mut self.seen),
            references: BTreeMap::new(),
        });
        self.enter(Proposal { writer, opened_at_ms, body }).await
    }

    fn read_records(&self, writer: Writer) -> (Vec<TaskEntry>, Vec<(i32, i64)>) {
        let mut world = self.shared.world();
        let (mut entries, mut rows) = (Vec::new(), Vec::new());
        for (partition, (builds_on, from)) in &self.tasks {
            let to = world.input.min(from + world.random.below(4) as i64);
            if *from == to {
                continue;
            }
            rows.extend((*from..to).map(|offset| (*partition, offset)));
            let kind = match builds_on {
                Some(_) if world.random.happens(0.7) => StateKind::Changes,
                _ => StateKind::Base,
            };
            entries.push(TaskEntry {
                partition: topic(*partition),
                topic_id: None,
                builds_on: *builds_on,
                range: OffsetRange { from: *from, to },
                accounting: Accounting::default(),
                max_event_time: Some(to),
                watermark: Some(*from),
                state: vec![StateSegment {
                    layer: "gold".to_owned(),
                    step: "window".to_owned(),
                    kind,
                    object: format!("state/{}", file_name(writer)),
                    offset: 0,
                    length: 1,
                    sha256: String::new(),
                }],
            });
        }
        (entries, rows)
    }

    fn propose_schema(&self, version: u64) -> Option<RecordSchema> {
        (version < 3 && self.shared.world().random.happens(0.05)).then(RecordSchema::default)
    }

    /// Writes the epoch's files; `None` if one could not be written, and the epoch is given up.
    async fn upload(
        &self,
        writer: Writer,
        tasks: &[TaskEntry],
        rows: &[(i32, i64)],
    ) -> Option<BTreeMap<String, SinkEntry>> {
        if !tasks.is_empty() {
            self.write(format!("state/{}", file_name(writer)), writer, Holds::State, Vec::new()).await?;
        }
        let mut sinks = BTreeMap::new();
        for sink in &self.configuration.sinks {
            let rows: Vec<_> = rows.iter().filter(|(_, offset)| goes_to(sink, *offset)).copied().collect();
            if rows.is_empty() {
                continue;
            }
            let (path, holds) = match is_topic(sink) {
                true => (staged_path(sink, &file_name(writer)), Holds::Staged),
                false => (format!("{sink}/{}", file_name(writer)), Holds::Rows),
            };
            let file = DataFile {
                path: path.clone(),
                size: 100,
                rows: rows.len() as u64,
                modified_at_ms: 0,
                partition_values: Vec::new(),
                stats: None,
            };
            self.write(path, writer, holds, rows).await?;
            sinks.insert(sink.clone(), SinkEntry { files: vec![file], schema: None });
        }
        Some(sinks)
    }

    async fn write(&self, path: String, writer: Writer, holds: Holds, rows: Vec<(i32, i64)>) -> Option<()> {
        let write = self.shared.remote(true, move |world| {
            let found = FoundFile { path: path.clone(), writer, modified_at_ms: world.now_ms, holds };
            world.files.insert(path.clone(), found);
            world.rows.insert(path, rows);
        });
        write.await
    }

    async fn enter(&mut self, proposal: Proposal) -> Result<(), Restart> {
        let writer = proposal.writer;
        let appended = match self.planted {
            Planted::NoFence => append_without_fence(&self.shared, &self.ledger, proposal).await,
            _ => self.ledger.append(proposal).await,
        };
        match appended {
            Ok(Appended::Entered(entry)) => {
                self.went_on(&entry);
                let mut world = self.shared.world();
                if !world.history.contains(&entry) {
                    world.fail(format!(
                        "entry {} was entered, said the ledger, and is not there",
                        entry.number
                    ));
                }
            }
            Ok(lost) => {
                let mut world = self.shared.world();
                world.lost.insert(writer);
                world.tally.lost += 1;
                if world.history.iter().any(|entry| entry.writer == writer) {
                    world.fail("an entry was lost, said the ledger, and is there");
                }
                drop(world);
                self.recover(&lost);
            }
            Err(error) => {
                self.tasks.clear();
                return check(&self.shared, Err(error));
            }
        }
        Ok(())
    }

    fn went_on(&mut self, entry: &Entry) {
        let mut world = self.shared.world();
        match &entry.body {
            Body::Epoch(epoch) => {
                for task in &epoch.tasks {
                    self.tasks.insert(task.partition.partition, (Some(entry.number), task.range.to));
                }
                world.tally.epochs += 1;
                world.tally.schemas += u64::from(epoch.proposes_schema.is_some());
            }
            Body::Configure(change) => {
                self.configuration = change.configuration.clone();
                world.tally.configurations += 1;
            }
            _ => {}
        }
    }

    fn recover(&mut self, lost: &Appended) {
        self.tasks.clear();
        match lost {
            Appended::Lost(Verdict::ConfigurationMoved { .. }) => {
                self.configuration = self.ledger.state().configuration.clone();
            }
            Appended::Lost(verdict @ (Verdict::Repeated | Verdict::Refused(_))) => {
                self.shared.world().fail(format!("a correct worker was told: {verdict}"));
            }
            _ => {}
        }
    }

    async fn apply(&mut self) -> Result<(), Restart> {
        let pauses = Pauses { first: Duration::ZERO, longest: Duration::ZERO };
        let bounds =
            ApplyBounds { entries: 3, rows: 6, mark_every: 3, attempts: 4, pauses, ..ApplyBounds::default() };
        for (name, known) in &self.ledger.state().sinks {
            if !self.sinks.contains_key(name) {
                let opened = match (is_folder(name), is_topic(name)) {
                    (true, _) => self.open_folder(name, known).await?,
                    (_, true) => self.open_topic(name, known).await?,
                    _ => Some(self.open_table(name)),
                };
                let Some(sink) = opened else { continue };
                self.sinks.insert(name.clone(), sink);
            }
            let Some(sink) = self.sinks.get_mut(name) else { continue };
            match apply_sink(&self.ledger, name, &mut **sink, &bounds).await {
                Ok(progress) => drop(self.seen.insert(name.clone(), progress.record)),
                Err(error) if error.is_transient() => {}
                Err(ApplyError::Removed { .. }) => {}
                Err(error) => return Err(stopped(&self.shared, &error)),
            }
        }
        Ok(())
    }

    fn open_table(&self, name: &str) -> Box<dyn SinkApplier> {
        let inner = FakeSink { shared: self.shared.clone(), name: name.to_owned(), version: 0 };
        match self.planted {
            Planted::RememberedMark => Box::new(RememberingSink { inner, remembered: None }),
            _ => Box::new(inner),
        }
    }

    /// `None` if nobody answered.
    async fn open_folder(
        &self,
        name: &str,
        known: &SinkState,
    ) -> Result<Option<Box<dyn SinkApplier>>, Restart> {
        let store = FakeFolder { shared: self.shared.clone(), sink: name.to_owned() };
        let ledger = self.ledger.state().ledger;
        let settings = FilesSettings {
            record: known.record.clone(),
            // Data files are no objects here.
            verify_files_after_ms: i64::MAX,
            ..FilesSettings::new("simulated", name, "a folder", ledger, known.since)
        };
        self.opened(FilesApplier::open(settings, Arc::new(store)).await)
    }

    /// `None` if nobody answered.
    async fn open_topic(
        &self,
        name: &str,
        known: &SinkState,
    ) -> Result<Option<Box<dyn SinkApplier>>, Restart> {
        let (shared, sink) = (self.shared.clone(), name.to_owned());
        let cluster = FakeCluster { shared, sink, owner: 0, planted: self.planted };
        let store = FakeFolder { shared: self.shared.clone(), sink: name.to_owned() };
        let settings = KafkaSinkSettings {
            pipeline: "simulated".to_owned(),
            sink: name.to_owned(),
            topic: "a topic".to_owned(),
            ledger: self.ledger.state().ledger,
            start: known.since,
            max_message_bytes: 1 << 20,
            record: known.record.clone(),
        };
        self.opened(KafkaApplier::open(settings, Arc::new(store), Box::new(cluster)).await)
    }

    fn opened(
        &self,
        applier: Result<impl SinkApplier + 'static, SinkError>,
    ) -> Result<Option<Box<dyn SinkApplier>>, Restart> {
        match applier {
            Ok(applier) => Ok(Some(Box::new(applier))),
            Err(SinkError::Unavailable(_)) => Ok(None),
            Err(error) => Err(stopped(&self.shared, &error)),
        }
    }

    async fn sweep_files(&mut self) -> Result<(), Restart> {
        let files = FakeFiles(self.shared.clone());
        if self.planted == Planted::EarlySweep {
            let Ok(found) = files.list().await else { return Ok(()) };
            let plan = plan_sweep(&self.ledger.state(), None, &found, i64::MAX, Duration::ZERO);
            for file in found.iter().filter(|file| plan.condemn.contains(&file.writer)) {
                let _ = files.delete(file).await;
            }
            return Ok(());
        }
        let writer = self.next_writer();
        let swept = self.ledger.sweep_files(writer, &files, &self.marks()).await;
        if let Ok(swept) = &swept {
            self.shared.world().tally.condemned += swept.condemned as u64;
        }
        check(&self.shared, swept.map(drop))
    }

    async fn sweep_entries(&mut self) -> Result<(), Restart> {
        check(&self.shared, self.ledger.sweep_entries(&self.marks()).await.map(drop))
    }

    fn marks(&self) -> BTreeMap<String, EntryNumber> {
        self.seen.iter().map(|(sink, seen)| (sink.clone(), seen.mark)).collect()
    }

    async fn reconfigure(&mut self) -> Result<(), Restart> {
        let Ok(change) = self.configuration.digest.parse::<u64>() else { return Ok(()) };
        if change >= 3 {
            return Ok(());
        }
        let opened_at_ms = self.clock.now_ms();
        let replaces = self.configuration.digest.clone();
        let body = Body::Configure(Configure { replaces, configuration: configuration(change + 1) });
        let writer = self.next_writer();
        self.enter(Proposal { writer, opened_at_ms, body }).await
    }
}

/// `all`, `some` and `sent` are there from the beginning; each change adds a sink, and removes the one before.
fn configuration(change: u64) -> Configuration {
    let mut sinks = vec!["all".to_owned(), "some".to_owned(), "sent".to_owned()];
    if change > 0 {
        sinks.push(format!("added-{change}"));
    }
    let window = PluginReference {
        layer: "gold".to_owned(),
        step: "window".to_owned(),
        name: "window".to_owned(),
        version: "1".to_owned(),
        digest: String::new(),
        not_deterministic: Vec::new(),
    };
    Configuration { digest: change.to_string(), layers: BTreeMap::new(), sinks, plugins: vec![window] }
}

pub fn goes_to(sink: &str, offset: i64) -> bool {
    sink != "some" || offset % 4 == 1
}

fn topic(partition: i32) -> TopicPartition {
    TopicPartition::new("events", partition)
}

fn file_name(writer: Writer) -> String {
    format!("{}-{}-0.parquet", writer.incarnation, writer.epoch)
}

fn check(shared: &Shared, done: Result<(), LedgerError>) -> Result<(), Restart> {
    match done {
        Err(error) if !error.is_transient() => Err(stopped(shared, &error)),
        _ => Ok(()),
    }
}

/// A worker stops for good only if something is broken: nothing in these schedules is inexplicable.
fn stopped(shared: &Shared, error: &(dyn std::error::Error + 'static)) -> Restart {
    let is_transient = error.downcast_ref::<LedgerError>().is_some_and(LedgerError::is_transient);
    if !is_transient {
        shared.world().fail(format!("a worker stopped: {error}"));
    }
    Restart
}
