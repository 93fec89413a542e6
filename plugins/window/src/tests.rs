use proptest::prelude::*;
use sluicebox_plugin::serde_json::{Value, json};
use sluicebox_plugin::test_kit::{Opened, StateStore, open_aggregate, struct_field};
use sluicebox_plugin::{Error, Field, Kind, field, timestamp_micros};

use crate::Window;

const SECOND: i64 = 1_000_000;

fn schema() -> Vec<Field> {
    let mut fields =
        vec![field("at", timestamp_micros()), field("site", Kind::Utf8), field("n", Kind::Int64)];
    fields.extend(struct_field("reading", vec![vec![field("temp", Kind::Float64)]]));
    fields
}

fn config() -> Value {
    json!({
        "time": "at", "size": "10s", "by": ["site"],
        "aggregates": [
            {"name": "rows", "function": "count"},
            {"name": "readings", "function": "count", "column": "reading.temp"},
            {"name": "sum", "function": "sum", "column": "n"},
            {"name": "avg", "function": "avg", "column": "reading.temp"},
            {"name": "min", "function": "min", "column": "reading.temp"},
            {"name": "max", "function": "max", "column": "n"},
            {"name": "first", "function": "first", "column": "n"},
            {"name": "last", "function": "last", "column": "n"},
        ],
    })
}

fn open(config: Value) -> Opened<Window> {
    open_aggregate::<Window>(config, &schema()).unwrap()
}

fn row(at: i64, site: Option<&str>, n: i64, temp: Option<f64>) -> Value {
    json!({"at": at * SECOND, "site": site, "n": n, "reading": {"temp": temp}})
}

#[test]
fn a_window_comes_out_when_the_watermark_has_passed_its_end() {
    let mut window = open(config());
    let rows = [
        row(12, Some("b"), 1, Some(1.5)),
        row(11, Some("b"), 5, None),
        row(19, Some("b"), 7, Some(0.5)),
        row(19, Some("b"), 8, None),
        row(20, Some("b"), 100, None),
        row(15, Some("a"), 3, None),
        row(15, None, 4, None),
    ];
    let (out, _) = window.update(&rows, Some(20 * SECOND - 1)).unwrap();
    assert_eq!(out, Vec::<Value>::new());
    let (out, _) = window.update(&[], Some(20 * SECOND)).unwrap();
    let edges = json!({"window_start": 10 * SECOND, "window_end": 20 * SECOND});
    let expected = |site: Value, rest: Value| {
        let mut row = edges.clone();
        let members = row.as_object_mut().unwrap();
        members.insert("site".into(), site);
        members.extend(rest.as_object().unwrap().clone());
        row
    };
    let none = |n: i64| json!({"rows": 1, "readings": 0, "sum": n, "avg": null, "min": null, "max": n, "first": n, "last": n});
    let full =
        json!({"rows": 4, "readings": 2, "sum": 21, "avg": 1.0, "min": 0.5, "max": 8, "first": 5, "last": 8});
    assert_eq!(
        out,
        [expected(Value::Null, none(4)), expected(json!("a"), none(3)), expected(json!("b"), full)]
    );
    assert_eq!(window.update(&[], Some(29 * SECOND)).unwrap().0.len(), 0, "nothing comes out twice");
    assert_eq!(window.update(&[], Some(30 * SECOND)).unwrap().0.len(), 1);
}

#[test]
fn a_row_is_in_every_sliding_window_that_covers_it() {
    let config = json!({"time": "at", "size": "10s", "slide": "4s", "aggregates": [{"name": "rows", "function": "count"}]});
    let mut window = open(config);
    let (out, _) =
        window.update(&[row(9, None, 0, None), row(-1, None, 0, None)], Some(1000 * SECOND)).unwrap();
    let starts: Vec<(i64, i64)> = out
        .iter()
        .map(|row| (row["window_start"].as_i64().unwrap() / SECOND, row["rows"].as_i64().unwrap()))
        .collect();
    assert_eq!(starts, [(-8, 1), (-4, 1), (0, 1), (4, 1), (8, 1)]);
}

