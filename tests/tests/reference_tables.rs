//! Rows are looked up in tables that change while the pipeline runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use serde_json::Value;
use sluicebox_tests::broker::Broker;
use sluicebox_tests::pipeline::{Pipeline, Settings};
use sluicebox_tests::reference_tables::{IDS, ReferenceTables, rows, value};
use sluicebox_tests::swaps::{another_build, component, swaps};
use sluicebox_tests::tables::{column, positions};

const FILE: &str = include_str!("../pipelines/enrich.yaml");
const SETTINGS: Settings = Settings { batch_rows: 64, epoch_ms: 200, epoch_rows: 5_000 };
const PARTITIONS: i32 = 3;
/// The steps, with the columns that they set.
const STEPS: [(&str, &str); 3] =
    [("silver/by_parquet", "from_parquet"), ("silver/by_csv", "from_csv"), ("silver/by_delta", "from_delta")];
const PATIENCE: Duration = Duration::from_secs(60);

/// Records that keep coming: `{"id": offset % (IDS + 2)}`, so that some match nothing.
struct Load {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<i64>>,
}

impl Load {
    fn start(broker: &'static Broker, topic: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, topic) = (stop.clone(), topic.to_owned());
        let thread = thread::spawn(move || {
            let mut sent = 0;
            while !stopped.load(Ordering::Relaxed) {
                let payloads: Vec<String> =
                    (sent..sent + 40).map(|offset| format!(r#"{{"id": {}}}"#, offset % (IDS + 2))).collect();
                for partition in 0..PARTITIONS {
                    broker.send(&topic, partition, payloads.iter().map(String::as_str))?;
                }
                sent += 40;
                thread::sleep(Duration::from_millis(10));
            }
            Ok(sent)
        });
        Self { stop, thread }
    }

    /// Returns the end of each partition.
    fn stop(self) -> Result<i64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the producer panicked"))?
    }
}

/// The bodies of all entries that are epochs, in order.
fn epochs(pipeline: &Pipeline) -> Result<Vec<Value>> {
    let mut entries = pipeline.entries()?;
    entries.retain(|entry| entry["body"]["kind"] == "epoch");
    Ok(entries.into_iter().map(|mut entry| entry["body"].take()).collect())
}

/// Waits until rows of an epoch were looked up in these versions.
fn wait_for_versions(pipeline: &Pipeline, versions: &[String; 3]) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let is_in_use = |epoch: &Value| {
        STEPS.iter().zip(versions).all(|((step, _), version)| epoch["references"][step] == **version)
    };
    while !epochs(pipeline)?.iter().any(is_in_use) {
        ensure!(Instant::now() < deadline, "no epoch with {versions:?}");
        // Files tell nobody on their own.
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// The versions of the tables by their names in the ledger.
type Versions = BTreeMap<String, i64>;

/// Holds each row of silver to the versions that its epoch's entry names. Returns which versions rows were looked up in.
fn check_rows(pipeline: &Pipeline, versions: &Versions) -> Result<BTreeSet<i64>> {
    // For each partition: up to which offset, which versions.
    let mut ranges: BTreeMap<i64, Vec<(i64, [i64; 3])>> = BTreeMap::new();
    for epoch in epochs(pipeline)? {
        let named =
            STEPS.map(|(step, _)| epoch["references"][step].as_str().and_then(|name| versions.get(name)));
        for task in epoch["tasks"].as_array().context("no tasks")? {
            let (partition, to) = (task["partition"].as_i64(), task["to"].as_i64());
            if task["from"] == task["to"] {
                continue;
            }
            let mut found = [0; 3];
            for (found, named) in found.iter_mut().zip(named) {
                *found = *named.with_context(|| format!("an epoch without known versions: {epoch}"))?;
            }
            let range = (to.context("no `to`")?, found);
            ranges.entry(partition.context("no partition")?).or_default().push(range);
        }
    }
    let mut used = BTreeSet::new();
    pipeline.table("silver")?.scan(|batch| {
        let int64s =
            |name: &str| Ok::<_, anyhow::Error>(column(batch, name)?.as_primitive::<Int64Type>().clone());
        let (ids, found) = (int64s("id")?, STEPS.map(|(_, name)| int64s(name)));
        let found = found.into_iter().collect::<Result<Vec<_>>>()?;
        for (row, (partition, offset)) in positions(batch)?.into_iter().enumerate() {
            let ranges = &ranges[&i64::from(partition)];
            let at = ranges.partition_point(|(to, _)| *to <= offset);
            for ((column, version), (step, _)) in found.iter().zip(ranges[at].1).zip(STEPS) {
                let found = column.is_valid(row).then(|| column.value(row));
                let expected = value(version, ids.value(row));
                ensure!(
                    found == expected,
                    "{step}, {partition}/{offset}: {found:?}, but version {version} has {expected:?}"
                );
                used.insert(version);
            }
        }
        Ok(())
    })?;
    Ok(used)
}

/// Three tables change seven times under two workers and load, while one of the workers is killed and dies before and after
/// an entry. Each row has the values of the versions that its epoch's entry names, none is lost and none comes twice.
#[test]
fn every_row_is_looked_up_in_the_version_that_its_entry_names() -> Result<()> {
    let broker = Broker::shared()?;
    let topic = broker.create_topic("enrich", PARTITIONS as usize)?;
    let pipeline = Pipeline::with_file(FILE, "enrich", broker, &topic, SETTINGS)?;
    let tables = ReferenceTables::new(pipeline.folder().join("tables"))?;
    let mut versions = Versions::new();
    let mut write = |version: i64| -> Result<[String; 3]> {
        let names = tables.write(version)?;
        versions.extend(names.iter().map(|name| (name.clone(), version)));
        Ok(names)
    };
    let first = write(0)?;
    let shown = pipeline.check()?;
    ensure!(
        shown.contains("reference: silver.by_csv: 8 rows of (value int64, id int32), version sha256:"),
        "{shown}"
    );
    ensure!(shown.contains(&format!("version {}", first[2])), "{shown}");

    let load = Load::start(broker, &topic);
    let one = pipeline.worker("one")?.start()?;
    let mut two = pipeline.worker("two")?.start()?;
    wait_for_versions(&pipeline, &first)?;
    for version in 1..=7 {
        let names = write(version)?;
        match version {
            2 => {
                two.kill()?;
                two = pipeline.worker("two")?.start()?;
            }
            4 | 6 => {
                let point = if version == 4 { "before_entry#4" } else { "after_entry#4" };
                two.stop()?;
                pipeline.worker("two")?.crash_at(point).start()?.expect_crash()?;
                two = pipeline.worker("two")?.start()?;
            }
            _ => {}
        }
        wait_for_versions(&pipeline, &names)?;
    }
    let end = load.stop()?;
    one.stop()?;
    two.stop()?;
    pipeline.catch_up("one")?;

    let all: Vec<(i32, i64)> =
        (0..PARTITIONS).flat_map(|partition| (0..end).map(move |offset| (partition, offset))).collect();
    assert_eq!(pipeline.positions("silver")?, all);
    assert_eq!(check_rows(&pipeline, &versions)?, (0..=7).collect());
    pipeline.audit()?;
    pipeline.close()
}

fn http_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// The value of a metric of the step `by_parquet`.
fn metric(port: u16, name: &str) -> Result<f64> {
    let mut connection = TcpStream::connect(("127.0.0.1", port))?;
    connection.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
    let text = io::read_to_string(connection)?;
    let start = format!("{name}{{layer=\"silver\",step=\"by_parquet\"}} ");
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(&start))
        .with_context(|| format!("no {name}:\n{text}"))?;
    Ok(value.parse()?)
}

/// A table that cannot be read, is too large, has a key twice or other columns: the version before goes on, the log and a
/// metric say so, and the next good one is in use.
#[test]
fn a_table_that_cannot_be_used_leaves_the_version_before_in_use() -> Result<()> {
    let broker = Broker::shared()?;
    let topic = broker.create_topic("bad-references", PARTITIONS as usize)?;
    let pipeline = Pipeline::with_file(FILE, "bad-references", broker, &topic, SETTINGS)?;
    let port = http_port()?;
    pipeline.rewrite(|file| format!("{file}http: {port}\n"))?;
    let tables = ReferenceTables::new(pipeline.folder().join("tables"))?;
    let refused = pipeline.fail("worker")?;
    ensure!(
        refused.contains("layer `silver`, step `by_parquet`: its reference table: there is no"),
        "{refused}"
    );

    let mut versions = Versions::new();
    let first = tables.write(0)?;
    versions.extend(first.iter().map(|name| (name.clone(), 0)));
    let load = Load::start(broker, &topic);
    let worker = pipeline.worker("worker")?.start()?;
    wait_for_versions(&pipeline, &first)?;
    assert_eq!(metric(port, "sluicebox_reference_rows")?, IDS as f64);
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["one"]));
    let one: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let twice: ArrayRef = Arc::new(Int64Array::from(vec![1, 1]));
    let table = |columns: [(&'static str, &ArrayRef); 2]| {
        RecordBatch::try_from_iter(columns.map(|(name, column)| (name, column.clone())))
    };
    let mut failures = 0.0;
    for (rows, says) in [
        (None, "cannot be read"),
        (Some(rows(1, 20_000)?), "takes more than `max_bytes` (65536)"),
        (Some(table([("id", &twice), ("value", &twice)])?), "more than one row with `id` = 1"),
        (Some(table([("id", &one), ("value", &texts)])?), "would give other columns than before"),
        (Some(table([("id", &texts), ("value", &one)])?), "they never compare"),
        (Some(table([("key", &one), ("value", &one)])?), "has no column `id`"),
    ] {
        match rows {
            Some(rows) => tables.write_parquet(&rows)?,
            None => tables.put("machines.parquet", b"this is no Parquet")?,
        }
        worker.wait_for_log(says)?;
        let counted = metric(port, "sluicebox_reference_failures_total")?;
        assert!(counted > failures, "{says}: {counted} failures");
        failures = counted;
    }
    let next = tables.write(1)?;
    versions.extend(next.iter().map(|name| (name.clone(), 1)));
    wait_for_versions(&pipeline, &next)?;
    let end = load.stop()?;
    worker.stop()?;
    pipeline.catch_up("worker")?;
    assert_eq!(pipeline.rows("silver")?, (end * i64::from(PARTITIONS)) as u64);
    assert_eq!(check_rows(&pipeline, &versions)?, [0, 1].into());
    pipeline.audit()?;
    pipeline.close()
}

