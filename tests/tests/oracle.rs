//! The oracle itself, on tables made by hand: it must pass what is right and name what is wrong.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use arrow::array::{
    ArrayRef, BinaryArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray, StructArray,
    TimestampMicrosecondArray,
};
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake::kernel::{StructField, StructType};
use deltalake::operations::create::CreateBuilder;
use deltalake::writer::{DeltaWriter, RecordBatchWriter};
use iot_sensors::events::{Kind, Stream};
use sluicebox_tests::load::mixed_stream;
use sluicebox_tests::oracle::Oracle;
use sluicebox_tests::python;
use tempfile::TempDir;

const ENDS: [i64; 2] = [1500, 1400];
const MINUTE_MS: i64 = 60_000;

/// The positions of each table, as they must be.
#[derive(Clone, Default)]
struct Lake {
    bronze: Vec<(i32, i64)>,
    silver: Vec<(i32, i64)>,
    quarantine: Vec<(i32, i64)>,
    dead_letters: Vec<(i32, i64)>,
}

impl Lake {
    fn of(stream: &Stream) -> Self {
        let mut lake = Self::default();
        for (partition, end) in (0..).zip(ENDS) {
            for position in (0..end).map(|offset| (partition, offset)) {
                match stream.kind(position.0, position.1) {
                    Kind::Malformed => lake.dead_letters.push(position),
                    Kind::Implausible => {
                        lake.bronze.push(position);
                        lake.quarantine.push(position);
                    }
                    Kind::Duplicate { .. } => lake.bronze.push(position),
                    Kind::Plain | Kind::Late => {
                        lake.bronze.push(position);
                        lake.silver.push(position);
                    }
                }
            }
        }
        lake
    }

    fn write(&self, stream: &Stream, gold_rows_left_out: usize) -> Result<TempDir> {
        let dir = tempfile::tempdir()?;
        write_table(&dir.path().join("bronze"), events(stream, &self.bronze)?)?;
        write_table(&dir.path().join("silver"), events(stream, &self.silver)?)?;
        write_table(&dir.path().join("gold"), gold(stream, &self.silver, gold_rows_left_out)?)?;

        let mut quarantine = positions(&self.quarantine);
        for name in ["layer", "step", "rule", "reason", "row"] {
            quarantine.push((name, Arc::new(StringArray::from(vec!["some"; self.quarantine.len()]))));
        }
        write_table(&dir.path().join("silver_quarantine"), RecordBatch::try_from_iter(quarantine)?)?;

        let payloads: Vec<_> =
            self.dead_letters.iter().map(|&(p, offset)| stream.event(p, offset).payload).collect();
        let mut dead_letters = positions(&self.dead_letters);
        dead_letters.push((
            "payload",
            Arc::new(payloads.iter().map(|text| Some(text.as_bytes())).collect::<BinaryArray>()),
        ));
        dead_letters.push(("reason", Arc::new(StringArray::from(vec!["some"; payloads.len()]))));
        write_table(&dir.path().join("dead_letters"), RecordBatch::try_from_iter(dead_letters)?)?;
        Ok(dir)
    }
}

#[test]
fn tables_as_they_must_be_pass() -> Result<()> {
    let stream = mixed_stream(9, 700);
    let dir = Lake::of(&stream).write(&stream, 0)?;
    let tally = Oracle { stream: &stream, ends: &ENDS }.check(dir.path())?;
    assert_eq!(tally.records, 2900);
    assert_eq!(tally.bronze, tally.silver + tally.quarantined + tally.repeated);
    python::check_gold(dir.path())
}

#[test]
fn what_is_missing_double_misplaced_or_altered_is_named() -> Result<()> {
    let stream = mixed_stream(9, 700);
    let right = Lake::of(&stream);
    let judge = |lake: &Lake| -> Result<String> {
        let dir = lake.write(&stream, 0)?;
        let verdict = Oracle { stream: &stream, ends: &ENDS }.check(dir.path());
        Ok(format!("{:#}", verdict.expect_err("the tables are wrong")))
    };

    let mut missing = right.clone();
    let (partition, offset) = missing.silver.remove(100);
    assert!(judge(&missing)?.contains(&format!("1 faults:\n({partition}, {offset})")));

    let mut double = right.clone();
    double.dead_letters.push(double.dead_letters[3]);
    assert!(judge(&double)?.contains("found in dead letters 2,"));

    let mut misplaced = right.clone();
    misplaced.silver.push(misplaced.quarantine[0]);
    assert!(judge(&misplaced)?.contains("quarantine 1, silver 1; expected dead letters 0"));

    let mut invented = right.clone();
    invented.bronze.push((1, ENDS[1]));
    assert!(judge(&invented)?.contains(&format!("(1, {}) in bronze: no such record", ENDS[1])));

    // The same positions, but the values of another stream.
    let dir = right.write(&mixed_stream(10, 700), 0)?;
    let verdict = Oracle { stream: &stream, ends: &ENDS }.check(dir.path());
    assert!(format!("{:#}", verdict.expect_err("wrong values")).contains("has event id"));
    Ok(())
}

#[test]
fn a_missing_row_of_gold_is_noticed() -> Result<()> {
    let stream = mixed_stream(9, 700);
    let dir = Lake::of(&stream).write(&stream, 1)?;
    let verdict = python::check_gold(dir.path()).expect_err("a row is missing").to_string();
    assert!(verdict.contains("were expected"), "{verdict}");
    Ok(())
}

