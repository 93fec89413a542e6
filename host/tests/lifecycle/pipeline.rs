//! One worker with one task, its ledger and its tables, step by step in the test's hand.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use object_store::memory::InMemory;
use object_store::path::Path;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use serde_json::{Value, json};
use sluicebox::batch::{RawBatch, RawRecord};
use sluicebox::clock::SystemClock;
use sluicebox::decode::event_time::EventTimeSettings;
use sluicebox::decode::{DecodeSettings, Decoder, Policy};
use sluicebox::ledger::bucket::BucketEntries;
use sluicebox::ledger::entry::{Body, Configuration, Epoch, StateSegment, TaskEntry, Writer};
use sluicebox::ledger::{Appended, Ledger, LedgerSettings, Opening, Proposal};
use sluicebox::pipeline::TaskPlan;
use sluicebox::pipeline::blueprint::{Blueprint, TableSpec};
use sluicebox::pipeline::event_clock::{EventClock, EventTimePlan};
use sluicebox::pipeline::outputs::Outputs;
use sluicebox::pipeline::share_limit::ShareLimit;
use sluicebox::pipeline::state_objects::StateObjects;
use sluicebox::pipeline::task::{Processed, Task, TaskError, TaskStart};
use sluicebox::pipeline::tree::{LayerSpec, LayerTree, StepSpec};
use sluicebox::plugin::{Engine, EngineSettings, Limits, OnError, Plugin};
use sluicebox::progress::{Accounting, OffsetRange, TopicPartition};
use sluicebox::schema::{Column, RecordSchema, parse_type};
use sluicebox::sink::delta::Mode;
use sluicebox::sink::rows::FileFormat;
use sluicebox::telemetry::Metrics;
use tokio::runtime::Runtime;
use uuid::Uuid;

use super::components::{bundled, component};

/// The rows of a table as text, sorted.
pub type Rows = Vec<String>;

const CONFIGURATION: &str = "one";

/// Layers `numbered` (duplicates go, the rows of each key are numbered) and `windows` (sums by key and minute).
pub struct Worker {
    runtime: Runtime,
    ledger: Ledger,
    objects: StateObjects,
    incarnation: Uuid,
    epoch: u64,
    plan: TaskPlan,
    metrics: Arc<Metrics>,
    task: Task,
    outputs: Outputs,
    position: i64,
    tables: BTreeMap<String, Rows>,
}

