use std::collections::BTreeMap;

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

/// With sketches beside them.
fn config_with_sketches() -> Value {
    let mut config = config();
    let sketches = [
        json!({"name": "numbers", "function": "count_distinct", "column": "n"}),
        json!({"name": "median", "function": "quantile", "quantile": 0.5, "column": "reading.temp"}),
        json!({"name": "frequent", "function": "top_k", "k": 2, "column": "n"}),
    ];
    config["aggregates"].as_array_mut().unwrap().extend(sketches);
    config
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
fn sketches_count_the_different_the_middle_and_the_frequent() {
    let mut window = open(config_with_sketches());
    let rows = [
        row(1, None, 7, Some(3.0)),
        row(2, None, 7, Some(-1.0)),
        row(3, None, 9, None),
        row(4, None, 8, Some(2.0)),
    ];
    let (out, _) = window.update(&rows, Some(10 * SECOND)).unwrap();
    assert_eq!(out[0]["numbers"], json!(3));
    assert!((out[0]["median"].as_f64().unwrap() / 2.0 - 1.0).abs() <= 0.01);
    let frequent = json!([{"value": 7, "count": 2, "error": 0}, {"value": 9, "count": 1, "error": 0}]);
    assert_eq!(out[0]["frequent"], frequent);
    let (out, _) = window.update(&[json!({"at": 11 * SECOND})], Some(20 * SECOND)).unwrap();
    assert_eq!(
        (&out[0]["numbers"], &out[0]["median"], &out[0]["frequent"]),
        (&json!(0), &Value::Null, &json!([]))
    );
}

#[test]
fn each_row_of_an_updated_window_gives_its_next_revision() {
    let config = json!({
        "time": "at", "size": "10s", "slide": "5s", "by": ["site"], "emit": "update",
        "aggregates": [{"name": "sum", "function": "sum", "column": "n"}],
    });
    let mut window = open(config);
    assert_eq!(window.output[3].name, "revision");
    let rows = [row(7, Some("a"), 1, None), row(7, Some("b"), 2, None), row(12, Some("a"), 3, None)];
    let (out, _) = window.update(&rows, Some(15 * SECOND)).unwrap();
    let told: Vec<(i64, &str, i64, i64)> = out
        .iter()
        .map(|row| {
            let int = |name: &str| row[name].as_i64().unwrap();
            (int("window_start") / SECOND, row["site"].as_str().unwrap(), int("revision"), int("sum"))
        })
        .collect();
    assert_eq!(
        told,
        [(5, "a", 1, 1), (0, "a", 1, 1), (5, "b", 1, 2), (0, "b", 1, 2), (10, "a", 1, 3), (5, "a", 2, 4)]
    );
    assert_eq!(window.update(&[], Some(i64::MAX)).unwrap().0.len(), 0, "a window that closes has been told");
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
    assert!(matches!(error(|config| config["aggregates"] = json!([])), Error::Config(_)));
    assert!(matches!(error(|config| config["emit"] = json!("sometimes")), Error::Config(_)));
    for (aggregate, says) in [
        (json!({"name": "x", "function": "quantile", "column": "n"}), "needs `quantile`"),
        (json!({"name": "x", "function": "quantile", "column": "n", "quantile": 1.5}), "not from 0 to 1"),
        (json!({"name": "x", "function": "min", "column": "n", "quantile": 0.5}), "only for the function"),
        (json!({"name": "x", "function": "top_k", "column": "n"}), "needs `k`"),
        (json!({"name": "x", "function": "top_k", "column": "n", "k": 101}), "needs `k`"),
        (json!({"name": "x", "function": "count", "k": 1}), "only for `top_k`"),
        (json!({"name": "x", "function": "count_distinct"}), "needs a `column`"),
        (
            json!({"name": "x", "function": "top_k", "column": "reading.temp", "k": 1}),
            "does not work on float64",
        ),
        (
            json!({"name": "x", "function": "quantile", "column": "site", "quantile": 0.5}),
            "does not work on utf8",
        ),
    ] {
        let mut config = config();
        config["aggregates"] = json!([aggregate]);
        match open_aggregate::<Window>(config, &schema()).err() {
            Some(Error::Config(what) | Error::Schema(what)) => assert!(what.contains(says), "{what}"),
            other => panic!("{other:?}"),
        }
    }
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

type Row = (u8, i8, Option<i64>, i64);

/// A stream of rows with their watermarks, which are 8 seconds behind the largest time so far.
fn stream(of: &[Row]) -> Vec<Value> {
    let mut largest: Option<i64> = None;
    of.iter()
        .enumerate()
        .map(|(i, (site, n, temp, jitter))| {
            let at = i as i64 + jitter;
            let temp = temp.map(|temp| temp as f64 / 4.0);
            let mut row = row(at, Some(&format!("s{site}")), i64::from(*n), temp);
            row["_watermark"] = json!(largest.map(|largest| (largest - 8) * SECOND));
            largest = largest.max(Some(at));
            row
        })
        .collect()
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    prop::collection::vec((0..3u8, any::<i8>(), prop::option::of(-40..40i64), 0..40i64), 1..100)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// However a stream is cut, with the state stored and restored at each cut, the same rows come out in the same
    /// order. Late rows are among them, for the event time may be another than the host's.
    #[test]
    fn rows_do_not_depend_on_cuts(
        rows in rows(),
        slide in prop_oneof![Just("10s"), Just("3s"), Just("5s")],
        emit in prop_oneof![Just("close"), Just("update")],
    ) {
        let mut config = config_with_sketches();
        config["slide"] = json!(slide);
        config["emit"] = json!(emit);
        let rows = stream(&rows);
        let whole = in_batches(&config, &rows, rows.len());
        prop_assert_eq!(&whole, &in_batches(&config, &rows, 1));
        prop_assert_eq!(&whole, &in_batches(&config, &rows, 7));
    }

    /// What a table keeps that holds the largest revision of each window and group is what comes out at closing.
    #[test]
    fn the_last_revision_is_what_closes(rows in rows()) {
        let mut config = config_with_sketches();
        config["slide"] = json!("5s");
        let rows = stream(&rows);
        let (closed, refused) = in_batches(&config, &rows, 7);
        config["emit"] = json!("update");
        let (updates, refused_of_updates) = in_batches(&config, &rows, 7);
        prop_assert_eq!(refused, refused_of_updates);
        let mut latest: BTreeMap<(i64, String), Value> = BTreeMap::new();
        for mut row in updates {
            let members = row.as_object_mut().unwrap();
            let revision = members.remove("revision").unwrap();
            prop_assert_eq!(&revision, &members["rows"]);
            let key = (members["window_start"].as_i64().unwrap(), members["site"].to_string());
            latest.insert(key, row);
        }
        prop_assert_eq!(latest.into_values().collect::<Vec<_>>(), closed);
    }
}
