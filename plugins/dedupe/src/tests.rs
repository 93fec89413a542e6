use proptest::prelude::*;
use sluicebox_plugin::serde_json::{Value, json};
use sluicebox_plugin::test_kit::{Opened, StateStore, open_transform};
use sluicebox_plugin::{Error, Field, Kind, field, timestamp_micros};

use crate::Dedupe;

const SECOND: i64 = 1_000_000;

fn schema() -> Vec<Field> {
    vec![field("device", Kind::Utf8), field("n", Kind::Int64), field("at", timestamp_micros())]
}

fn open(keys: &[&str]) -> Opened<Dedupe> {
    let config = json!({"keys": keys, "within": "10s", "time": "at"});
    open_transform::<Dedupe>(config, &schema()).unwrap()
}

fn row(device: &str, seconds: i64, watermark: Option<i64>) -> Value {
    json!({"device": device, "n": 1, "at": seconds * SECOND, "_watermark": watermark.map(|seconds| seconds * SECOND)})
}

#[test]
fn keeps_the_first_row_of_each_key_within_the_time() {
    let rows = [
        row("a", 100, None),
        row("a", 109, None),
        row("b", 100, None),
        row("a", 95, None),
        row("a", 110, None),
        row("a", 111, None),
    ];
    let fates = open(&["device"]).apply(&rows).unwrap();
    assert_eq!((fates.kept_rows(), fates.dropped), (vec![0, 2, 4], vec![1, 3, 5]));
}

#[test]
fn a_key_expires_at_the_rows_own_watermark() {
    let rows =
        [row("a", 100, None), row("a", 105, Some(109)), row("a", 105, Some(110)), row("a", 106, Some(110))];
    assert_eq!(open(&["device"]).apply(&rows).unwrap().kept_rows(), [0, 2]);
}

#[test]
fn rejects_rows_without_time_or_key() {
    let rows = [
        json!({"device": "a", "n": 1}),
        json!({"device": "a", "at": 1}),
        json!({"device": "a", "n": 1, "at": 1}),
    ];
    let fates = open(&["device", "n"]).apply(&rows).unwrap();
    let rules: Vec<(usize, &str)> =
        fates.rejected.iter().map(|(row, rule, _)| (*row, rule.as_str())).collect();
    assert_eq!(rules, [(0, "null_time"), (1, "null_key")]);
    assert_eq!(fates.kept_rows(), [2]);
}

#[test]
fn forgets_what_has_expired() {
    let mut dedupe = open(&["device"]);
    let mut store = StateStore::default();
    dedupe.apply(&[row("a", 100, None), row("b", 200, Some(90))]).unwrap();
    store.take(&mut dedupe.plugin).unwrap();
    assert_eq!(store.len(), 2);
    dedupe.apply(&[row("b", 201, Some(190))]).unwrap();
    store.take(&mut dedupe.plugin).unwrap();
    assert_eq!(store.len(), 1);
}

#[test]
fn refuses_keys_and_times_of_the_wrong_type() {
    let open = |config| {
        open_transform::<Dedupe>(config, &[field("x", Kind::Float64), field("at", timestamp_micros())]).err()
    };
    let float_key = json!({"keys": ["x"], "within": "1s", "time": "at"});
    assert!(matches!(open(float_key), Some(Error::Schema(_))));
    let float_time = json!({"keys": ["at"], "within": "1s", "time": "x"});
    assert!(matches!(open(float_time), Some(Error::Schema(_))));
    let no_keys = json!({"keys": [], "within": "1s", "time": "at"});
    assert!(matches!(open(no_keys), Some(Error::Config(_))));
}

/// The numbers of the rows that are kept when the stream is cut into batches of `size`, with the state taken out and
/// put into a new instance after every batch.
fn kept_in_batches(rows: &[Value], size: usize) -> (Vec<usize>, Vec<usize>) {
    let mut store = StateStore::default();
    let (mut kept, mut rejected) = (Vec::new(), Vec::new());
    for (i, batch) in rows.chunks(size).enumerate() {
        let mut dedupe = open(&["device", "n"]);
        store.restore(&mut dedupe.plugin).unwrap();
        let fates = dedupe.apply(batch).unwrap();
        kept.extend(fates.kept_rows().iter().map(|row| i * size + row));
        rejected.extend(fates.rejected.iter().map(|(row, ..)| i * size + row));
        store.take(&mut dedupe.plugin).unwrap();
    }
    (kept, rejected)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However a stream is cut, with the state stored and restored at each cut, the same rows are kept.
    #[test]
    fn rows_do_not_depend_on_cuts(stream in prop::collection::vec((0..4u8, prop::option::weighted(0.9, 0..3i64), 0..60i64), 1..120)) {
        let mut largest: Option<i64> = None;
        let rows: Vec<Value> = stream.iter().enumerate().map(|(i, (device, n, jitter))| {
            let at = i as i64 + jitter;
            let watermark = largest.map(|largest| (largest - 5) * SECOND);
            largest = largest.max(Some(at));
            json!({"device": format!("d{device}\u{0}"), "n": n, "at": at * SECOND, "_watermark": watermark})
        }).collect();
        let whole = kept_in_batches(&rows, rows.len());
        prop_assert_eq!(&whole, &kept_in_batches(&rows, 1));
        prop_assert_eq!(&whole, &kept_in_batches(&rows, 7));
    }
}
