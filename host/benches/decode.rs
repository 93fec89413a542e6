//! Decoding a batch of 8,192 sensor events of about 240 bytes, and of 512 events of 200 fields.
//!
//! `cargo bench --bench decode`. Throughput is in bytes of payload.

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use sluicebox::batch::{RawBatch, RawRecord};
use sluicebox::decode::{DecodeSettings, Decoded, Decoder, Policy};
use sluicebox::progress::{OffsetRange, TopicPartition};
use sluicebox::schema::{Column, RecordSchema, parse_type};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SENSOR_COLUMNS: [(&str, &str); 11] = [
    ("event_id", "utf8"),
    ("device_id", "utf8"),
    ("ts", "int64"),
    ("type", "utf8"),
    ("value", "float64"),
    ("unit", "utf8"),
    ("seq", "int64"),
    ("ok", "boolean"),
    ("location", "struct<lat: float64, lon: float64, site: utf8>"),
    ("firmware", "utf8"),
    ("rssi", "int64"),
];

fn main() {
    divan::main();
}

#[divan::bench(args = [Policy::Merge, Policy::Strict])]
fn sensor_events(bencher: Bencher, policy: Policy) {
    let payloads = (0..8192u64).map(sensor_event).collect::<Vec<_>>();
    let columns = SENSOR_COLUMNS.map(|(name, text)| column(name, text)).to_vec();
    bench(bencher, policy, columns, &payloads);
}

#[divan::bench]
fn declared_timestamps(bencher: Bencher) {
    let event = |n| {
        format!(r#"{{"ts":"2026-01-31T12:{:02}:{:02}.{:06}Z"}}"#, n / 60 % 60, n % 60, n * 97 % 1_000_000)
    };
    let payloads = (0..8192u64).map(event).collect::<Vec<_>>();
    bench(bencher, Policy::Merge, vec![column("ts", "timestamp")], &payloads);
}

#[divan::bench]
fn wide_events(bencher: Bencher) {
    let types = ["int64", "float64", "utf8", "boolean"];
    let columns = (0..200).map(|field| column(&format!("field_{field:03}"), types[field % 4])).collect();
    let payloads = (0..512u64).map(wide_event).collect::<Vec<_>>();
    bench(bencher, Policy::Merge, columns, &payloads);
}

fn bench(bencher: Bencher, policy: Policy, columns: Vec<Column>, payloads: &[String]) {
    let settings = DecodeSettings { policy, max_columns: 1000, max_depth: 32, max_record_bytes: 1 << 20 };
    let schema = RecordSchema::new(columns).expect("the columns have different names");
    let mut decoder = Decoder::new(settings, schema).expect("the settings are valid");
    let raw = raw_batch(payloads);
    bencher.counter(BytesCount::new(raw.data.len())).counter(ItemsCount::new(payloads.len())).bench_local(
        || match decoder.decode(black_box(&raw)) {
            Decoded::Rows(rows) => assert_eq!(rows.records.len(), payloads.len()),
            Decoded::SchemaChange(next) => panic!("the columns hold all events: {next:?}"),
        },
    );
}

fn column(name: &str, text: &str) -> Column {
    Column { name: name.to_owned(), data_type: parse_type(text).expect("a type") }
}

fn raw_batch(payloads: &[String]) -> RawBatch {
    let mut data = Vec::new();
    let mut records = Vec::new();
    for (offset, payload) in (0..).zip(payloads) {
        let start = data.len();
        data.extend_from_slice(payload.as_bytes());
        let payload = Some(start..data.len());
        records.push(RawRecord { offset, timestamp_ms: None, key: None, payload });
    }
    let range = OffsetRange { from: 0, to: payloads.len() as i64 };
    RawBatch { partition: TopicPartition::new("bench", 0), range, lost: false, records, data }
}

/// Digits that look random and are the same in each run (xorshift).
fn scatter(n: u64) -> u64 {
    let mut x = (n + 1).wrapping_mul(88_172_645_463_325_252);
    x ^= x << 13;
    x ^= x >> 7;
    x ^ (x << 17)
}

fn sensor_event(n: u64) -> String {
    let x = scatter(n);
    format!(
        r#"{{"event_id":"evt-{:012x}","device_id":"dev-{:05}","ts":{},"type":"temperature","value":{:.4},"unit":"C","seq":{n},"ok":{},"location":{{"lat":{:.6},"lon":{:.6},"site":"plant-{:02}"}},"firmware":"v1.{}.{}","rssi":-{}}}"#,
        x & 0xffff_ffff_ffff,
        x % 10_000,
        1_760_000_000_000 + n * 3,
        (x % 100_000) as f64 / 1000.0,
        x & 1 == 0,
        50.0 + (x % 9999) as f64 / 10_000.0,
        4.0 + (x % 7777) as f64 / 10_000.0,
        x % 40,
        x % 10,
        x % 7,
        1 + x % 90,
    )
}

fn wide_event(n: u64) -> String {
    let field = |field: u64| {
        let x = scatter(n * 200 + field);
        let value = match field % 4 {
            0 => format!("{}", x % 1_000_000),
            1 => format!("{:.3}", (x % 1_000_000) as f64 / 1000.0),
            2 => format!("\"s-{:08x}\"", x & 0xff_ffff),
            _ => format!("{}", x & 1 == 1),
        };
        format!("\"field_{field:03}\":{value}")
    };
    format!("{{{}}}", (0..200).map(field).collect::<Vec<_>>().join(","))
}