fn positions(positions: &[(i32, i64)]) -> Vec<(&'static str, ArrayRef)> {
    let partitions = Int32Array::from_iter_values(positions.iter().map(|position| position.0));
    let offsets = Int64Array::from_iter_values(positions.iter().map(|position| position.1));
    vec![("_partition", Arc::new(partitions)), ("_offset", Arc::new(offsets))]
}

fn timestamps(ms: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter_values(ms.map(|ms| ms * 1000)).with_timezone("UTC"))
}

/// The rows of bronze or silver.
fn events(stream: &Stream, at: &[(i32, i64)]) -> Result<RecordBatch> {
    let written_at = |&(partition, offset): &(i32, i64)| match stream.kind(partition, offset) {
        Kind::Duplicate { of } => format!("{partition}-{of}"),
        _ => format!("{partition}-{offset}"),
    };
    let readings: Vec<_> = at.iter().map(|&(partition, offset)| reading(stream, partition, offset)).collect();
    let reading = StructArray::try_from(vec![
        ("temperature", Arc::new(readings.iter().map(|r| Some(r.0)).collect::<Float64Array>()) as ArrayRef),
        ("pressure", Arc::new(readings.iter().map(|r| Some(r.1)).collect::<Float64Array>())),
    ])?;
    let mut columns = positions(at);
    columns.push(("event_id", Arc::new(StringArray::from_iter_values(at.iter().map(written_at)))));
    let machines = at.iter().map(|&(partition, offset)| stream.event(partition, offset).key);
    columns.push(("machine_id", Arc::new(StringArray::from_iter_values(machines))));
    columns.push(("ts", timestamps(at.iter().map(|&(p, offset)| stream.event_time_ms(p, offset)))));
    columns.push(("reading", Arc::new(reading)));
    Ok(RecordBatch::try_from_iter(columns)?)
}

/// Temperature and pressure, out of the event's text.
fn reading(stream: &Stream, partition: i32, offset: i64) -> (f64, f64) {
    let payload = stream.event(partition, offset).payload;
    let number = |name: &str| {
        let (_, rest) = payload.split_once(name).unwrap_or_default();
        rest.split([',', '}']).next().unwrap_or_default().parse().unwrap_or(f64::NAN)
    };
    (number("\"temperature\":"), number("\"pressure\":"))
}

fn gold(stream: &Stream, silver: &[(i32, i64)], left_out: usize) -> Result<RecordBatch> {
    let mut groups: BTreeMap<(i64, String), Vec<(f64, f64)>> = BTreeMap::new();
    for &(partition, offset) in silver {
        // The generator's late events are exactly those behind the watermark.
        let minute = stream.event_time_ms(partition, offset) / MINUTE_MS * MINUTE_MS;
        let punctual = stream.kind(partition, offset) == Kind::Plain;
        if punctual && minute + MINUTE_MS <= last_watermark_ms(stream, partition) {
            let group = groups.entry((minute, stream.event(partition, offset).key)).or_default();
            group.push(reading(stream, partition, offset));
        }
    }
    let groups: Vec<_> = groups.into_iter().skip(left_out).collect();
    let floats = |of: fn(&[(f64, f64)]) -> f64| -> ArrayRef {
        Arc::new(Float64Array::from_iter_values(groups.iter().map(|(_, readings)| of(readings))))
    };
    let machines = StringArray::from_iter_values(groups.iter().map(|((_, machine), _)| machine));
    let counts = Int64Array::from_iter_values(groups.iter().map(|(_, readings)| readings.len() as i64));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("window_start", timestamps(groups.iter().map(|((minute, _), _)| *minute))),
        ("window_end", timestamps(groups.iter().map(|((minute, _), _)| minute + MINUTE_MS))),
        ("machine_id", Arc::new(machines)),
        ("events", Arc::new(counts)),
        ("temperature_avg", floats(|r| r.iter().map(|r| r.0).sum::<f64>() / r.len() as f64)),
        ("temperature_min", floats(|r| r.iter().map(|r| r.0).fold(f64::INFINITY, f64::min))),
        ("temperature_max", floats(|r| r.iter().map(|r| r.0).fold(f64::NEG_INFINITY, f64::max))),
        ("pressure_sum", floats(|r| r.iter().map(|r| r.1).sum())),
    ];
    Ok(RecordBatch::try_from_iter(columns)?)
}

fn last_watermark_ms(stream: &Stream, partition: i32) -> i64 {
    let decoded = (0..ENDS[partition as usize]).filter(|&o| stream.kind(partition, o) != Kind::Malformed);
    decoded.map(|offset| stream.event_time_ms(partition, offset)).max().unwrap_or(0) - 10 * MINUTE_MS
}

fn write_table(path: &Path, rows: RecordBatch) -> Result<()> {
    std::fs::create_dir_all(path)?;
    let schema: StructType = rows.schema().as_ref().try_into_kernel()?;
    let columns: Vec<StructField> = schema.fields().cloned().collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let create = CreateBuilder::new().with_location(path.to_string_lossy()).with_columns(columns);
        let mut table = create.await?;
        let mut writer = RecordBatchWriter::for_table(&table)?;
        writer.write(rows).await?;
        writer.flush_and_commit(&mut table).await?;
        Ok(())
    })
}