impl Worker {
    pub fn new(version: u32) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let store = Arc::new(InMemory::new());
        let incarnation = Uuid::new_v4();
        let opening = Opening {
            pipeline: "lifecycle".to_owned(),
            configuration: Configuration {
                digest: CONFIGURATION.to_owned(),
                layers: BTreeMap::from([
                    ("numbered".to_owned(), None),
                    ("windows".to_owned(), Some("numbered".to_owned())),
                ]),
                sinks: ["dead_letters", "numbered", "windows"].map(str::to_owned).to_vec(),
                plugins: Vec::new(),
            },
            incarnation,
            new_id: Uuid::new_v4(),
            known: None,
        };
        let entries = Arc::new(BucketEntries::new(store.clone(), Path::from("ledger")));
        let opened = Ledger::open(entries, Arc::new(SystemClock), LedgerSettings::default(), opening);
        let ledger = runtime.block_on(opened).unwrap();
        let plan = plan(version);
        let metrics = Arc::new(Metrics::new(plan.tree.step_names()));
        let outputs = Outputs::new(&plan.layouts, incarnation, 0);
        let start = TaskStart {
            partition: partition(),
            generation: 0,
            position: 0,
            max_event_time: None,
            state: Vec::new(),
            suspect: None,
        };
        let task = open(&plan, &metrics, start).unwrap();
        let mut worker = Self {
            runtime,
            ledger,
            objects: StateObjects::new(store),
            incarnation,
            epoch: 0,
            plan,
            metrics,
            task,
            outputs,
            position: 0,
            tables: BTreeMap::new(),
        };
        worker.enter(first_entry(), Vec::new());
        worker
    }

    /// The next offset.
    pub fn position(&self) -> i64 {
        self.position
    }

    pub fn process(&mut self, records: i64) {
        if records == 0 {
            return;
        }
        let batch = batch(self.position, self.position + records);
        let processed = self.task.process(&batch, 0, &mut self.outputs).unwrap();
        assert!(matches!(processed, Processed::Done));
        self.position += records;
    }

    /// Enters what was done since the last time.
    pub fn cut(&mut self) {
        let files = self.outputs.cut(self.epoch + 1).unwrap();
        let Some(cut) = self.task.cut().unwrap() else { return };
        let mut rows = Vec::new();
        for sink in files {
            let name = self.plan.tree.sinks[sink.sink].clone();
            for file in sink.files {
                let reader = ParquetRecordBatchReader::try_new(file.bytes, 1024).unwrap();
                rows.extend(reader.flat_map(|batch| texts(&batch.unwrap())).map(|row| (name.clone(), row)));
            }
        }
        let known = self.ledger.state();
        let builds_on = Some(known.tasks[&cut.partition].entry);
        let mut tasks = vec![cut];
        let writer = Writer { incarnation: self.incarnation, epoch: self.epoch + 1 };
        let put = self.objects.put(writer, &known, &mut tasks);
        let state = self.runtime.block_on(put).unwrap().remove(0);
        let cut = tasks.remove(0);
        let entry = TaskEntry {
            partition: cut.partition,
            topic_id: None,
            builds_on,
            range: cut.range,
            accounting: cut.accounting,
            max_event_time: cut.max_event_time,
            watermark: cut.watermark,
            state,
        };
        self.enter(entry, rows);
    }

    /// Goes on from the ledger under a plugin whose state has this version, or as before, if it is refused.
    pub fn swap(&mut self, version: u32) -> Result<(), String> {
        let before = std::mem::replace(&mut self.plan, plan(version));
        let refused = self.go_on_from_ledger().err().map(|error| error.to_string());
        match refused {
            None => Ok(()),
            Some(refused) => {
                self.plan = before;
                self.restart();
                Err(refused)
            }
        }
    }

    /// Drops what is not in the ledger, and goes on from there.
    pub fn restart(&mut self) {
        self.go_on_from_ledger().unwrap();
    }

    fn go_on_from_ledger(&mut self) -> Result<(), TaskError> {
        let state = self.ledger.state();
        let task = &state.tasks[&partition()];
        let start = TaskStart {
            partition: task.partition.clone(),
            generation: 0,
            position: task.position,
            max_event_time: task.max_event_time,
            state: self.runtime.block_on(self.objects.restore(&task.state)).unwrap(),
            suspect: None,
        };
        self.task = open(&self.plan, &self.metrics, start)?;
        self.position = task.position;
        self.outputs = Outputs::new(&self.plan.layouts, self.incarnation, 0);
        Ok(())
    }

    /// All rows that were entered.
    pub fn rows(mut self) -> BTreeMap<String, Rows> {
        self.tables.values_mut().for_each(|rows| rows.sort());
        self.tables
    }

    pub fn stored_links(&self, step: &str) -> usize {
        self.chain(step).len()
    }

    pub fn stored_version(&self, step: &str) -> Option<u32> {
        let stored = self.runtime.block_on(self.objects.restore(&self.chain(step))).unwrap();
        stored.first()?.fold().unwrap().map(|(layout, _)| layout.version)
    }

    fn chain(&self, step: &str) -> Vec<StateSegment> {
        let segments = &self.ledger.state().tasks[&partition()].state;
        segments.iter().filter(|segment| segment.step == step).cloned().collect()
    }

    fn enter(&mut self, task: TaskEntry, rows: Vec<(String, String)>) {
        self.epoch += 1;
        let body = Body::Epoch(Epoch {
            configuration: CONFIGURATION.to_owned(),
            schema_version: 0,
            proposes_schema: None,
            tasks: vec![task],
            references: BTreeMap::new(),
            sinks: BTreeMap::new(),
            seen: BTreeMap::new(),
        });
        let writer = Writer { incarnation: self.incarnation, epoch: self.epoch };
        let opened_at_ms = self.ledger.clock().now_ms();
        let appended = self.runtime.block_on(self.ledger.append(Proposal { writer, opened_at_ms, body }));
        assert!(matches!(appended.unwrap(), Appended::Entered(_)));
        for (table, row) in rows {
            self.tables.entry(table).or_default().push(row);
        }
    }
}

fn open(plan: &TaskPlan, metrics: &Arc<Metrics>, start: TaskStart) -> Result<Task, TaskError> {
    let decoder = Decoder::new(plan.decode.clone(), plan.records.clone()).unwrap();
    let clock = EventClock::new(plan.event_time.clone(), start.max_event_time, 0);
    Task::open(plan.tree.clone(), decoder, clock, metrics.clone(), start)
}

fn partition() -> TopicPartition {
    TopicPartition::new("events", 0)
}

