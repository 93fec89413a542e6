//! Generated records: every worker could read all of them, so one that reads them has all partitions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{EndOffsets, Generation, Source, SourceError, SourceEvent, Topic};
use crate::batch::{RawBatch, RawRecord};
use crate::generate::{Generated, Generator};
use crate::progress::{OffsetRange, TopicPartition};

/// The topic that generated records are of.
pub const TOPIC: &str = "generated";

/// How far the generator may fall behind its rate, and make up for it.
const LONGEST_DEBT: Duration = Duration::from_secs(1);

/// What is generated, and how fast. Plain data.
#[derive(Debug, Clone)]
pub struct GeneratedSettings {
    pub generator: Arc<Generator>,
    /// Records a second, of all partitions together; `None` is as fast as they are taken.
    pub rate: Option<u64>,
    pub batch_rows: usize,
    pub batch_bytes: usize,
    /// At a rate: how long a batch is waited for.
    pub batch_time: Duration,
}

pub struct GeneratedSource {
    settings: GeneratedSettings,
    topic: Arc<str>,
    is_assigned: bool,
    paused: bool,
    started: BTreeMap<TopicPartition, Started>,
    /// Whose turn it is.
    next: usize,
    /// Records that the rate has brought since the last batch.
    due: f64,
    counted_at: Instant,
    buffer: Generated,
}

struct Started {
    generation: Generation,
    position: i64,
}

impl GeneratedSource {
    pub fn open(settings: GeneratedSettings, ends: &EndOffsets) -> Result<Self, SourceError> {
        let source = Self {
            settings,
            topic: TOPIC.into(),
            is_assigned: false,
            paused: false,
            started: BTreeMap::new(),
            next: 0,
            due: 0.0,
            counted_at: Instant::now(),
            buffer: Generated::default(),
        };
        let known = source.partitions()?.into_iter().map(|partition| {
            let end = source.end(&partition);
            (partition, end)
        });
        ends.learn(known.filter(|(_, end)| *end < i64::MAX));
        Ok(source)
    }

    fn end(&self, partition: &TopicPartition) -> i64 {
        let partition = u32::try_from(partition.partition).unwrap_or(u32::MAX);
        let records = self.settings.generator.records_of(partition);
        records.and_then(|records| i64::try_from(records).ok()).unwrap_or(i64::MAX)
    }

    /// How many records the next batch may have.
    fn allowance(&mut self) -> usize {
        let Some(rate) = self.settings.rate else { return self.settings.batch_rows };
        let rate = rate as f64;
        let now = Instant::now();
        self.due += now.duration_since(self.counted_at).as_secs_f64() * rate;
        self.due = self.due.min((LONGEST_DEBT.as_secs_f64() * rate).max(1.0));
        self.counted_at = now;
        let batch_time = self.settings.batch_time.min(LONGEST_DEBT / 2);
        let worth_it = (rate * batch_time.as_secs_f64()).max(1.0);
        if self.due < worth_it { 0 } else { (self.due as usize).min(self.settings.batch_rows) }
    }

    /// The next partition with records left, in turn.
    fn take_turn(&mut self) -> Option<TopicPartition> {
        let count = self.started.len();
        let turns = self.started.iter().cycle().skip(self.next).take(count).enumerate();
        let (skipped, partition) = turns
            .filter(|(_, (partition, started))| started.position < self.end(partition))
            .map(|(skipped, (partition, _))| (skipped, partition.clone()))
            .next()?;
        self.next = (self.next + skipped + 1) % count;
        Some(partition)
    }

    fn batch(&mut self, partition: TopicPartition, rows: usize) -> Option<SourceEvent> {
        let end = self.end(&partition);
        let started = self.started.get_mut(&partition)?;
        let of = u32::try_from(partition.partition).ok()?;
        let from = started.position;
        let (mut records, mut data) = (Vec::new(), Vec::new());
        let mut offset = from;
        while offset < end && records.len() < rows && data.len() < self.settings.batch_bytes {
            let at = u64::try_from(offset).unwrap_or_default();
            self.settings.generator.write(of, at, &mut self.buffer);
            let mut append = |bytes: &[u8]| {
                let begun = data.len();
                data.extend_from_slice(bytes);
                begun..data.len()
            };
            let key = (!self.buffer.key.is_empty()).then(|| append(&self.buffer.key));
            let payload = Some(append(&self.buffer.payload));
            let timestamp_ms = Some(self.settings.generator.time_us(of, at) / 1000);
            records.push(RawRecord { offset, timestamp_ms, key, payload });
            offset += 1;
        }
        started.position = offset;
        let generation = started.generation;
        let range = OffsetRange { from, to: offset };
        let batch = RawBatch { partition, range, lost: false, records, data };
        Some(SourceEvent::Batch { batch, generation })
    }
}

impl Source for GeneratedSource {
    fn poll(&mut self, timeout: Duration) -> Result<Option<SourceEvent>, SourceError> {
        if !self.is_assigned {
            self.is_assigned = true;
            return Ok(Some(SourceEvent::Assigned(self.partitions()?)));
        }
        let rows = if self.paused { 0 } else { self.allowance() };
        let partition = if rows > 0 { self.take_turn() } else { None };
        let Some(partition) = partition else {
            sleep(timeout);
            return Ok(None);
        };
        let event = self.batch(partition, rows);
        if let Some(SourceEvent::Batch { batch, .. }) = &event {
            self.due -= batch.records.len() as f64;
        }
        Ok(event)
    }