#[test]
fn rejects_rows_without_time_and_rows_of_closed_windows() {
    let mut closed = row(9, None, 1, None);
    closed["_watermark"] = json!(10 * SECOND);
    let (_, rejected) = open(config()).update(&[json!({"n": 1}), closed], None).unwrap();
    let rules: Vec<(usize, &str)> = rejected.iter().map(|(row, rule, _)| (*row, rule.as_str())).collect();
    assert_eq!(rules, [(0, "null_time"), (1, "closed_window")]);
}

#[test]
fn an_integer_sum_that_overflows_is_null_and_stays_so() {
    let rows = [row(1, None, i64::MAX, None), row(1, None, 1, None), row(1, None, -5, None)];
    let (out, _) = open(config()).update(&rows, Some(10 * SECOND)).unwrap();
    assert_eq!((&out[0]["sum"], &out[0]["rows"]), (&Value::Null, &json!(3)));
}

#[test]
fn refuses_what_makes_no_sense() {
    let error = |change: fn(&mut Value)| {
        let mut config = config();
        change(&mut config);
        open_aggregate::<Window>(config, &schema()).err().expect("it must not open")
    };
    assert!(matches!(error(|config| config["slide"] = json!("11s")), Error::Config(_)));
    assert!(matches!(error(|config| config["slide"] = json!("1us")), Error::Config(_)));
    assert!(matches!(error(|config| config["size"] = json!("ten")), Error::Config(_)));
    assert!(matches!(error(|config| config["by"] = json!(["reading"])), Error::Schema(_)));
    assert!(matches!(error(|config| config["time"] = json!("n")), Error::Schema(_)));
    assert!(matches!(error(|config| config["aggregates"][0]["name"] = json!("site")), Error::Config(_)));
    assert!(matches!(error(|config| config["aggregates"][2]["column"] = json!("site")), Error::Schema(_)));
}

/// All that comes out, and the numbers of rejected rows, when the stream is cut into batches of `size`, with the
/// state taken out and put into a new instance after every batch. A row is its JSON; its `_watermark` is its own.
fn in_batches(config: &Value, rows: &[Value], size: usize) -> (Vec<Value>, Vec<usize>) {
    let mut store = StateStore::default();
    let (mut out, mut rejected) = (Vec::new(), Vec::new());
    for (i, batch) in rows.chunks(size).enumerate() {
        let mut window = open(config.clone());
        store.restore(&mut window.plugin).unwrap();
        // The watermark after a batch is what the next row would have.
        let watermark = rows.get((i + 1) * size).and_then(|next| next["_watermark"].as_i64());
        let end = (i + 1) * size >= rows.len();
        let (emitted, refused) = window.update(batch, if end { Some(i64::MAX) } else { watermark }).unwrap();
        out.extend(emitted);
        rejected.extend(refused.iter().map(|(row, ..)| i * size + row));
        store.take(&mut window.plugin).unwrap();
    }
    assert!(store.is_empty(), "closed windows leave nothing behind");
    (out, rejected)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// However a stream is cut, with the state stored and restored at each cut, the same rows come out in the same
    /// order. Late rows are among them, for the event time may be another than the host's.
    #[test]
    fn rows_do_not_depend_on_cuts(
        stream in prop::collection::vec((0..3u8, any::<i8>(), prop::option::of(-40..40i64), 0..40i64), 1..100),
        slide in prop_oneof![Just("10s"), Just("3s"), Just("5s")],
    ) {
        let mut config = config();
        config["slide"] = json!(slide);
        let mut largest: Option<i64> = None;
        let rows: Vec<Value> = stream.iter().enumerate().map(|(i, (site, n, temp, jitter))| {
            let at = i as i64 + jitter;
            let mut row = row(at, Some(&format!("s{site}")), i64::from(*n), temp.map(|temp| temp as f64 / 4.0));
            row["_watermark"] = json!(largest.map(|largest| (largest - 8) * SECOND));
            largest = largest.max(Some(at));
            row
        }).collect();
        let whole = in_batches(&config, &rows, rows.len());
        prop_assert_eq!(&whole, &in_batches(&config, &rows, 1));
        prop_assert_eq!(&whole, &in_batches(&config, &rows, 7));
    }
}
