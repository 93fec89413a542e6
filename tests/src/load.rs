//! Events that keep coming while a test does something to the workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use iot_sensors::events::{Rates, Stream};
use iot_sensors::feed::Feed;

use crate::broker::Broker;

const TICKS_PER_SECOND: u64 = 20;
/// Records of a partition: a quarter of an hour of a stream.
const LEAST: u64 = 900;

/// A stream with some of everything; its new fields appear at offset `new_fields_from` of each partition.
pub fn mixed_stream(seed: u64, new_fields_from: i64) -> Stream {
    Stream {
        seed,
        start_ms: 1_767_225_600_000,
        step_ms: 1000,
        machines: 5,
        rates: Rates { malformed: 10, late: 10, duplicate: 15, implausible: 15 },
        new_fields_from,
    }
}

/// A producer in the background. It stops when dropped.
pub struct Load {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Vec<i64>>>>,
}

impl Load {
    /// Sends `stream` to an empty `topic` at a steady rate until it is stopped, and no fewer than close some windows.
    pub fn start(
        broker: &Broker,
        topic: &str,
        partitions: usize,
        stream: Stream,
        per_second: u64,
    ) -> Result<Self> {
        let mut feed = Feed::open(broker.bootstrap_servers(), topic, partitions, stream)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, least) = (stop.clone(), partitions as u64 * LEAST);
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) || feed.sent() < least {
                feed.send(per_second / TICKS_PER_SECOND)?;
                thread::sleep(Duration::from_secs(1) / TICKS_PER_SECOND as u32);
            }
            feed.flush()
        });
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Returns each partition's end offset.
    pub fn stop(mut self) -> Result<Vec<i64>> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("it was not stopped before")?;
        thread.join().map_err(|_| anyhow!("the producer panicked"))?
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