fn first_entry() -> TaskEntry {
    TaskEntry {
        partition: partition(),
        topic_id: None,
        builds_on: None,
        range: OffsetRange::empty_at(0),
        accounting: Accounting::default(),
        max_event_time: None,
        watermark: None,
        state: Vec::new(),
    }
}

/// Event times waver by 20 seconds around three seconds a record; of each 13 records the last two are of one event.
fn batch(from: i64, to: i64) -> RawBatch {
    let mut data = Vec::new();
    let record = |offset: i64| {
        let event = offset - i64::from(offset % 13 == 12);
        let second = event * 3 + event * 7 % 20;
        let at = format!("2026-01-01T00:{:02}:{:02}Z", second / 60, second % 60);
        let event = json!({"event": event, "id": event % 7, "at": at, "amount": event * event % 97});
        let start = data.len();
        data.extend(event.to_string().into_bytes());
        RawRecord { offset, timestamp_ms: None, key: None, payload: Some(start..data.len()) }
    };
    let records = (from..to).map(record).collect();
    RawBatch { partition: partition(), range: OffsetRange { from, to }, lost: false, records, data }
}

fn plan(version: u32) -> TaskPlan {
    let column = |(name, data_type): (&str, &str)| Column {
        name: name.to_owned(),
        data_type: parse_type(data_type).unwrap(),
    };
    let columns = [("event", "int64"), ("id", "int64"), ("at", "timestamp"), ("amount", "int64")];
    let records = RecordSchema::new(columns.map(column).to_vec()).unwrap();
    let (mode, format) = (Mode::Append, FileFormat::TABLE);
    let table = TableSpec { mode, partition_by: Vec::new(), file_size: 1 << 20, format };
    let event_time = EventTimePlan {
        path: vec!["at".to_owned()],
        settings: EventTimeSettings { delay: 30_000_000, max_ahead: None },
        idle: None,
    };
    let decode =
        DecodeSettings { policy: Policy::Strict, max_columns: 10, max_depth: 3, max_record_bytes: 1000 };
    let blueprint = Blueprint {
        tree: Arc::new(tree(version)),
        tables: vec![table; 3],
        decode,
        event_time: Some(Arc::new(event_time)),
        declared: Some(records.clone()),
    };
    blueprint.plan(&records).unwrap()
}

fn tree(version: u32) -> LayerTree {
    let aggregates = json!([
        {"name": "rows", "function": "count"},
        {"name": "amount", "function": "sum", "column": "amount"},
        {"name": "last", "function": "max", "column": "number"},
    ]);
    let numbered = [
        ("distinct", "dedupe", json!({"keys": ["event"], "within": "1h", "time": "at"})),
        ("numbers", "state-versions", json!({"version": version})),
    ];
    let windows =
        [("sums", "window", json!({"size": "1m", "time": "at", "by": ["id"], "aggregates": aggregates}))];
    let layer = |name: &str, parent, sink, steps: &[(&str, &str, Value)]| LayerSpec {
        name: name.to_owned(),
        parent,
        steps: steps.iter().map(|(name, plugin, config)| step(name, plugin, config)).collect(),
        positions: false,
        quarantine_late_rows: false,
        sink,
        quarantine: None,
        keyed: None,
        messages: None,
    };
    LayerTree {
        layers: vec![layer("numbered", None, 1, &numbered), layer("windows", Some(0), 2, &windows)],
        sinks: ["dead_letters", "numbered", "windows"].map(str::to_owned).to_vec(),
        capturing: None,
    }
}

fn step(name: &str, plugin: &str, config: &Value) -> StepSpec {
    StepSpec {
        name: name.to_owned(),
        plugin: loaded(plugin),
        config: config.clone(),
        limits: Limits::default(),
        on_error: OnError::SetAside,
        grants: Arc::default(),
        quarantines_failed_rows: false,
        rejections: ShareLimit { max_share: 1.0, min_rows: 0 },
        shadow: None,
        reference: None,
    }
}

fn loaded(name: &str) -> Arc<Plugin> {
    static LOADED: OnceLock<BTreeMap<&str, Arc<Plugin>>> = OnceLock::new();
    let loaded = LOADED.get_or_init(|| {
        let engine = Engine::new(&EngineSettings::default()).unwrap();
        let paths = [
            ("dedupe", bundled("dedupe")),
            ("window", bundled("window")),
            ("state-versions", component("state-versions")),
        ];
        paths.map(|(name, path)| (name, engine.load(&path, None).unwrap())).into()
    });
    loaded[name].clone()
}

fn texts(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default();
    let columns: Vec<ArrayFormatter<'_>> =
        batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
    let text = |row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join(" ");
    (0..batch.num_rows()).map(text).collect()
}