    fn start(
        &mut self,
        positions: &[(TopicPartition, i64)],
        generation: Generation,
    ) -> Result<(), SourceError> {
        for (partition, position) in positions {
            let end = self.end(partition);
            if *position > end {
                let what = "The pipeline file gives fewer records than were read: give at least as many, or a new `id` and a \
                            new `state`"
                    .to_owned();
                let (partition, wanted) = (partition.clone(), *position);
                return Err(SourceError::LostOffsets { partition, wanted, low: 0, high: end, what });
            }
            self.started.insert(partition.clone(), Started { generation, position: *position });
        }
        Ok(())
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), SourceError> {
        self.started.retain(|partition, _| !partitions.contains(partition));
        Ok(())
    }

    fn pause(&mut self) -> Result<(), SourceError> {
        self.paused = true;
        Ok(())
    }

    fn resume(&mut self) -> Result<(), SourceError> {
        self.paused = false;
        Ok(())
    }

    fn commit(&self, _: &[(TopicPartition, i64)]) {}

    fn connected(&self) -> bool {
        true
    }

    fn topics(&mut self) -> Result<Vec<Topic>, SourceError> {
        let partitions = i32::try_from(self.settings.generator.settings().partitions).unwrap_or(i32::MAX);
        Ok(vec![Topic { name: self.topic.clone(), id: None, partitions }])
    }

    fn partitions(&self) -> Result<Vec<TopicPartition>, SourceError> {
        let partitions = i32::try_from(self.settings.generator.settings().partitions).unwrap_or(i32::MAX);
        Ok((0..partitions).map(|partition| TopicPartition::new(self.topic.clone(), partition)).collect())
    }

    fn watermarks(&self, partition: &TopicPartition) -> Result<(i64, i64), SourceError> {
        Ok((0, self.end(partition)))
    }

    fn first_position(&self, _: &TopicPartition) -> Result<i64, SourceError> {
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::{Field, GeneratorSettings, Share, Value};

    fn source(rate: Option<u64>, records: u64) -> GeneratedSource {
        let field =
            Field { value: Value::Sequence, missing: Share::default(), null: Share::default(), count: None };
        let generator = Generator::new(GeneratorSettings {
            seed: 1,
            partitions: 3,
            records: Some(records),
            start_us: 0,
            step_us: 1000,
            malformed: Share::default(),
            duplicates: Share::default(),
            key: None,
            fields: [("n".to_owned(), field)].into(),
            changes: Vec::new(),
        });
        let settings = GeneratedSettings {
            generator: Arc::new(generator.unwrap()),
            rate,
            batch_rows: 10,
            batch_bytes: 1 << 20,
            batch_time: Duration::from_millis(10),
        };
        GeneratedSource::open(settings, &EndOffsets::default()).unwrap()
    }

    fn read_all(source: &mut GeneratedSource, generation: Generation) -> BTreeMap<i32, Vec<(i64, Vec<u8>)>> {
        let mut found: BTreeMap<i32, Vec<(i64, Vec<u8>)>> = BTreeMap::new();
        while let Some(event) = source.poll(Duration::ZERO).unwrap() {
            let SourceEvent::Batch { batch, generation: of } = event else { panic!("{event:?}") };
            assert_eq!(of, generation);
            let partition = found.entry(batch.partition.partition).or_default();
            let records = batch.records.iter();
            partition.extend(records.map(|record| (record.offset, batch.payload(record).unwrap().to_vec())));
        }
        found
    }

    #[test]
    fn everything_is_read_once_and_the_same_again_from_anywhere() {
        let mut source = source(None, 100);
        let Some(SourceEvent::Assigned(partitions)) = source.poll(Duration::ZERO).unwrap() else { panic!() };
        assert!(source.poll(Duration::ZERO).unwrap().is_none(), "nothing is read before it is started");
        let from = |at: i64| partitions.iter().map(|partition| (partition.clone(), at)).collect::<Vec<_>>();
        source.start(&from(0), 1).unwrap();
        let all = read_all(&mut source, 1);
        assert_eq!(all.values().map(Vec::len).collect::<Vec<_>>(), [34, 33, 33]);
        assert!(
            all.values().all(|records| records.iter().map(|(offset, _)| *offset).eq(0..records.len() as i64))
        );
        source.start(&from(20), 2).unwrap();
        let rest = read_all(&mut source, 2);
        assert!(all.iter().all(|(partition, records)| records[20..] == rest[partition]));
        source.start(&from(0), 3).unwrap();
        source.release(&partitions[1..]).unwrap();
        assert_eq!(read_all(&mut source, 3).keys().collect::<Vec<_>>(), [&0]);
        assert!(matches!(source.start(&from(35), 4), Err(SourceError::LostOffsets { high: 34, .. })));
    }

    #[test]
    fn a_rate_is_kept() {
        let mut source = source(Some(1000), u64::from(u32::MAX));
        let Some(SourceEvent::Assigned(partitions)) = source.poll(Duration::ZERO).unwrap() else { panic!() };
        let positions: Vec<_> = partitions.into_iter().map(|partition| (partition, 0)).collect();
        source.start(&positions, 1).unwrap();
        let begun = Instant::now();
        let mut records = 0;
        while begun.elapsed() < Duration::from_millis(500) {
            if let Some(SourceEvent::Batch { batch, .. }) = source.poll(Duration::from_millis(1)).unwrap() {
                records += batch.records.len();
            }
        }
        let expected = begun.elapsed().as_secs_f64() * 1000.0;
        assert!((records as f64) <= expected + 10.0, "{records} of {expected}");
        assert!(records as f64 >= expected / 2.0, "{records} of {expected}");
    }
}