/// What the pipeline file says of a table and cannot be is refused with its place.
#[test]
fn a_step_and_its_plugin_must_agree_on_a_table() -> Result<()> {
    let broker = Broker::shared()?;
    let topic = broker.create_topic("reference-mistakes", 1)?;
    let pipeline = Pipeline::with_file(FILE, "reference-mistakes", broker, &topic, SETTINGS)?;
    ReferenceTables::new(pipeline.folder().join("tables"))?.write(0)?;
    pipeline.check()?;
    let delta = "        reference: { delta: ./tables/delta, refresh: 100ms }\n";
    for (from, to, says) in [
        (delta, "", "the plugin `enrich` looks rows up in a table: give the step a `reference`"),
        ("plugin: enrich", "plugin: filter", "the plugin `filter` looks nothing up"),
        ("{ delta: ./tables/delta,", "{ delta: ./a, csv: ./b,", "give one of `parquet`, `csv` and `delta`"),
        ("on: [id], select: { from_delta", "on: [ident], select: { from_delta", "no column `ident`"),
        ("{ delta: ./tables/delta, refresh: 100ms }", "{ delta: ./tables/delta, version: 7 }", "by_delta"),
    ] {
        pipeline.rewrite(|file| file.replacen(from, to, 1))?;
        let refused = format!("{:#}", pipeline.check().err().with_context(|| format!("{to} passes"))?);
        ensure!(refused.contains(says), "{refused} does not say {says}");
        pipeline.rewrite(|_| FILE.to_owned())?;
    }
    pipeline.close()
}

