//! The demo: an embedded Kafka, a stream of sensor events, and a Sluicebox worker as a child process.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this program talks to people")]

mod cluster;
mod display;
mod metrics;
mod worker;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use chrono::Utc;
use clap::Parser;
use iot_sensors::events::{Rates, Stream};
use iot_sensors::feed::Feed;

use crate::cluster::Cluster;
use crate::display::Display;
use crate::metrics::Metrics;
use crate::worker::Worker;

const PIPELINE: &str = include_str!("../pipeline.yaml");
const TOPIC: &str = "iot-sensors";

/// How often events are handed to the producer, and how often the progress is read.
const PRODUCE_EVERY: Duration = Duration::from_millis(20);
const SHOW_EVERY: Duration = Duration::from_millis(250);
/// So long without progress, and the demo gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the pipeline `iot-sensors` on events that are produced meanwhile, without any service.
#[derive(Parser)]
#[command(name = "iot-sensors-demo")]
struct Options {
    /// For how long events are produced
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,

    /// Events per second
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,

    /// Where the tables go: a new or empty folder
    #[arg(long)]
    dir: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<()> {
    let events = u64::from(options.rate) * u64::from(options.seconds);
    let dir = prepare_folder(options.dir)?;

    let cluster = Cluster::start(TOPIC, events)?;
    println!("Kafka:    embedded, {} partitions, at {}", cluster.partitions(), cluster.bootstrap_servers());
    println!("events:   {events} in {} s, some malformed, late, repeated or implausible", options.seconds);
    println!("pipeline: {}\n", dir.join("pipeline.yaml").display());

    let mut worker = Worker::start(&dir, &cluster.bootstrap_servers())?;
    let stream = stream_over_two_hours(events, cluster.partitions());
    let feed = Feed::open(&cluster.bootstrap_servers(), TOPIC, cluster.partitions(), stream)?;
    let producer = Producer::start(feed, options.rate, events);
    let outcome = watch(&mut worker, producer);
    cluster.check_nothing_dropped()?;
    outcome.with_context(|| format!("the worker's log is {}", worker.log().display()))?;
    let log = worker.log().to_owned();
    worker.stop()?;

    worker::show_tables(&dir)?;
    println!("The tables are in {}, the worker's log is {}.", dir.join("lake").display(), log.display());
    println!("Read them with anything that knows Delta Lake, for instance DuckDB:");
    println!("  select * from delta_scan('{}') limit 10;", dir.join("lake/gold").display());
    Ok(())
}

/// Shows the progress until everything produced is visible in the tables.
fn watch(worker: &mut Worker, producer: Producer) -> Result<()> {
    let mut display = Display::default();
    let (mut newest, mut newest_at) = (None, Instant::now());
    loop {
        thread::sleep(SHOW_EVERY);
        worker.check_running()?;
        let produced = producer.sent.load(Ordering::Relaxed);
        let metrics = Metrics::fetch(worker.http_address()).unwrap_or_default();
        display.show(&metrics, produced);

        let entered = metrics.entered_records();
        let done = producer.finished() && entered >= produced && metrics.all_applied();
        if done || producer.failed() {
            display.end();
            return producer.join();
        }
        if newest.replace(entered) != Some(entered) {
            newest_at = Instant::now();
        }
        if newest_at.elapsed() > PATIENCE {
            display.end();
            bail!(
                "{entered} of {produced} records are in the ledger, and for {} s no more came",
                PATIENCE.as_secs()
            );
        }
    }
}

/// Half-way through, events get new fields. They tell of the last two hours in fast motion.
fn stream_over_two_hours(events: u64, partitions: usize) -> Stream {
    const SPAN_MS: i64 = 2 * 60 * 60 * 1000;
    let each = (events / partitions as u64).max(1) as i64;
    Stream {
        seed: 42,
        start_ms: Utc::now().timestamp_millis() - SPAN_MS,
        step_ms: (SPAN_MS / each).max(1),
        machines: 4,
        rates: Rates { malformed: 2, late: 5, duplicate: 5, implausible: 10 },
        new_fields_from: each / 2,
    }
}

/// Makes the demo's folder, with the pipeline file in it.
fn prepare_folder(wanted: Option<PathBuf>) -> Result<PathBuf> {
    let dir = match wanted {
        Some(dir) => dir,
        None => target_folder()?.join("demo").join(Utc::now().format("%Y%m%d-%H%M%S").to_string()),
    };
    let at = || format!("cannot use the folder {}", dir.display());
    fs::create_dir_all(&dir).with_context(at)?;
    let is_empty = fs::read_dir(&dir).with_context(at)?.next().is_none();
    ensure!(
        is_empty,
        "{} is not empty: each demo has a topic of its own and needs new tables",
        dir.display()
    );
    let dir = dir.canonicalize().with_context(at)?;
    fs::write(dir.join("pipeline.yaml"), PIPELINE).with_context(at)?;
    Ok(dir)
}

/// The folder `target`, where this program lies in `debug` or `release`.
fn target_folder() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let target = program.parent().and_then(Path::parent).context("this program lies in no folder")?;
    Ok(target.to_owned())
}

/// Produces in a thread of its own, at a steady rate.
struct Producer {
    sent: Arc<AtomicU64>,
    thread: JoinHandle<Result<()>>,
    events: u64,
}

impl Producer {
    fn start(mut feed: Feed, rate: u32, events: u64) -> Self {
        let sent = Arc::new(AtomicU64::new(0));
        let counter = sent.clone();
        let thread = thread::spawn(move || {
            let started = Instant::now();
            while feed.sent() < events {
                let due = (started.elapsed().as_secs_f64() * f64::from(rate)) as u64;
                feed.send(due.min(events).saturating_sub(feed.sent()))?;
                counter.store(feed.sent(), Ordering::Relaxed);
                thread::sleep(PRODUCE_EVERY);
            }
            feed.flush().map(drop)
        });
        Self { sent, thread, events }
    }

    /// Everything was produced and delivered.
    fn finished(&self) -> bool {
        self.thread.is_finished() && self.sent.load(Ordering::Relaxed) == self.events
    }

    fn failed(&self) -> bool {
        self.thread.is_finished() && !self.finished()
    }

    fn join(self) -> Result<()> {
        self.thread.join().map_err(|_| anyhow!("the producer panicked"))?
    }
}