/// A step that looks rows up goes back to the component that it ran before, with its table.
#[test]
fn a_step_with_a_table_is_rolled_back() -> Result<()> {
    let broker = Broker::shared()?;
    let topic = broker.create_topic("reference-rollback", PARTITIONS as usize)?;
    let pipeline = Pipeline::with_file(FILE, "reference-rollback", broker, &topic, SETTINGS)?;
    ReferenceTables::new(pipeline.folder().join("tables"))?.write(0)?;
    pipeline.rewrite(|file| file.replacen("plugin: enrich", "plugin: ./enrich.wasm", 1))?;
    let enrich = component("enrich")?;
    for (partition, component) in [(0, enrich.clone()), (1, another_build(&enrich, 1))] {
        fs::write(pipeline.folder().join("enrich.wasm"), component)?;
        broker.send(&topic, partition, [r#"{"id": 1}"#])?;
        pipeline.catch_up("worker")?;
    }
    let said = pipeline.sluicebox(&["plugin", "rollback"])?.success()?;
    ensure!(said.contains("silver.by_parquet: enrich"), "{said}");
    broker.send(&topic, 2, [r#"{"id": 1}"#])?;
    pipeline.catch_up("worker")?;
    let swaps = swaps(&pipeline)?;
    assert_eq!(swaps.len(), 2);
    assert_eq!(swaps[1].len(), 1, "all three steps run the bundled component again");
    assert_eq!(pipeline.rows("silver")?, 3);
    pipeline.audit()?;
    pipeline.close()
}
